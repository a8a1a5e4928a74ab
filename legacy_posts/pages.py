"""What the pages of old posts are made of: rows, filter chips, one post in detail. Views only join them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from configurations.events import EventType
from configurations.models import WebhookConfig
from deliveries import history, pages, showing
from deliveries.contract import FORM, JSON
from deliveries.models import NOT_ON
from deliveries.words import Words

from . import filters
from .models import Format, Kind, LegacyPost, LegacyPostQuerySet
from .sending import Destinations

TABS: Mapping[str, Words] = {"payload": gettext_lazy("Payload"), "response": gettext_lazy("Response")}
CONTENT_TYPES = {Format.JSON: JSON, Format.FORM: FORM, Format.OTHER: ""}
SHARED = ("period", "from", "to", "response", "event", "q")  # filters that old and new posts have
NAMES: Mapping[str, Words] = {
    Kind.SENT: gettext_lazy("Sent Posts"),
    Kind.PENDING: gettext_lazy("Pending Posts"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's filters of one of the lists, with what can be asked for."""

    kind: str
    filters: filters.Filters
    hosts: list[str]

    @property
    def url(self) -> str:
        return reverse(f"legacy_posts:{self.kind}")

    @property
    def searched(self) -> Words:
        return _("Transaction, e-mail or product")

    @property
    def search_label(self) -> Words:
        return _("Transaction, buyer’s e-mail or product")

    def chips(self) -> list[pages.Chip]:
        choices: Sequence[tuple[str, Words, Mapping[str, Words]]] = (
            ("state", _("Status"), filters.STATES if self.kind == Kind.PENDING else {}),
            ("response", _("Response"), pages.response_choices(self.filters, filters.RESPONSES)),
            ("event", _("Event"), dict(EventType.choices)),
            ("host", _("Host"), {host: host for host in self.hosts}),
        )
        return [pages.chip_of(self.filters, *choice) for choice in choices if choice[2]]

    def period(self) -> pages.Chip:
        return pages.period_chip(self.filters)


def asked(request: HttpRequest, kind: str) -> Asked:
    hosts = filters.hosts_of(request.seller, kind)
    if (host := request.GET.get("host", "")) and len(hosts) == filters.HOSTS:
        hosts.append(host)  # one of those that are not listed
    return Asked(kind, filters.read(request.GET, hosts), sorted(set(hosts)))


@dataclass(frozen=True, slots=True)
class AskedOfBoth:
    """The filters of the list of old and new posts: those that both have."""

    new: history.Filters
    old: filters.Filters

    @property
    def filters(self) -> history.Filters:
        return self.new

    @property
    def url(self) -> str:
        return reverse("legacy_posts:all")

    @property
    def searched(self) -> Words:
        return _("Transaction or buyer")

    @property
    def search_label(self) -> Words:
        return _("Transaction or buyer’s e-mail")

    def chips(self) -> list[pages.Chip]:
        return [
            pages.chip_of(
                self.new, "response", _("Response"), pages.response_choices(self.new, filters.RESPONSES)
            ),
            pages.chip_of(self.new, "event", _("Event"), dict(EventType.choices)),
        ]

    def period(self) -> pages.Chip:
        return pages.period_chip(self.new)


def asked_of_both(request: HttpRequest) -> AskedOfBoth:
    params = {name: request.GET[name] for name in SHARED if name in request.GET}
    old = filters.read(params, ())
    new = history.read(old.active, (), (), old.now)
    new.notes = old.notes
    return AskedOfBoth(new, old)


@dataclass(frozen=True, slots=True)
class Row:
    """A post in its list. `config`: where it would be sent; None where that is not known, or it is not pending."""

    post: LegacyPost
    query: str  # the list's, with this post open
    config: WebhookConfig | None = None

    @property
    def url(self) -> str:
        return reverse(f"legacy_posts:{self.post.kind}") + self.query

    @property
    def panel_url(self) -> str:
        return reverse(f"legacy_posts:{self.post.kind}_panel", args=[self.post.pk]) + self.query

    @property
    def sends(self) -> bool:
        """Whether it can be sent without a question."""
        return self.post.can_be_sent and self.config is not None and self.config.state not in NOT_ON

    @property
    def why_not(self) -> Words:
        """Why the configuration that it belongs to cannot take it now."""
        return NOT_ON.get(self.config.state, "") if self.config else ""


def for_list(posts: LegacyPostQuerySet) -> LegacyPostQuerySet:
    """With what a row shows, in the same query."""
    return posts.without_texts().select_related("source", "delivery").defer("delivery__body")


def rows_of(
    posts: Iterable[LegacyPost],
    asked: history.Filters,
    place: Mapping[str, str],
    destinations: Destinations | None = None,
) -> list[Row]:
    """`place`: the key of the page they stand on, if it is not the first."""
    return [
        Row(
            post, asked.query(**place, post=str(post.pk)), destinations.of(post.url) if destinations else None
        )
        for post in posts
    ]


@dataclass(frozen=True, slots=True)
class Detail:
    """One post, with the text of the chosen tab; None where there is none."""

    row: Row
    tab: str
    raw: bool
    shown: showing.Shown | None

    def tabs(self) -> list[pages.Option]:
        return [pages.Option(label, self.query(tab=tab), tab == self.tab) for tab, label in TABS.items()]

    def toggled_raw(self) -> str:
        return self.query(raw="" if self.raw else "1")

    def query(self, **changes: str) -> str:
        view = {"tab": self.tab, "raw": "1" if self.raw else ""} | changes
        return self.row.query + "".join(f"&{name}={value}" for name, value in view.items() if value)


def detail_of(row: Row, params: Mapping[str, str]) -> Detail:
    """`params`: tab and raw of the query string."""
    tab = params.get("tab") if params.get("tab") in TABS else "payload"
    raw = bool(params.get("raw"))
    post = row.post
    text, content_type = (
        (post.payload, CONTENT_TYPES[Format(post.format)]) if tab == "payload" else (post.response, "")
    )
    shown = showing.body(text.encode(), content_type, raw=raw) if text.strip() else None
    return Detail(row, str(tab), raw, shown)


EXPORTED: tuple[Words, ...] = (
    gettext_lazy("Time (UTC)"), gettext_lazy("Event"), gettext_lazy("Transaction"), gettext_lazy("Product code"),
    gettext_lazy("Product"), gettext_lazy("Buyer’s e-mail"), gettext_lazy("URL"), gettext_lazy("HTTP status"),
    gettext_lazy("Problem"), gettext_lazy("Tries"), gettext_lazy("Sent from here (UTC)"), gettext_lazy("Payload"),
    gettext_lazy("Response"),
)  # fmt: skip


def exported(posts: LegacyPostQuerySet) -> Iterator[Sequence[Any]]:
    """The cells of each, read bit by bit."""
    for post in posts.newest_first().iterator(chunk_size=200):
        yield (
            post.occurred_at, post.event, post.transaction_code, post.product_code, post.product_name,
            post.buyer_email, post.url, post.status, post.problem, post.tries, post.sent_at, post.payload,
            post.response,
        )  # fmt: skip


def export_name(kind: str) -> str:
    return f"{kind}-posts-{timezone.localdate():%Y-%m-%d}"
