"""The tries of a day as charts: each hour a bar that leads to the list behind it, and the same numbers as rows."""

from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format

from deliveries import charts
from deliveries.pages import in_words
from deliveries.words import Words

from .day import Day, Tally
from .kit import list_url

HEIGHT, HEADROOM = 68, 14  # of the drawing; the ticks stand below
TICKS = {1000: 8, 340: 4}


@dataclass(frozen=True, slots=True)
class Hour:
    bar: charts.Bar
    tally: Tally
    span: Words
    tick: str  # below the axis, at every third or so
    url: str  # the tries of this hour; empty for who may not see them
    failed_url: str
    share_y: str  # of a second drawing: the share that was accepted
    share_height: str

    @property
    def slot(self) -> charts.Slot:
        return self.bar.slot


@dataclass(frozen=True, slots=True)
class Chart:
    whole: Tally
    wide: list[Hour]  # in a drawing of 1000 by 84, the axis at 68
    small: list[Hour]  # 340 by 84


def chart_of(day: Day, user: Any, host: str | None = None) -> Chart:
    """Of the tries to one host, or to all."""
    counted = day.by_hour(host)
    whole = day.whole() if host is None else day.of(host)
    lookups = {} if host is None else {"delivery__config__host": host}
    return Chart(whole, _hours(counted, user, lookups, 1000, 10), _hours(counted, user, lookups, 340, 3))


def _hours(
    counted: list[tuple[charts.Slot, Tally]], user: Any, lookups: dict[str, str], width: int, gap: int
) -> list[Hour]:
    bars = charts.draw(
        [slot for slot, _tally in counted], width=width, height=HEIGHT, gap=gap, headroom=HEADROOM
    )
    every = -(-len(bars) // TICKS[width])
    hours = []
    for n, (bar, (slot, tally)) in enumerate(zip(bars, counted, strict=True)):
        since, until = timezone.localtime(slot.since), timezone.localtime(slot.until)
        within = lookups | {
            "started_at__gte": slot.since.isoformat(),
            "started_at__lt": slot.until.isoformat(),
        }
        high = (tally.share or 0) * (HEIGHT - 4)
        hours.append(
            Hour(
                bar,
                tally,
                in_words(since, until),
                date_format(since, "H:i") if n % every == 0 else "",
                list_url(user, "deliveries_deliveryattempt", **within),
                list_url(user, "deliveries_deliveryattempt", delivered__exact=0, **within),
                f"{HEIGHT - high:.1f}",
                f"{high:.1f}",
            )
        )
    return hours
