"""What ended long ago is deleted, and counted. What waits, is on its way or held stays, however old it is.

It goes in batches, each a short transaction of its own, so that sales are saved meanwhile; what was done stays done,
wherever it is stopped. Two at once do no harm: each row is deleted, and counted, by one of them.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, DateField, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth
from django.utils import timezone

from . import tallies
from .choices import FINISHED
from .models import Delivery, DeliveryAttempt, DeliveryQuerySet, Event

BATCH = 500  # rows of one transaction
PAUSE = 0.01  # seconds between two, in which whoever waits to write comes first


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows, of one batch or of several."""

    posts: int = 0
    attempts: int = 0
    events: int = 0

    def __add__(self, more: "Deleted") -> "Deleted":
        return Deleted(self.posts + more.posts, self.attempts + more.attempts, self.events + more.events)


@dataclass(frozen=True, slots=True)
class Month:
    """What would be deleted of one month, UTC."""

    month: date
    deleted: Deleted


def limit(days: int | None = None) -> datetime:
    """What is older than that is not kept; by the settings unless `days` are given."""
    return timezone.now() - timedelta(days=settings.HISTORY_RETENTION_DAYS if days is None else days)


def delete(before: datetime) -> Iterator[Deleted]:
    """Delete, batch by batch, what ended before that: posts with their attempts, then events left without posts.

    Yields what each batch was; who stops asking stops it.
    """
    yield from _in_batches(_old_posts(before), "created_at", _delete_posts)
    yield from _in_batches(_old_events(before), "occurred_at", _delete_events)


def delete_for(seconds: float, stop: Callable[[], bool]) -> bool:
    """Delete what the settings let go, for so long or until `stop()`. Whether that was all."""
    until = time.monotonic() + seconds
    return not any(time.monotonic() >= until or stop() for _batch in delete(limit()))


def months(before: datetime) -> list[Month]:
    """What delete() would delete, by month, the oldest first."""
    found: dict[date, Deleted] = {}
    for row in _by_month(_old_posts(before), "created_at", attempts=Sum("attempts_made")):
        found[row["month"]] = Deleted(row["n"], row["attempts"])
    staying = Delivery.objects.filter(event=OuterRef("pk")).filter(
        ~Q(state__in=FINISHED) | Q(created_at__gte=before) | Q(finished_at__gte=before) | ~Q(state_before="")
    )
    events = Event.objects.filter(occurred_at__lt=before).filter(~Exists(staying))
    for row in _by_month(events, "occurred_at"):
        found[row["month"]] = found.get(row["month"], Deleted()) + Deleted(events=row["n"])
    return [Month(month, found[month]) for month in sorted(found)]


def _by_month(rows: QuerySet[Any], column: str, **sums: Any) -> QuerySet[Any]:
    slots = (
        rows.order_by()
        .annotate(month=TruncMonth(column, tzinfo=UTC, output_field=DateField()))
        .values("month")
    )
    return slots.annotate(n=Count("pk"), **sums)


def _old_posts(before: datetime) -> DeliveryQuerySet:
    """Finished, and both older than that: one that was sent again lately is still of interest.

    What a bulk reprocess that was paused has still to send looks finished, and is not.
    """
    ended = Q(finished_at=None) | Q(finished_at__lt=before)
    return Delivery.objects.finished().filter(ended, created_at__lt=before, state_before="")


def _old_events(before: datetime) -> QuerySet[Event]:
    """Without posts, by now or ever."""
    return _without_posts(Event.objects.filter(occurred_at__lt=before))


def _without_posts(events: QuerySet[Event]) -> QuerySet[Event]:
    return events.filter(~Exists(Delivery.objects.filter(event=OuterRef("pk"))))


def _in_batches(
    rows: QuerySet[Any], column: str, delete: Callable[[list[Any]], Deleted]
) -> Iterator[Deleted]:
    """In the order of `column`, each batch from where the last one ended: what stays is not read again and again."""
    rows, last = rows.order_by(column, "pk"), None
    while True:
        batch = rows
        if last is not None:
            at, pk = last
            batch = rows.filter(**{f"{column}__gte": at}).exclude(**{column: at, "pk__lte": pk})
        with transaction.atomic():
            keys = list(_locked(batch).values_list(column, "pk")[:BATCH])
            if not keys:
                return
            deleted = delete([pk for _at, pk in keys])
        last = keys[-1]
        yield deleted
        time.sleep(PAUSE)


def _locked(rows: QuerySet[Any]) -> QuerySet[Any]:
    """What somebody else has in hand is left out. On SQLite the transaction has locked them all."""
    if connection.features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True)
    return rows


def _delete_posts(keys: list[int]) -> Deleted:
    posts = Delivery.objects.filter(pk__in=keys)
    rows = posts.values_list("config", "created_at", "event__type", "state", "attempts_made")
    tallies.add(
        ((config, at.astimezone(UTC).date(), event, state), attempts)
        for config, at, event, state, attempts in rows
    )
    attempts, _by_model = DeliveryAttempt.objects.filter(delivery__in=keys).delete()
    # As Django deletes: an imported post that was sent by one of these loses the link, and stays.
    _all, deleted = posts.only("pk").delete()
    return Deleted(posts=deleted.get("deliveries.Delivery", 0), attempts=attempts)


def _delete_events(keys: list[Any]) -> Deleted:
    """Asked once more whether they have posts, now that nobody can add one."""
    deleted, _by_model = _without_posts(Event.objects.filter(pk__in=keys)).only("pk").delete()
    return Deleted(events=deleted)
