"""The tries of the last 24 hours, by hour and by host: how many, what came of them, how long they took.

An attempt never changes, so an hour that is over is counted once and kept; only the running one is counted afresh.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Case, Count, F, IntegerField, Sum, Value, When

from deliveries import charts
from deliveries.models import DeliveryAttempt
from deliveries.phases import WORDS as PHASES

HOURS = 24
FRESH_FOR = timedelta(seconds=15)  # the count of an hour whose tries are not all recorded yet
SETTLED = timedelta(minutes=5)  # after its end, they are
KEY = "deliveries.staff.day.phases"
# A duration is counted under the first of these that it does not exceed, in ms; a longer one under the last.
STEPS = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 60_000)

Outcome = tuple[int | None, str, bool]  # status, problem, accepted


@dataclass(slots=True)
class Tally:
    """Tries, and what came of them."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    steps: Counter[int] = field(default_factory=Counter)  # how many took up to so many ms
    took_ms: int = 0
    phases: Counter[str] = field(default_factory=Counter)  # {column of an attempt: ms in all}
    passed: Counter[str] = field(default_factory=Counter)  # how many tries had that phase

    def add(self, other: "Tally") -> None:
        self.outcomes.update(other.outcomes)
        self.steps.update(other.steps)
        self.took_ms += other.took_ms
        self.phases.update(other.phases)
        self.passed.update(other.passed)

    @property
    def tries(self) -> int:
        return self.outcomes.total()

    @property
    def accepted(self) -> int:
        return sum(n for (_status, _problem, accepted), n in self.outcomes.items() if accepted)

    @property
    def refused(self) -> int:
        """Answered, but not accepted."""
        return sum(n for (status, _problem, ok), n in self.outcomes.items() if status is not None and not ok)

    @property
    def silent(self) -> int:
        """No answer came."""
        return self.tries - self.accepted - self.refused

    @property
    def failed(self) -> int:
        return self.tries - self.accepted

    @property
    def share(self) -> float | None:
        """Of the tries that were accepted, from 0 to 1."""
        return self.accepted / self.tries if self.tries else None

    @property
    def mean_ms(self) -> int | None:
        return round(self.took_ms / self.tries) if self.tries else None

    @property
    def mean_phases(self) -> dict[str, int]:
        """{column: mean ms of the tries that had the phase}; most posts have a kept connection, so no TLS."""
        return {name: round(self.phases[name] / self.passed[name]) for name in PHASES if self.passed[name]}

    @property
    def p95_ms(self) -> int | None:
        """95 % of the tries took no longer: one of STEPS."""
        so_far = 0
        for step in STEPS:
            so_far += self.steps[step]
            if so_far and so_far >= 0.95 * self.tries:
                return step
        return None


@dataclass(frozen=True, slots=True)
class Day:
    """`hours`: each of the last 24, the running one last, with the tally of each host."""

    hours: list[tuple[datetime, dict[str, Tally]]]

    def of(self, host: str) -> Tally:
        return _sum(hosts[host] for _hour, hosts in self.hours if host in hosts)

    def whole(self) -> Tally:
        return _sum(tally for _hour, hosts in self.hours for tally in hosts.values())

    def by_host(self) -> dict[str, Tally]:
        found: dict[str, Tally] = {}
        for _hour, hosts in self.hours:
            for host, tally in hosts.items():
                found.setdefault(host, Tally()).add(tally)
        return found

    def by_hour(self, host: str | None = None) -> list[tuple[charts.Slot, Tally]]:
        """Of one host, or of all."""
        found = []
        for hour, hosts in self.hours:
            tally = _sum([hosts[host]] if host in hosts else [] if host is not None else hosts.values())
            slot = charts.Slot(hour, hour + charts.HOUR, tally.accepted, tally.refused, tally.silent)
            found.append((slot, tally))
        return found


def read(now: datetime) -> Day:
    """One query for the hours that are not known yet; none for who looks again within seconds."""
    hours = [charts.hour(now) - n * charts.HOUR for n in range(HOURS - 1, -1, -1)]
    kept: dict[datetime, tuple[datetime, dict[str, Tally]]] = cache.get(KEY) or {}
    missing = [hour for hour in hours if not _is_known(kept.get(hour), hour, now)]
    if missing:
        counted = _count(missing[0], now)
        kept = {hour: kept[hour] for hour in hours if hour in kept and hour < missing[0]}
        kept |= {hour: (now, counted.get(hour, {})) for hour in hours if hour >= missing[0]}
        cache.set(KEY, kept, HOURS * 3600)
    return Day([(hour, kept[hour][1]) for hour in hours])


def _is_known(counted: tuple[datetime, Any] | None, hour: datetime, now: datetime) -> bool:
    if counted is None:
        return False
    at = counted[0]
    return at >= hour + charts.HOUR + SETTLED or timedelta(0) <= now - at < FRESH_FOR


def _count(since: datetime, until: datetime) -> dict[datetime, dict[str, Tally]]:
    """{hour: {host: tally}} of the tries from the full hour `since` on."""
    hours = [since + n * charts.HOUR for n in range(HOURS) if since + n * charts.HOUR <= until]
    # Comparisons in place of a function, which SQLite would call in Python for each row.
    number = Case(
        *(When(started_at__gte=hour, then=Value(n)) for n, hour in reversed(list(enumerate(hours)))),
        output_field=IntegerField(),
    )
    step = Case(
        *(When(duration_ms__lte=step, then=Value(step)) for step in STEPS),
        default=Value(STEPS[-1]),
        output_field=IntegerField(),
    )
    rows = (
        DeliveryAttempt.objects.filter(started_at__gte=since, started_at__lt=hours[-1] + charts.HOUR)
        .order_by()
        .values("status", "problem", "delivered", hour=number, step=step, host=F("delivery__config__host"))
        .annotate(
            n=Count("pk"),
            took=Sum("duration_ms"),
            **{f"{name}_sum": Sum(name) for name in PHASES},
            **{f"{name}_count": Count(name) for name in PHASES},
        )
    )
    found: dict[datetime, dict[str, Tally]] = {}
    for row in rows:
        tally = found.setdefault(hours[row["hour"]], {}).setdefault(row["host"], Tally())
        tally.outcomes[row["status"], row["problem"], row["delivered"]] += row["n"]
        tally.steps[row["step"]] += row["n"]
        tally.took_ms += row["took"]
        for name in PHASES:
            tally.phases[name] += row[f"{name}_sum"] or 0
            tally.passed[name] += row[f"{name}_count"]
    return found


def _sum(tallies: Any) -> Tally:
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole
