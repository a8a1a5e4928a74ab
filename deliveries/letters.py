"""The words of the owners' mails: health of a URL -> subject and plain text, in the language and zone in force."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Min, Q, Sum
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from configurations.events import EventType
from configurations.models import Reason

from . import history
from .explain import explain
from .models import Delivery, DeliveryQuerySet, EndpointHealth, State

NAMES = 20  # buyers who are named in a mail; the others are counted


@dataclass(frozen=True, slots=True)
class Letter:
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Buyers:
    """Who paid and has no access yet, the longest waiting first."""

    count: int
    sums: list[tuple[Decimal, str]]  # amount and currency: never added across currencies
    since: datetime | None
    named: list[dict[str, Any]]  # name, code, amount, currency, since; up to NAMES
    posts: int

    @property
    def others(self) -> int:
        return self.posts - len(self.named)


def disabled_letter(health: EndpointHealth) -> Letter:
    config = health.config
    held = Delivery.objects.filter(config=config).held()
    kinds = held.values_list("event__type").annotate(count=Count("pk")).order_by("event__type")
    subject = _("We disabled the configuration “%(name)s”") % {"name": on_one_line(config.name)}
    return _letter(
        "disabled",
        subject,
        health,
        reason=config.get_disabled_because_display(),
        since=moment(config.state_changed_at),
        gone=config.disabled_because == Reason.GONE,
        said=config.disabled_because != Reason.SERVER,  # what happened is in the reason already
        held=[(EventType(type_).label, count) for type_, count in kinds],
        held_in_all=sum(count for _type, count in kinds),
        buyers=_buyers(health),
    )


def warning_letter(health: EndpointHealth) -> Letter:
    buyers = _buyers(health)
    subject = ngettext(
        "%(count)s buyer paid and has no access yet: “%(name)s”",
        "%(count)s buyers paid and have no access yet: “%(name)s”",
        buyers.count,
    ) % {"count": buyers.count, "name": on_one_line(health.config.name)}
    return _letter("warning", subject, health, buyers=buyers)


def recovered_letter(health: EndpointHealth) -> Letter:
    posts = Delivery.objects.filter(config=health.config)
    delivered = _delivered_late(posts, health).count()
    name = on_one_line(health.config.name)
    if delivered:
        subject = ngettext(
            "“%(name)s” works again: %(count)s post delivered",
            "“%(name)s” works again: %(count)s posts delivered",
            delivered,
        ) % {"name": name, "count": delivered}
    else:
        subject = _("“%(name)s” works again") % {"name": name}
    left = posts.aggregate(
        held=Count("pk", Q(state=State.HELD)),
        failed=Count("pk", Q(state=State.FAILED, finished_at__gte=health.told_at - history.LOOKS_BACK)),
        waiting=Count("pk", Q(state__in=(State.WAITING, State.SENDING), created_at__lt=health.works_since)),
    )
    return _letter("recovered", subject, health, delivered=delivered, **left)


def _delivered_late(posts: DeliveryQuerySet, health: EndpointHealth) -> DeliveryQuerySet:
    """What had waited for the URL, and was accepted since its owner heard of the trouble."""
    waited = Q(attempts_made__gt=1) | Q(created_at__lt=health.works_since - history.PATIENCE)
    return posts.filter(waited, state=State.DELIVERED, finished_at__gte=health.told_at)


def _buyers(health: EndpointHealth) -> Buyers:
    posts = Delivery.objects.filter(history.without_access(timezone.now()), config=health.config)
    facts = posts.aggregate(
        count=Count("event__buyer_email", distinct=True), since=Min("created_at"), posts=Count("pk")
    )
    sums = posts.values_list("event__currency").annotate(sum=Sum("event__amount")).order_by("event__currency")
    oldest_first = posts.select_related("event").order_by("created_at", "pk")
    named = [
        {
            "name": on_one_line(post.event.buyer_name),
            "code": post.event.transaction_code,
            "amount": post.event.amount,
            "currency": post.event.currency,
            "since": moment(post.created_at),
        }
        for post in oldest_first[:NAMES]
    ]
    return Buyers(
        sums=[(amount, currency) for currency, amount in sums if amount is not None], named=named, **facts
    )


def _letter(template: str, subject: str, health: EndpointHealth, **facts: Any) -> Letter:
    config = health.config
    context = {
        "owner": on_one_line(config.owner.name),
        "name": on_one_line(config.name),
        "url": on_one_line(config.url, 2000),
        "cause": explain(health.last_status, health.last_problem, url=config.url),
        "detail": on_one_line(health.last_detail, 300),
        "failing_since": moment(health.first_failure_at),
        "works_since": moment(health.works_since),
        "site": settings.SITE_NAME,
        "configurations": settings.SITE_URL + reverse("configurations:list"),
        "no_access": _history(config.pk, history.NO_ACCESS),
        "failed_posts": _history(config.pk, State.FAILED),
        "held_posts": _history(config.pk, State.HELD),
        **facts,
    }
    body = render_to_string(f"deliveries/mail/{template}.txt", context)
    return Letter(subject, body.strip() + "\n")


def _history(config: int, status: str) -> str:
    return f"{settings.SITE_URL}{reverse('deliveries:history')}?{urlencode({'config': config, 'status': status})}"


def moment(at: datetime | None) -> str:
    """24 Nov 2026, 15:52 (GMT-3): with its zone, since nobody knows when and where the mail is read."""
    if at is None:
        return ""
    at = timezone.localtime(at)
    minutes = round(at.utcoffset().total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    offset = f"{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "") if minutes else ""
    return f"{date_format(at, 'j M Y, H:i')} (GMT{offset})"


def on_one_line(text: str, limit: int = 120) -> str:
    """Somebody else's words, fit for a line of a mail: no line break can add a header or forge a paragraph."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
