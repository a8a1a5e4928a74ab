"""What the pages of posts are made of: rows, filter chips, the chart, one post in detail. Views only join them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, F, Subquery, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from configurations.models import WebhookConfig
from sales.models import Product

from . import charts, history, order, relevance, showing
from .explain import explain
from .models import CONFIG_SECRETS, Audience, Delivery, DeliveryAttempt, DeliveryQuerySet, State
from .words import Explanation, Words

FEW = 50  # attempts in a detail's line; of more, the last
TABS = {"payload": _("Payload"), "response": _("Response"), "headers": _("Headers"), "curl": "curl"}


def buyer_of(post: Delivery) -> tuple[str, str]:
    """Name and e-mail, or nothing where the affiliate's copy does not name the buyer."""
    product = post.event.product
    if post.audience == Audience.AFFILIATE and not (product and product.shares_buyers):
        return "", ""
    return post.event.buyer_name, post.event.buyer_email


def outcome_of(post: Delivery) -> Explanation | None:
    return explain(
        post.last_status,
        post.last_problem,
        url=post.config.url,
        page=post.answered_page,
        delivered=post.state == State.DELIVERED,
    )


@dataclass(frozen=True, slots=True)
class Row:
    post: Delivery
    outcome: Explanation | None
    buyer: tuple[str, str]
    query: str  # the list's, with this post open; never empty
    ahead: int | None = None  # the approved that it waits for

    @property
    def url(self) -> str:
        return reverse("deliveries:history") + self.query

    @property
    def ahead_url(self) -> str:
        return reverse("deliveries:detail", args=[self.ahead])

    @property
    def panel_url(self) -> str:
        return reverse("deliveries:panel", args=[self.post.pk]) + self.query

    @property
    def send_url(self) -> str:
        """With what the page knows of the post, so that a second press of the same button sends nothing."""
        url = reverse("deliveries:reprocess", args=[self.post.pk])
        return f"{url}{self.query}&seen={self.post.attempts_made}"


def with_facts(posts: DeliveryQuerySet) -> DeliveryQuerySet:
    """With what a row shows, in the same query, and without the bodies."""
    return posts.select_related("event__product", "config").defer(
        "body", "event__snapshot", "event__mismatches", *CONFIG_SECRETS, "config__events"
    )


def rows_of(posts: Iterable[Delivery], filters: history.Filters, place: Mapping[str, str]) -> list[Row]:
    """`place`: the key of the page they stand on, if it is not the first."""
    posts = list(posts)
    ahead = order.waits_for(posts)
    return [
        Row(
            post,
            outcome_of(post),
            buyer_of(post),
            filters.query(**place, post=str(post.pk)),
            ahead.get(post.pk),
        )
        for post in posts
    ]


@dataclass(frozen=True, slots=True)
class Option:
    label: Words
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter. `chosen` is what it is set to, in words, with `clear_url` to take it off; else empty."""

    name: str
    label: Words
    options: list[Option]
    chosen: Words
    clear_url: str


def chip_of(filters: history.Filters, name: str, label: Words, choices: Mapping[str, Words]) -> Chip:
    """The filter `name`, of which `choices` can be asked for."""
    asked = filters.active.get(name, "")
    off = {"from": None, "to": None} if name == "period" else {}
    options = [
        Option(text, filters.query(**off, **{name: value}) or "?", value == asked)
        for value, text in choices.items()
    ]
    clear = filters.query(**{name: None}) or "?"
    return Chip(name, label, options, choices[asked] if asked else "", clear)


def period_chip(filters: history.Filters) -> Chip:
    """The period, as one of the usual ones or as a span of its own."""
    chip = chip_of(filters, "period", _("Period"), history.PERIODS)
    if filters.active.keys() & {"from", "to"}:
        span = in_words(filters.since, filters.until)
        clear = filters.query(**{"from": None, "to": None}) or "?"
        return Chip(chip.name, chip.label, chip.options, span, clear)
    return chip


def response_choices(filters: history.Filters, known: Mapping[str, Words]) -> dict[str, Words]:
    """The `known` classes, and the single code that is asked for."""
    asked = filters.active.get("response", "")
    if not asked or asked in known:
        return dict(known)
    words = explain(int(asked) if asked.isdigit() else None, asked)
    return {**known, asked: words.title if words else asked}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's filters, with what can be asked for."""

    filters: history.Filters
    configs: dict[str, str]  # {id: name}, removed ones too
    products: dict[str, str]

    @property
    def url(self) -> str:
        """The list's own address."""
        return reverse("deliveries:history")

    @property
    def searched(self) -> Words:
        """What can be searched for, in short."""
        return _("Transaction or buyer")

    @property
    def search_label(self) -> Words:
        return _("Transaction, buyer’s e-mail or name")

    def chips(self) -> list[Chip]:
        """All but the period, which has fields of its own."""
        choices: Sequence[tuple[str, Words, Mapping[str, Words]]] = (
            ("status", _("Status"), history.STATUSES),
            ("response", _("Response"), response_choices(self.filters, history.RESPONSES)),
            ("event", _("Event"), dict(EventType.choices)),
            ("config", _("Configuration"), self.configs),
            ("product", _("Product"), self.products),
            ("bulk", _("Bulk reprocess"), {number: f"#{number}" for number in self._bulk()}),
        )
        return [chip_of(self.filters, *choice) for choice in choices if choice[2]]

    def period(self) -> Chip:
        return period_chip(self.filters)

    def _bulk(self) -> list[str]:
        """The one that is asked for: they are chosen on their own pages."""
        return [self.filters.active["bulk"]] if "bulk" in self.filters.active else []


def asked(request: HttpRequest) -> Asked:
    configs, products = _choices(request)
    return Asked(history.read(request.GET, configs, products), configs, products)


def _choices(request: HttpRequest) -> tuple[dict[str, str], dict[str, str]]:
    configs = WebhookConfig.objects.filter(owner=request.seller).in_order().values_list("pk", "name")
    products = (
        Product.objects.sold_by(request.seller).order_by("name", "pk").distinct().values_list("pk", "name")
    )
    return {str(pk): name for pk, name in configs}, {str(pk): name for pk, name in products}


def in_words(since: datetime | None, until: datetime | None) -> Words:
    """23 Nov, 13:00–14:00; with the second day where it is another."""
    if since and until:
        same_day = timezone.localdate(since) == timezone.localdate(until - timedelta(microseconds=1))
        end = date_format(timezone.localtime(until), "H:i") if same_day else _at(until)
        return f"{_at(since)}–{end}"
    if since:
        return _("since %(time)s") % {"time": _at(since)}
    return _("before %(time)s") % {"time": _at(until)} if until else ""


def _at(at: datetime) -> str:
    local = timezone.localtime(at)
    return date_format(local, "j M, H:i" if local.year == timezone.localtime().year else "j M Y, H:i")


@dataclass(frozen=True, slots=True)
class Chart:
    title: Words
    by_hour: bool
    totals: dict[str, int]  # by kind: ok, wait, bad
    wide: list["LinkedBar"]  # in a drawing of 1000 by 84, the axis at 68
    small: list["LinkedBar"]  # 340 by 84

    @property
    def total(self) -> int:
        return sum(self.totals.values())


@dataclass(frozen=True, slots=True)
class LinkedBar:
    bar: charts.Bar
    url: str  # the list of just this time
    span: Words
    tick: str  # below the axis, at every third or so
    chosen: bool


def chart_of(posts: DeliveryQuerySet, filters: history.Filters) -> Chart:
    """The posts of the period, or, where it is an hour or a day, of the day or the hours around it."""
    since, until, title = _window(filters)
    found = charts.slots(filters.without_period().of(posts), since, until)
    by_hour = found[0].until - found[0].since < charts.DAY
    totals = {kind: sum(getattr(slot, kind) for slot in found) for kind in charts.OF_KIND}
    wide = charts.draw(found, width=1000, height=68, gap=10 if len(found) < 50 else 4, headroom=14)
    small = charts.draw(found, width=340, height=68, gap=3 if len(found) < 50 else 1, headroom=14)
    return Chart(
        title, by_hour, totals, _linked(wide, filters, by_hour, 8), _linked(small, filters, by_hour, 4)
    )


def _window(filters: history.Filters) -> tuple[datetime, datetime, Words]:
    now, since, until = filters.now, filters.since, filters.until
    if period := filters.active.get("period"):
        # One bar for each hour of the last 24, not a 25th for the rest of the first.
        full = timedelta(hours=23) if period == "24h" else now - since
        return now - full, now, history.PERIODS[period]
    day_ago = now - 23 * charts.HOUR
    if since is None and until is None:
        return day_ago, now, history.PERIODS["24h"]
    until = until or now
    since = since or until - charts.DAY
    if until - since > 2 * charts.HOUR:
        return since, until, in_words(since, until)
    if since >= charts.hour(day_ago):
        return day_ago, now, history.PERIODS["24h"]
    midnight = history.midnight(since)
    return midnight, midnight + charts.DAY, date_format(timezone.localtime(since), "j M Y")


def _linked(bars: list[charts.Bar], filters: history.Filters, by_hour: bool, ticks: int) -> list[LinkedBar]:
    every = -(-len(bars) // ticks)
    linked = []
    for n, bar in enumerate(bars):
        since, until = timezone.localtime(bar.slot.since), timezone.localtime(bar.slot.until)
        query = filters.query(
            period=None, **{"from": f"{since:%Y-%m-%dT%H:%M}", "to": f"{until:%Y-%m-%dT%H:%M}"}
        )
        tick = date_format(since, "H:i" if by_hour else "j M") if n % every == 0 else ""
        chosen = filters.since == bar.slot.since and filters.until == bar.slot.until
        linked.append(LinkedBar(bar, query, in_words(since, until), tick, chosen))
    return linked


@dataclass(frozen=True, slots=True)
class Detail:
    """One post: `attempt` is the chosen one of `attempts`, by default the last; None before the first."""

    row: Row
    attempts: list[DeliveryAttempt]  # in order, without bodies
    hidden: int  # how many older ones are not in it
    attempt: DeliveryAttempt | None
    words: Explanation | None
    tab: str
    raw: bool
    shown: showing.Shown | None  # None where there is nothing to show

    @property
    def post(self) -> Delivery:
        return self.row.post

    @property
    def would_open_again(self) -> bool:
        """Sent now, it would open an access that was closed since."""
        return relevance.is_undone(self.post.event.type, self.post.event.sale)

    def report(self) -> str:
        return showing.report(self.post, self.attempt, self.words)

    def request_headers(self) -> showing.Shown | None:
        return showing.headers(self.attempt.request_headers) if self.attempt else None

    def tabs(self) -> list[Option]:
        return [Option(label, self.query(tab=tab), tab == self.tab) for tab, label in TABS.items()]

    def query(self, **changes: str) -> str:
        """The query string of this view of the post. An attempt stands in it only where it is not the last."""
        last = self.attempts[-1].number if self.attempts else None
        number = self.attempt.number if self.attempt else None
        view = {
            "attempt": str(number) if number and number != last else "",
            "tab": self.tab,
            "raw": "1" if self.raw else "",
        }
        return self.row.query + "".join(
            f"&{name}={value}" for name, value in (view | changes).items() if value
        )

    def steps(self) -> list[tuple[DeliveryAttempt, str]]:
        """Each attempt with the query string that chooses it."""
        return [(attempt, self.query(attempt=str(attempt.number))) for attempt in self.attempts]

    def refresh_query(self) -> str:
        return self.query()

    def toggled_raw(self) -> str:
        return self.query(raw="" if self.raw else "1")


def detail_of(post: Delivery, row: Row, params: Mapping[str, str]) -> Detail:
    """`post` has its config and event loaded; `params`: attempt, tab and raw of the query string."""
    wanted = params.get("attempt", "")
    number = int(wanted) if wanted.isascii() and wanted.isdigit() and 0 < len(wanted) < 9 else None
    attempts, attempt = _attempts_of(post, number)
    tab = params.get("tab") if params.get("tab") in TABS else "payload"
    raw = bool(params.get("raw"))
    hidden = max(0, attempts[0].number - 1) if attempts else 0
    return Detail(
        row, attempts, hidden, attempt, _words(post, attempt), tab, raw, _shown(post, attempt, tab, raw)
    )


_HEAVY = ("response_body", "request_headers", "response_headers")


def _attempts_of(post: Delivery, number: int | None) -> tuple[list[DeliveryAttempt], DeliveryAttempt | None]:
    """The last FEW in order, and the one with that number, else the last: it alone whole, in the same query."""
    newest_first = post.attempts.order_by("-number")
    chosen = number or Subquery(newest_first.values("number")[:1])
    whole = {f"its_{name}": Case(When(number=chosen, then=F(name))) for name in _HEAVY}
    attempts = list(newest_first.defer(*_HEAVY).annotate(**whole)[:FEW])[::-1]
    found = [attempt for attempt in attempts if number in (None, attempt.number)]
    if not found:  # none yet, one that is older than those, or no such number
        return attempts, newest_first.filter(number=number).first() or newest_first.first()
    for name in _HEAVY:
        setattr(found[-1], name, getattr(found[-1], f"its_{name}"))
    return attempts, found[-1]


def _words(post: Delivery, attempt: DeliveryAttempt | None) -> Explanation | None:
    if attempt is None:
        return None
    return explain(
        attempt.status,
        attempt.problem,
        attempt.detail,
        url=attempt.url,
        headers=attempt.response_headers,
        page=post.answered_page and attempt.delivered,
        delivered=attempt.delivered,
    )


def _shown(post: Delivery, attempt: DeliveryAttempt | None, tab: str, raw: bool) -> showing.Shown | None:
    if tab == "curl":
        return showing.curl_or_none(post)
    if tab == "payload":
        return showing.payload(post, raw=raw)
    if attempt is None:
        return None
    if tab == "headers":
        return showing.headers(attempt.response_headers) if attempt.response_headers else None
    content = bytes(attempt.response_body)
    if not content:
        return None
    return showing.body(content, showing.content_type(attempt.response_headers), raw=raw)
