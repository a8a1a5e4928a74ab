"""What is known of the hosts that posts go to: how many configurations of how many sellers, who fails, who is held."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Min, Q, QuerySet

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import history
from deliveries.explain import explain
from deliveries.figures import FAILING
from deliveries.held import EVERY
from deliveries.hosts import waiting_for
from deliveries.models import CONFIG_SECRETS, Delivery, EndpointHealth, HeldHost
from deliveries.words import Explanation

from .day import Outcome, Tally

SHOW = ("all", "failing", "held")
# How the list can be sorted; each the other way round with a minus.
ORDERS = ("host", "configurations", "sellers", "failing", "disabled")
WORST_FIRST = ("-failing", "-disabled", "-configurations", "host")
FEW = 20  # rows shown on a host's page
MOST_ANSWERS = 8


@dataclass(frozen=True, slots=True)
class Host:
    name: str
    configurations: int  # not removed
    sellers: int
    failing: int
    failing_sellers: int
    failing_since: datetime | None
    disabled: int  # by us
    held: HeldHost | None
    tally: Tally  # of the last 24 hours


def summaries() -> QuerySet[Any]:
    """A row for each host that a configuration is for, as dicts."""
    return (
        WebhookConfig.objects.not_removed()
        .exclude(host="")
        .order_by()
        .values("host")
        .annotate(
            configurations=Count("pk"),
            sellers=Count("owner", distinct=True),
            failing=Count("pk", filter=FAILING),
            failing_sellers=Count("owner", distinct=True, filter=FAILING),
            failing_since=Min("health__first_failure_at", filter=FAILING),
            disabled=Count("pk", filter=Q(state=ConfigState.DISABLED)),
        )
    )


def listed(search: str, show: str, order: str) -> QuerySet[Any]:
    """The rows of the list. An order or a part of it that is not known is left aside."""
    rows = summaries()
    if search:
        rows = rows.filter(host__icontains=search)
    if show == "failing":
        rows = rows.filter(Q(failing__gt=0) | Q(disabled__gt=0))
    elif show == "held":
        rows = rows.filter(host__in=HeldHost.objects.values("host"))
    asked = (order, "host") if order.removeprefix("-") in ORDERS else WORST_FIRST
    return rows.order_by(*dict.fromkeys(asked))


def with_holds(rows: Iterable[dict[str, Any]], tallies: dict[str, Tally]) -> list[Host]:
    rows = list(rows)
    held = {held.host: held for held in HeldHost.objects.filter(host__in=[row["host"] for row in rows])}
    return [
        Host(name := row.pop("host"), held=held.get(name), tally=tallies.get(name, Tally()), **row)
        for row in rows
    ]


def find(name: str, tally: Tally) -> Host | None:
    """A host that a configuration is for, or that is held; a removed configuration's too, for its history."""
    if name == EVERY:  # it has a page of its own
        return None
    row = summaries().filter(host=name).order_by("host").first()
    held = HeldHost.objects.select_related("by").filter(host=name).first()
    if row is None and held is None and not WebhookConfig.objects.filter(host=name).exists():
        return None
    facts = (
        {key: value for key, value in row.items() if key != "host"}
        if row
        else {
            "configurations": 0,
            "sellers": 0,
            "failing": 0,
            "failing_sellers": 0,
            "failing_since": None,
            "disabled": 0,
        }
    )
    return Host(name, held=held, tally=tally, **facts)


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    words: Explanation | None
    tries: int


def answers(tally: Tally) -> list[Answer]:
    """What came most, in words."""
    found = []
    for outcome, tries in tally.outcomes.items():
        status, problem, accepted = outcome
        found.append(Answer(outcome, explain(status, problem, delivered=accepted), tries))
    return sorted(found, key=_most_first)[:MOST_ANSWERS]


def _most_first(answer: Answer) -> tuple[Any, ...]:
    """Of as many, what failed stands first."""
    status, problem, accepted = answer.outcome
    return -answer.tries, accepted, status or 0, problem


def waiting(name: str) -> dict[str, tuple[int, bool]]:
    """{state: (how many posts, whether there are more)} of what waits for a host, and of what is held."""
    configs = WebhookConfig.objects.filter(host=name).values("pk")
    return {
        "waiting": history.count(waiting_for(name)),
        "held": history.count(Delivery.objects.held().filter(config__in=configs)),
    }


@dataclass(frozen=True, slots=True)
class Troubled:
    config: WebhookConfig
    health: EndpointHealth | None
    words: Explanation | None


def troubled(name: str) -> list[Troubled]:
    """Its configurations that fail or are disabled by us, those that fail longest first; at most FEW."""
    configs = (
        WebhookConfig.objects.filter(FAILING | Q(state=ConfigState.DISABLED), host=name)
        .select_related("owner", "health")
        .defer(*(secret.removeprefix("config__") for secret in CONFIG_SECRETS))
        .order_by(F("health__first_failure_at").asc(nulls_last=True), "pk")[:FEW]
    )
    found = []
    for config in configs:
        health = getattr(config, "health", None)
        words = explain(health.last_status, health.last_problem, url=config.url) if health else None
        found.append(Troubled(config, health, words))
    return found
