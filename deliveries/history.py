"""The History's query string: parameters -> a queryset, and back to links.

The page, the bulk reprocess and the health strip ask the same builder, so what is counted is what is sent.
A value that makes no sense is left out, and a note says so.
"""

import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from urllib.parse import urlencode

from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from sales.statuses import SaleStatus

from .circuit import Phase
from .keyset import PAGE as PAGE
from .keyset import Page as Page
from .keyset import count as count
from .keyset import counts as counts
from .keyset import key_of as key_of
from .keyset import new_since as new_since
from .keyset import older_than as older_than
from .keyset import page as page
from .models import Audience, DeliveryQuerySet, Event, Problem, State
from .words import Words

PERIODS: Mapping[str, Words] = {
    "today": _("Today"),
    "24h": _("Last 24 hours"),
    "7d": _("Last 7 days"),
    "30d": _("Last 30 days"),
}
NO_ACCESS = "no_access"
STATUSES: Mapping[str, Words] = {**dict(State.choices), NO_ACCESS: _("Paid, no access yet")}
RESPONSES: Mapping[str, Words] = {
    "2xx": _("2xx: received"),
    "3xx": _("3xx: redirects"),
    "4xx": _("4xx: refused"),
    "5xx": _("5xx: failed"),
    "none": _("No answer"),
    "page": _("OK, with a web page"),
}
# A sale that was refunded since needs no access any more.
PAID = (SaleStatus.APPROVED, SaleStatus.COMPLETED)
PATIENCE = timedelta(minutes=1)  # so long an approved may be on its way before anybody is told
LOOKS_BACK = timedelta(days=30)


def without_access(now: datetime) -> Q:
    """Who paid and has no access yet: the approved post of a sale that stands was not accepted at the first try, or
    was not tried at all, since its endpoint takes nothing."""
    given_up = (State.FAILED, State.HELD)
    # Of what waits in a bulk reprocess the tries are those of before: it may have been accepted then.
    tried = Q(tries__gt=0) & ~Q(state_before__in=(State.DELIVERED, State.DISCARDED))
    # All states in one condition too, for the index: an OR alone made SQLite read all posts of the 30 days.
    behind = Q(state=State.WAITING, state_before="", config__own_queue__circuit=Phase.OPEN)
    not_accepted = Q(state__in=given_up) | Q(state_before__in=given_up) | tried | behind
    return not_accepted & Q(
        state__in=(*given_up, State.WAITING, State.SENDING),
        event__type=EventType.APPROVED,
        event__sale__status__in=PAID,
        audience=Audience.PRODUCER,
        created_at__lt=now - PATIENCE,
        created_at__gte=now - LOOKS_BACK,
    )


@dataclass(slots=True)
class Filters:
    """What the query string asks for. `active` holds the parameters that count, as they stand in links."""

    now: datetime
    active: dict[str, str] = field(default_factory=dict)
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    notes: list[Words] = field(default_factory=list)  # what was left out, for the page

    def query(self, **changes: str | None) -> str:
        """The query string with `changes`; None takes a parameter out. Empty where nothing is asked for."""
        asked = {name: value for name, value in (self.active | changes).items() if value}
        return f"?{urlencode(asked)}" if asked else ""

    def without_period(self) -> "Filters":
        kept = {name: value for name, value in self.active.items() if name not in ("period", "from", "to")}
        return Filters(self.now, kept)

    def of(self, posts: DeliveryQuerySet) -> DeliveryQuerySet:
        """Those of `posts` that the filters let through."""
        if self.since:
            posts = posts.filter(created_at__gte=self.since)
        if self.until:
            posts = posts.filter(created_at__lt=self.until)
        if status := self.active.get("status"):
            posts = posts.filter(without_access(self.now) if status == NO_ACCESS else Q(state=status))
        if response := self.active.get("response"):
            posts = posts.filter(answered(response))
        if event := self.active.get("event"):
            posts = posts.filter(event__type=event)
        if config := self.active.get("config"):
            posts = posts.filter(config=int(config))
        if product := self.active.get("product"):
            posts = posts.filter(event__product=int(product))
        if bulk := self.active.get("bulk"):
            posts = posts.filter(bulk=int(bulk))
        if search := self.active.get("q"):
            posts = posts.filter(_found(search))
        return posts


def read(
    params: Mapping[str, str], configs: Iterable[int], products: Iterable[int], now: datetime | None = None
) -> Filters:
    """The filters of a query string. `configs` and `products`: the ids that may be asked for."""
    filters = Filters(now or timezone.now())
    known = {
        "status": STATUSES,
        "event": EventType.values,
        "config": {str(pk) for pk in configs},
        "product": {str(pk) for pk in products},
    }
    fill(filters, params, known)
    bulk = params.get("bulk", "")  # anybody's: of `posts` it lets only its owner's through
    if bulk.isascii() and bulk.isdigit() and len(bulk) < 19:
        filters.active["bulk"] = bulk
    elif bulk:
        filters.notes.append(_UNKNOWN["bulk"])
    return filters


def fill(
    filters: Filters,
    params: Mapping[str, str],
    known: Mapping[str, Container[str]],
    may_be: Callable[[str], bool] | None = None,
) -> None:
    """Take the parameters into `filters`. `known`: what each may be; `may_be` tells it of a response."""
    for name, values in known.items():
        value = params.get(name, "")
        if value in values:
            filters.active[name] = value
        elif value:
            filters.notes.append(_UNKNOWN.get(name, _UNKNOWN["other"]))
    if (response := params.get("response", "").strip()) and (may_be or is_response)(response):
        filters.active["response"] = response
    elif response:
        filters.notes.append(_UNKNOWN["response"])
    if search := params.get("q", "").replace("\0", "").strip()[:200]:
        filters.active["q"] = search
    _read_period(params, filters)


_UNKNOWN: Mapping[str, Words] = {
    "status": _("There is no such status: it was left out."),
    "event": _("There is no such event: it was left out."),
    "config": _("There is no such configuration: it was left out."),
    "product": _("There is no such product: it was left out."),
    "bulk": _("There is no such bulk reprocess: it was left out."),
    "other": _("A filter could not be read: it was left out."),
    "response": _("A response is a class such as 4xx or a code such as 404: it was left out."),
    "period": _("The period could not be read: it was left out."),
    "order": _("The period ends before it begins: it was left out."),
}


def _read_period(params: Mapping[str, str], filters: Filters) -> None:
    period, start, end = (params.get(name, "") for name in ("period", "from", "to"))
    if period in PERIODS:
        filters.active["period"] = period
        filters.since = _since(period, filters.now)
    elif period:
        filters.notes.append(_UNKNOWN["period"])
    elif start or end:
        since, until = moment(start), moment(end)
        if (start and not since) or (end and not until):
            filters.notes.append(_UNKNOWN["period"])
        elif since and until and since >= until:
            filters.notes.append(_UNKNOWN["order"])
        else:
            filters.since, filters.until = since, until
            filters.active |= {name: value for name, value in (("from", start), ("to", end)) if value}


def _since(period: str, now: datetime) -> datetime:
    if period == "today":
        return midnight(now)
    length = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}[period]
    return now - length


def midnight(at: datetime) -> datetime:
    """The beginning of that day in the page's zone."""
    return timezone.make_aware(datetime.combine(timezone.localdate(at), time.min))


def moment(text: str) -> datetime | None:
    """A time of the page's zone as a browser's field writes it, or a day, which begins at midnight."""
    try:
        at = parse_datetime(text)
        if at is None and (day := parse_date(text)):
            at = datetime.combine(day, time.min)
        if at is not None and timezone.is_naive(at):
            at = timezone.make_aware(at)
        if at is not None:
            at.astimezone(UTC)  # years 1 and 9999 have no such time
    except (ValueError, OverflowError):
        return None
    return at


def is_response(value: str) -> bool:
    return (
        value in RESPONSES
        or value in Problem.values
        or (value.isascii() and value.isdigit() and len(value) == 3)
    )


def answered(response: str) -> Q:
    if response == "none":
        return Q(last_status=None) & ~Q(last_problem="")
    if response == "page":
        return Q(answered_page=True)
    if response in Problem.values:
        return Q(last_status=None, last_problem=response)
    if response.endswith("xx"):
        first = int(response[0]) * 100
        return Q(last_status__gte=first, last_status__lt=first + 100)
    return Q(last_status=int(response))


def _found(search: str) -> Q:
    """A transaction's code or its beginning, or the buyer's e-mail, its beginning or a part of the name.

    An affiliate finds no buyer whom the posts do not name. The code's bounds keep to the index, which LIKE
    does not.
    """
    code = search.upper()
    if code.isascii() and code[:2] == "HP" and code[2:].isdigit():
        return _of_events(transaction_code__gte=code, transaction_code__lte=f"{code}zzzz")
    named = Q(audience=Audience.PRODUCER) | Q(event__product__shares_buyers=True)
    if is_email(search):
        return named & _of_events(buyer_email__in={search, search.lower()})
    buyer = Q(event__buyer_name__icontains=search) | Q(event__buyer_email__istartswith=search)
    return (named & buyer) | Q(event__transaction_code=search)


def is_email(text: str) -> bool:
    """Whether it is an e-mail address as a whole, to be found by an index."""
    return _EMAIL.fullmatch(text) is not None


_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]{2,}")


def _of_events(**facts: object) -> Q:
    """By a subquery: joined, SQLite looked up the event of each of the owner's posts."""
    return Q(event__in=Event.objects.filter(**facts).values("pk"))
