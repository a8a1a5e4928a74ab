"""How the posts fare: the health strip's lines, and the figures beside each configuration."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, F, Max, Min, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Coalesce, TruncHour
from django.utils import timezone

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from . import charts, history
from .explain import explain
from .hosts import held_hosts_of
from .models import Delivery, EndpointHealth, Event, HeldHost, Outage, State
from .together import Together, of_queues, together_of
from .words import Explanation

DAY = timedelta(hours=24)
FAILING_FROM = 3  # failures in a row
# Of configurations: what _fails() says of one.
FAILING = Q(
    Q(health__url="") | Q(health__url=F("url")), state=ConfigState.ON, health__failures__gte=FAILING_FROM
)


@dataclass(frozen=True, slots=True)
class WithoutAccess:
    """Who paid and has no access yet. `amounts` holds one (amount, currency) each: they are never added up."""

    buyers: int
    posts: int
    since: datetime
    amounts: list[tuple[Decimal, str]]
    product: str  # where all wait for the same one, else empty
    sendable: int  # posts whose configuration is on


@dataclass(frozen=True, slots=True)
class Health:
    """What the strip says. `configs` are those that are disabled by us or failing, the disabled ones first.

    `paused` are the hosts that staff hold, or the one hold of all sending: no configuration to one of them is called failing.
    """

    without_access: WithoutAccess | None
    paused: list[HeldHost]
    outage_since: datetime | None  # while we reach hardly any host: then it is not theirs that fail
    configs: list["Troubled"]
    total: int  # posts of the last 24 hours, and of these:
    delivered: int
    failed: int
    pages: int  # answered 2xx with a web page


@dataclass(frozen=True, slots=True)
class Troubled:
    config: WebhookConfig
    held: int
    failures: int
    since: datetime | None
    words: Explanation | None
    together: Together | None = None  # its posts wait for its server

    @property
    def disabled(self) -> bool:
        return self.config.state == ConfigState.DISABLED


def health_of(user: AbstractBaseUser | AnonymousUser, now: datetime) -> Health | None:
    """None for whoever has neither configurations nor posts of the last 24 hours: there is nothing to say."""
    posts = Delivery.objects.visible_to(user)
    day = posts.filter(created_at__gte=now - DAY).aggregate(
        total=Count("pk"),
        delivered=Count("pk", filter=Q(state=State.DELIVERED)),
        failed=Count("pk", filter=Q(state=State.FAILED)),
        pages=Count("pk", filter=Q(state=State.DELIVERED, answered_page=True)),
    )
    configs = list(
        WebhookConfig.objects.visible_to(user)
        .select_related("health", "own_queue")
        .annotate(outage_since=Subquery(Outage.objects.on().values("since")[:1]))
        .annotate(held=Coalesce(Subquery(_held_by_config().filter(config=OuterRef("pk")).values("n")), 0))
        .in_order()
    )
    if not configs and not day["total"]:
        return None
    paused = held_hosts_of(configs)
    troubled = _troubled([c for c in configs if c.host not in paused or c.state == ConfigState.DISABLED])
    return Health(
        _without_access(posts, now),
        list({held.pk: held for held in paused.values()}.values()),
        configs[0].outage_since if configs else None,
        troubled,
        **day,
    )


def _without_access(posts: Any, now: datetime) -> WithoutAccess | None:
    """One query, by currency. An event counts once, to however many configurations it did not come through."""
    unaccepted = posts.filter(history.without_access(now))
    sendable = unaccepted.filter(config__state=ConfigState.ON).exclude(state=State.SENDING)
    sendable = sendable.order_by().values("owner").annotate(n=Count("pk")).values("n")
    rows = list(
        Event.objects.filter(pk__in=unaccepted.order_by().values("event"))
        .order_by()
        .values("currency")
        .annotate(
            buyers=Count("buyer_email", distinct=True),
            posts=Count("pk"),
            amount=Sum("amount"),
            since=Min("occurred_at"),
            first=Min("product__name"),
            last=Max("product__name"),
            sendable=Coalesce(Subquery(sendable), 0),
        )
    )
    if not rows:
        return None
    names = {row["first"] for row in rows} | {row["last"] for row in rows}
    return WithoutAccess(
        buyers=sum(row["buyers"] for row in rows),
        posts=sum(row["posts"] for row in rows),
        since=min(row["since"] for row in rows),
        amounts=sorted(
            ((row["amount"], row["currency"]) for row in rows if row["amount"] is not None), reverse=True
        ),
        product=names.pop() if len(names) == 1 else "",
        sendable=rows[0]["sendable"],
    )


def _troubled(configs: Sequence[WebhookConfig]) -> list[Troubled]:
    by_pk = {config.pk: config for config in configs}
    healths = {pk: getattr(config, "health", None) for pk, config in by_pk.items()}
    found = {
        pk
        for pk, config in by_pk.items()
        if config.state == ConfigState.DISABLED or _fails(config, healths.get(pk))
    }
    together = of_queues(by_pk[pk].own_queue for pk in found if hasattr(by_pk[pk], "own_queue"))
    lines = [_trouble(by_pk[pk], healths.get(pk), together.get(pk)) for pk in by_pk if pk in found]
    return sorted(lines, key=lambda line: not line.disabled)


def _trouble(config: WebhookConfig, health: EndpointHealth | None, together: Together | None) -> Troubled:
    if config.state == ConfigState.DISABLED or health is None:
        return Troubled(config, config.held, 0, config.state_changed_at, None)
    words = _words(config, health)
    return Troubled(config, config.held, health.failures, health.first_failure_at, words, together)


def _fails(config: WebhookConfig, health: EndpointHealth | None) -> bool:
    """Nothing came through at its present URL, several times in a row; one failure is what the retries are for."""
    if health is None or config.state != ConfigState.ON:
        return False
    return health.failures >= FAILING_FROM and health.url in ("", config.url)


def _healths(configs: Any) -> dict[int, EndpointHealth]:
    return EndpointHealth.objects.in_bulk(configs)


def _words(config: WebhookConfig, health: EndpointHealth) -> Explanation | None:
    return explain(health.last_status, health.last_problem, health.last_detail, url=config.url)


def _held(configs: Any) -> dict[int, int]:
    return dict(_held_by_config().filter(config__in=configs).values_list("config", "n"))


def _held_by_config() -> Any:
    return Delivery.objects.held().order_by().values("config").annotate(n=Count("pk"))


@dataclass(slots=True)
class Figures:
    """A configuration's last 24 hours."""

    posts: int = 0
    delivered: int = 0
    held: int = 0  # of all times
    last_success_at: datetime | None = None  # of all times
    failing: bool = False
    failures: int = 0  # in a row, while failing
    failing_since: datetime | None = None
    words: Explanation | None = None  # of the last failure, while failing
    paused: HeldHost | None = None  # staff hold its host
    together: Together | None = None  # how its posts wait, or go again
    bars: list[charts.Bar] = field(default_factory=list)  # 24, in a drawing of 132 by 24

    @property
    def share(self) -> float | None:
        """Of the posts that were delivered, from 0 to 1."""
        return self.delivered / self.posts if self.posts else None


def figures_of(configs: Sequence[WebhookConfig], now: datetime | None = None) -> dict[int, Figures]:
    """{configuration: its figures}, in five or six queries however many they are."""
    now = now or timezone.now()
    by_pk = {config.pk: config for config in configs}
    found = {pk: Figures() for pk in by_pk}
    if not found:
        return found
    hours = [charts.hour(now) - n * charts.HOUR for n in range(23, -1, -1)]
    rows = (
        Delivery.objects.filter(config__in=by_pk, created_at__gte=hours[0], created_at__lte=now)
        .order_by()
        .annotate(slot=TruncHour("created_at", tzinfo=UTC))
        .values("config", "slot")
        .annotate(**charts.kinds())
    )
    by_hour = {(row["config"], row["slot"]): row for row in rows}
    held = _held(by_pk)
    healths = _healths(by_pk)
    paused = held_hosts_of(configs)
    together = together_of(configs)
    for pk, figures in found.items():
        slots = [charts.slot_of(hour, hour + charts.HOUR, by_hour.get((pk, hour))) for hour in hours]
        figures.posts = sum(slot.total for slot in slots)
        figures.delivered = sum(slot.ok for slot in slots)
        figures.bars = charts.draw(slots, width=132, height=24, gap=1.5)
        figures.held = held.get(pk, 0)
        figures.paused = paused.get(by_pk[pk].host)
        figures.together = None if figures.paused else together.get(pk)
        health = healths.get(pk)
        figures.last_success_at = health.last_success_at if health else None
        if health and not figures.paused and _fails(by_pk[pk], health):
            figures.failing = True
            figures.failures, figures.failing_since = health.failures, health.first_failure_at
            figures.words = _words(by_pk[pk], health)
    return found


def unsent(config: WebhookConfig) -> int:
    """The posts that its removal would leave unsent."""
    return Delivery.objects.filter(
        config=config, state__in=(State.WAITING, State.SENDING, State.HELD)
    ).count()
