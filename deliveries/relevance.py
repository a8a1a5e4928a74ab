"""Which events still help whoever hears of them late: by a held post, one sent by hand, or of the past.

Each condition is on an event; `of` is the way to it from the row that is asked, such as "event__".
"""

from datetime import datetime, timedelta

from django.db import models
from django.db.models import Case, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.events import BY_STATUS, EventType, Priority
from sales.models import Transaction
from sales.statuses import SaleStatus

CART_KEEPS = timedelta(hours=24)  # after that, a word about an abandoned cart comes too late
PAID = (SaleStatus.APPROVED, SaleStatus.COMPLETED)
UNDONE = tuple(status for status, event in BY_STATUS.items() if event.priority == Priority.TAKES_ACCESS_AWAY)


class Relevance(models.TextChoices):
    FRESH = "fresh", ""
    STALE = "stale", ""  # its time is over
    UNDONE = "undone", ""  # paid, and not any more: it would open an access that was closed
    PAID = "paid", ""  # asks for money that has come


# What is said of an event that is not fresh, by its relevance.
WORDS = {
    Relevance.STALE: _("past its date: it cannot be paid any more"),
    Relevance.UNDONE: _("refunded, charged back or cancelled since: it would open an access that was closed"),
    Relevance.PAID: _("paid since: it would ask for money that has come"),
}
OLD_CART = _("left more than 24 hours ago: most likely of no use any more")


def words(relevance: str, event: str) -> object:
    """Why an event of that type had better not be sent; empty where it is fresh."""
    if relevance == Relevance.STALE and event == EventType.CART_ABANDONED:
        return OLD_CART
    return WORDS.get(Relevance(relevance), "")


def stale(now: datetime, of: str = "") -> Q:
    """Carts left a day ago, bank slips and PIX codes past their date. The day is that of the current time zone.

    An approved never goes stale.
    """
    run_out = Q(**{f"{of}sale__billet_due_on__lt": timezone.localdate(now)}) | Q(
        **{f"{of}sale__pix_expires_at__lt": now}
    )
    old_cart = Q(**{f"{of}type": EventType.CART_ABANDONED, f"{of}occurred_at__lt": now - CART_KEEPS})
    return old_cart | Q(run_out, **{f"{of}type": EventType.BILLET_PRINTED})


GRANTING = (EventType.APPROVED, EventType.COMPLETE)


def undone(of: str = "") -> Q:
    """Those that grant an access which was closed since: the sale was refunded, charged back or cancelled."""
    return Q(**{f"{of}type__in": GRANTING, f"{of}sale__status__in": UNDONE})


def is_undone(type_: str, sale: Transaction | None) -> bool:
    """The same of one event."""
    return type_ in GRANTING and sale is not None and sale.status in UNDONE


def of_events(now: datetime) -> Case:
    """The Relevance of each event of a query."""
    asked = (EventType.BILLET_PRINTED, EventType.DELAYED)
    return Case(
        When(undone(), then=Value(Relevance.UNDONE)),
        When(type__in=asked, sale__status__in=PAID, then=Value(Relevance.PAID)),
        When(stale(now), then=Value(Relevance.STALE)),
        default=Value(Relevance.FRESH),
        output_field=models.CharField(),
    )
