"""What Prometheus reads: counters and histograms that only grow, and how things stand at this moment.

The tries are made by many processes, on several machines, that come and go, so none of them counts. The attempts in
the database are the count: each scrape adds to one row of totals what has come since the one before, by the primary
key, so its cost is that of the new attempts however many there are.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Now
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

from configurations.events import Priority

from . import vitals
from .held import EVERY, HeldHost
from .models import DeliveryAttempt
from .monitored import AttemptCounter
from .own_queue import OwnQueue

__all__ = ["CONTENT_TYPE", "page"]

# An attempt may be committed after one with a higher id: what is counted was seen this long ago.
SETTLED = timedelta(seconds=10)
MOST = 100_000  # attempts that one scrape counts: the rest is for the next
TOOK = (25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 15_000)  # ms: upper bounds of the durations
WAITED = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)  # s: of the time from an event to its first try
PREFIX = "webhookhub"


def page() -> bytes:
    """All of them, as text. Raises DatabaseError where the database is out of reach."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return generate_latest(registry)


class _Collector:
    def collect(self) -> Iterable[Metric]:
        yield from _counters(counted())
        yield from _gauges(vitals.vitals())

    def describe(self) -> Iterable[Metric]:
        return []


def _counters(totals: Counter[str]) -> Iterator[Metric]:
    tries = CounterMetricFamily(
        f"{PREFIX}_tries", "Posts that were tried, by what came of it.", labels=["outcome"]
    )
    for name in sorted(totals):
        kind, _, outcome = name.partition(":")
        if kind == "tries":
            tries.add_metric([outcome], totals[name])
    yield tries
    took = "From the look-up of the name to the last byte of the answer."
    yield _histogram("try_duration_seconds", took, totals, "took", [limit / 1000 for limit in TOOK], 1000)
    waited = "From an event to the first try of its post."
    yield _histogram("first_try_delay_seconds", waited, totals, "waited", WAITED, 1000)


def _histogram(
    name: str, says: str, totals: Counter[str], key: str, limits: Iterable[float], per_second: int
) -> Metric:
    family = HistogramMetricFamily(f"{PREFIX}_{name}", says)
    up_to, buckets = 0, []
    for place, limit in enumerate([*limits, "+Inf"]):
        up_to += totals[f"{key}:{place}"]
        buckets.append((str(float(limit)) if limit != "+Inf" else "+Inf", up_to))
    family.add_metric([], buckets, totals[f"{key}:sum"] / per_second)
    return family


def _gauges(seen: vitals.Vitals) -> Iterator[Metric]:
    """A figure that cannot be told is left out, so that an alert on its absence says so."""

    def age(since: datetime | None) -> float:
        return (seen.age(since) or timedelta(0)).total_seconds()

    swept = seen.age(seen.swept_at)
    held = HeldHost.names()
    figures = {
        "due_posts": ("Posts that should be gone.", seen.posts.due),
        "oldest_due_seconds": (
            "Since when the oldest post that is due should be gone; 0 where none is late.",
            age(seen.posts.due_since),
        ),
        "left_behind_posts": ("Posts whose worker ended without giving them back.", seen.posts.lapsed),
        "queue_jobs": ("Jobs in the queue: wake-ups, not posts.", seen.cluster.queue),
        "workers": ("Worker processes that are alive, in all clusters.", seen.cluster.workers),
        "sweep_age_seconds": (
            "Since when the queue last did its job of every minute.",
            None if swept is None else swept.total_seconds(),
        ),
        "failing_configurations": (
            "Configurations that are on and accept nothing.",
            seen.configurations.failing,
        ),
        "own_queues": (
            "Configurations whose posts wait apart: they are slow, limited or fail.",
            OwnQueue.objects.count(),
        ),
        "open_circuits": (
            "Configurations whose circuit is open: they get one post now and then until their server works again.",
            seen.configurations.together,
        ),
        "outage": (
            "1 while receivers cannot be reached because of our own network or name server.",
            int(seen.outage_since is not None),
        ),
        "held_hosts": ("Hosts that staff hold.", len([name for name in held if name != EVERY])),
        "sending_stopped": ("1 where nothing is posted at all.", int(seen.held is not None)),
        "disabled_configurations": ("Configurations that we disabled.", seen.configurations.disabled),
    }
    for name, (says, value) in figures.items():
        if value is not None:
            yield GaugeMetricFamily(f"{PREFIX}_{name}", says, value=value)


# --- Counting -----------------------------------------------------------------------------------------


def counted() -> Counter[str]:
    """The totals, with what is new and settled. Two that count at once count once: the second leaves it to the first."""
    row = AttemptCounter.objects.annotate(now=Now()).first()
    if row is None:
        newest = _newest()
        AttemptCounter.objects.get_or_create(
            pk=1, defaults={"counted_to": newest, "seen_to": newest, "seen_at": Now()}
        )
        return Counter()
    totals = Counter(row.totals)
    if row.now - row.seen_at < SETTLED:
        return totals
    new = DeliveryAttempt.objects.filter(pk__gt=row.counted_to, pk__lte=row.seen_to).order_by("pk")
    last_of_share = new.values_list("pk", flat=True)[MOST - 1 : MOST]
    to = last_of_share.first() or row.seen_to
    totals.update(_count(row.counted_to, to))
    changes = {"counted_to": to, "totals": totals}
    if to == row.seen_to:
        changes |= {"seen_to": _newest(), "seen_at": Now()}
    unmoved = AttemptCounter.objects.filter(pk=1, counted_to=row.counted_to, seen_to=row.seen_to)
    if not unmoved.update(**changes):
        return Counter(AttemptCounter.objects.get(pk=1).totals)
    return totals


def _newest() -> int:
    return DeliveryAttempt.objects.aggregate(newest=Max("pk"))["newest"] or 0


def _count(after: int, to: int) -> Counter[str]:
    if to <= after:
        return Counter()
    attempts = DeliveryAttempt.objects.filter(pk__gt=after, pk__lte=to).order_by()
    return _outcomes(attempts) + _delays(attempts)


def _outcomes(attempts) -> Counter[str]:
    edges = zip((-1, *TOOK), (*TOOK, None), strict=True)
    took = {
        f"took:{place}": Count(
            "pk", filter=Q(duration_ms__gt=low) & (Q(duration_ms__lte=high) if high else Q())
        )
        for place, (low, high) in enumerate(edges)
    }
    kinds = attempts.values("delivered", "status", "problem")
    found = Counter[str]()
    for row in kinds.annotate(n=Count("pk"), ms=Sum("duration_ms"), **took):
        found[f"tries:{_outcome(row['delivered'], row['status'], row['problem'])}"] += row["n"]
        found["took:sum"] += row["ms"]
        found.update({name: row[name] for name in took})
    return found


def _outcome(delivered: bool, status: int | None, problem: str) -> str:
    """delivered; 3xx, 4xx, …; or why no answer came: timeout, dns, … (a value of Problem)."""
    return "delivered" if delivered else problem or f"{(status or 0) // 100}xx"


def _delays(attempts) -> Counter[str]:
    first = attempts.filter(number=1, delivery__priority__lt=Priority.BACKLOG)
    found = Counter[str]()
    for started, arose in first.values_list("started_at", "delivery__created_at").iterator(chunk_size=5000):
        seconds = max((started - arose).total_seconds(), 0.0)
        found[f"waited:{bisect_left(WAITED, seconds)}"] += 1
        found["waited:sum"] += round(seconds * 1000)
    return found
