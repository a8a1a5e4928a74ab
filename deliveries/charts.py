"""Posts over time as bars: what they are made of, and where each stands in its drawing."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDay, TruncHour
from django.utils import timezone

from .models import DeliveryQuerySet, State

OF_KIND = {
    "ok": Q(state=State.DELIVERED),
    "wait": Q(state__in=(State.WAITING, State.SENDING, State.HELD)),
    "bad": Q(state=State.FAILED),
}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOST_BARS = 92


@dataclass(frozen=True, slots=True)
class Slot:
    """What arose from `since` to before `until`."""

    since: datetime
    until: datetime
    ok: int = 0
    wait: int = 0
    bad: int = 0

    @property
    def total(self) -> int:
        return self.ok + self.wait + self.bad


def kinds() -> dict[str, Count]:
    """For annotate(): how many posts of each kind."""
    return {kind: Count("pk", filter=condition) for kind, condition in OF_KIND.items()}


def slots(posts: DeliveryQuerySet, since: datetime, until: datetime) -> list[Slot]:
    """From the hour (up to two days) or the day that `since` falls into, to `until`; at most MOST_BARS, the last."""
    by_hour = until - since <= 2 * DAY
    starts = list(_starts(since, until, by_hour))[-MOST_BARS:]
    ends = [*starts[1:], _next(starts[-1], by_hour)]
    found = {
        row["slot"].astimezone(UTC): row
        for row in posts.filter(created_at__gte=starts[0], created_at__lt=until)
        .order_by()
        .annotate(slot=TruncHour("created_at") if by_hour else TruncDay("created_at"))
        .values("slot")
        .annotate(**kinds())
    }
    return [
        slot_of(start, end, found.get(start.astimezone(UTC))) for start, end in zip(starts, ends, strict=True)
    ]


def slot_of(since: datetime, until: datetime, row: dict[str, Any] | None) -> Slot:
    """`row`: what kinds() counted, or None for nothing."""
    return Slot(since, until, **{kind: row[kind] if row else 0 for kind in OF_KIND})


def hour(at: datetime) -> datetime:
    """The full hour before, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _starts(since: datetime, until: datetime, by_hour: bool) -> Iterable[datetime]:
    floor = {"minute": 0, "second": 0, "microsecond": 0} | ({} if by_hour else {"hour": 0})
    start = timezone.localtime(since).replace(**floor)
    while start < until:
        yield start
        start = _next(start, by_hour)


def _next(start: datetime, by_hour: bool) -> datetime:
    """An hour later on the clock of the world, or midnight on the page's."""
    if by_hour:
        return timezone.localtime(start.astimezone(UTC) + HOUR)
    return start + DAY


@dataclass(frozen=True, slots=True)
class Part:
    """One colour of a bar. Texts, so that no language puts a comma into the drawing."""

    kind: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Bar:
    slot: Slot
    x: str
    middle: str
    width: str
    top: str  # where a number can stand above it
    parts: list[Part]


def draw(found: list[Slot], *, width: float, height: float, gap: float, headroom: float = 2) -> list[Bar]:
    """The bars of a drawing `width` by `height` units, the highest `headroom` below its edge."""
    highest = max((slot.total for slot in found), default=0) or 1
    step = (width + gap) / max(len(found), 1)
    bars = []
    for n, slot in enumerate(found):
        y, parts = height, []
        for kind in OF_KIND:
            if many := getattr(slot, kind):
                tall = max(many / highest * (height - headroom), 1.0)
                y -= tall
                parts.append(Part(kind, f"{max(y, 0):.1f}", f"{tall:.1f}"))
        x, wide = n * step, step - gap
        bars.append(
            Bar(slot, f"{x:.1f}", f"{x + wide / 2:.1f}", f"{wide:.1f}", f"{max(y - 3, 9):.1f}", parts)
        )
    return bars
