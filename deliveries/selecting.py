"""Which posts a bulk reprocess is asked for, and what sending them would mean.

A selection is kept as JSON with the bulk until all its posts are queued, so that an interrupted queueing goes on:
{"history": query string} of the owner's History, or {"options": Selected.to_json()} of the command.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.db.models import Count, Q
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from sales.models import Product, Seller

from . import history, relevance
from .choices import FINISHED
from .models import Delivery, DeliveryQuerySet, State
from .reprocessing import BulkReprocess


@dataclass(frozen=True, slots=True)
class Selected:
    """What the command's options ask for: of each that is given, one has to fit. `codes`: as history.is_response."""

    configurations: tuple[int, ...] = ()
    owners: tuple[int, ...] = ()
    statuses: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive

    def of(self, posts: DeliveryQuerySet) -> DeliveryQuerySet:
        lists = {
            "config__in": self.configurations,
            "owner__in": self.owners,
            "state__in": self.statuses,
            "event__type__in": self.events,
            "event__transaction_code__in": self.transactions,
        }
        posts = posts.filter(**{lookup: values for lookup, values in lists.items() if values})
        if self.codes:
            posts = posts.filter(_any(history.answered(code) for code in self.codes))
        if self.since:
            posts = posts.filter(created_at__gte=self.since)
        if self.until:
            posts = posts.filter(created_at__lt=self.until)
        return posts

    def to_json(self) -> dict[str, Any]:
        return {
            name: value.isoformat() if isinstance(value, datetime) else list(value)
            for name, value in asdict(self).items()
            if value
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Selected":
        return cls(
            **{
                name: parse_datetime(value) if isinstance(value, str) else tuple(value)
                for name, value in facts.items()
            }
        )


def _any(conditions: Any) -> Q:
    found = Q(pk__in=())
    for condition in conditions:
        found |= condition
    return found


def of(bulk: BulkReprocess) -> DeliveryQuerySet | None:
    """All that `bulk` is asked for; None where that was not kept."""
    if options := bulk.selection.get("options"):
        return Selected.from_json(options).of(Delivery.objects.all())
    if "history" in bulk.selection and bulk.owner:
        return _of_history(bulk.owner, bulk.selection["history"], bulk.asked_at)
    return None


def _of_history(owner: Seller, query: str, asked_at: datetime) -> DeliveryQuerySet:
    configs = WebhookConfig.objects.filter(owner=owner).values_list("pk", flat=True)
    products = Product.objects.sold_by(owner).values_list("pk", flat=True)
    with timezone.override(ZoneInfo(owner.time_zone)):
        filters = history.read(QueryDict(query.removeprefix("?")), configs, products, now=asked_at)
    return filters.of(Delivery.objects.filter(owner=owner))


# --- What it would mean -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Target:
    """The posts of one configuration: `posts` would be sent afresh, and of these `arrived` and `undone`."""

    config: int
    name: str
    url: str
    owner: str  # code
    is_on: bool
    posts: int  # finished or held
    arrived: int
    undone: int  # would open an access that was closed since
    waiting: int
    sending: int

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or self.url

    @property
    def with_waiting(self) -> int:
        return self.posts + self.waiting


@dataclass(frozen=True, slots=True)
class Facts:
    """What sending the selected posts would mean. Only the posts of configurations that are on can be sent."""

    sends: list[Target] = field(default_factory=list)
    skips: list[Target] = field(default_factory=list)  # not on

    def _sum(self, name: str) -> int:
        return sum(getattr(target, name) for target in self.sends)

    @property
    def posts(self) -> int:
        return self._sum("posts")

    @property
    def arrived(self) -> int:
        return self._sum("arrived")

    @property
    def undone(self) -> int:
        return self._sum("undone")

    @property
    def waiting(self) -> int:
        return self._sum("waiting")

    @property
    def sending(self) -> int:
        return self._sum("sending")

    @property
    def not_on(self) -> int:
        return sum(target.posts + target.waiting for target in self.skips)

    @property
    def hosts(self) -> dict[str, int]:
        """{host: posts}, the most first."""
        found: Counter[str] = Counter()
        for target in self.sends:
            if target.posts:
                found[target.host] += target.posts
        return dict(found.most_common())


def facts_of(posts: DeliveryQuerySet) -> Facts:
    """In one query. Posts whose buyer's data were erased are not among them: they are never sent again."""
    again = Q(state__in=(*FINISHED, State.HELD))
    rows = (
        posts.filter(event__redacted_at=None)
        .order_by()
        .values("config", "config__name", "config__url", "config__state", "owner__code")
        .annotate(
            posts=Count("pk", filter=again),
            arrived=Count("pk", filter=Q(state=State.DELIVERED)),
            undone=Count("pk", filter=again & relevance.undone("event__")),
            waiting=Count("pk", filter=Q(state=State.WAITING)),
            sending=Count("pk", filter=Q(state=State.SENDING)),
        )
        .order_by("config__name", "config")
    )
    counts = ("posts", "arrived", "undone", "waiting", "sending")
    targets = [
        Target(
            row["config"],
            row["config__name"],
            row["config__url"],
            row["owner__code"],
            row["config__state"] == ConfigState.ON,
            **{name: row[name] for name in counts},
        )
        for row in rows
    ]
    return Facts([t for t in targets if t.is_on], [t for t in targets if not t.is_on])
