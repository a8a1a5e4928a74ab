"""Reprocess many posts at once: start, pause, go on, stop, and how far it is.

A bulk reprocess is nothing but rows in the lane behind all that is fresh (`reprocessing.BulkReprocess` says what
they keep). Rows are moved in batches, each a short transaction that locks the bulk's own row first and looks whether
it still runs: so sales can be saved in between, two who queue at once share the work, and a pause never misses a
batch that was just being queued. After each batch it rests as long as that took.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db import models, transaction
from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_q.tasks import async_task

from configurations.models import State as ConfigState
from sales.models import Seller

from . import selecting, standing, wake
from .choices import FINISHED, BulkState, Lane
from .models import Delivery, DeliveryQuerySet, State
from .reprocessing import ON_THE_WAY, OUT_OF_BULK, BulkReprocess

logger = logging.getLogger(__name__)

JOB = "deliveries.tasks.carry_on_bulk"
BATCH = 500  # rows of one short transaction
LONGEST_REST = 0.5  # seconds
CAN_GO = (*FINISHED, State.HELD)

OnBatch = Callable[[BulkReprocess], None]


def reprocessable(posts: DeliveryQuerySet, asked_at: datetime) -> DeliveryQuerySet:
    """Those of `posts` that a bulk reprocess takes: finished or held by `asked_at`, and nothing keeps them.

    What waits goes by itself, and what is being sent is on its way.
    """
    old = Q(finished_at=None) | Q(finished_at__lte=asked_at)
    return posts.filter(old, state__in=CAN_GO, created_at__lte=asked_at, **_CAN_BE_SENT)


_CAN_BE_SENT = {"config__state": ConfigState.ON, "event__redacted_at": None}


def start(
    posts: DeliveryQuerySet,
    *,
    asked_for: str,
    by: AbstractBaseUser | None = None,
    owner: Seller | None = None,
    asked_at: datetime | None = None,
    selection: dict[str, Any] | None = None,
    seconds: float | None = None,
    on_batch: OnBatch | None = None,
) -> BulkReprocess:
    """Have `posts` sent again, behind all that is fresh, and return what can be watched, paused and stopped.

    `posts` is any queryset of deliveries; what of it cannot be sent is left out (see `reprocessable`). `asked_for` says
    in words which they are, without any buyer's data. `by`: who asked, None for a command; `owner`: the seller
    whose posts they are, None where they are of several. `asked_at`: when they were chosen; with an owner, two
    calls for the same moment start it once. After `seconds` of queueing it returns, and `queue_more` does the rest;
    for that `selection` has to say which (selecting.Selected). Raises BulkReprocess.Nothing if none can be sent.
    """
    asked_at = asked_at or timezone.now()
    if owner and (again := BulkReprocess.objects.filter(owner=owner, asked_at=asked_at).first()):
        return again
    pks = _pks(posts, asked_at)
    if not pks:
        raise BulkReprocess.Nothing
    facts = {"asked_for": asked_for, "by": by, "selection": selection or {}, "total": len(pks)}
    if owner:
        made, is_new = BulkReprocess.objects.get_or_create(owner=owner, asked_at=asked_at, defaults=facts)
    else:
        made, is_new = BulkReprocess.objects.create(asked_at=asked_at, **facts), True
    if is_new:
        _queue(made, pks, _Pace(seconds), on_batch)
    return made


def queue_more(bulk: BulkReprocess, seconds: float | None = None, on_batch: OnBatch | None = None) -> bool:
    """Queue what is not queued yet: what was taken back by a pause, then what an interruption left.

    False if it is not all queued: the seconds are over, or somebody has paused or stopped it.
    """
    pace = _Pace(seconds)
    for _batch in pace.batches(lambda: _queue_again(bulk)):
        if on_batch:
            on_batch(bulk)
    if pace.over or bulk.state != BulkState.RUNNING:
        return False
    posts = selecting.of(bulk) if bulk.queued_to is not None else None
    if posts is None:
        return _all_queued(bulk)
    return _queue(bulk, _pks(posts.filter(pk__gt=bulk.queued_to), bulk.asked_at), pace, on_batch)


def carry_on(bulk: BulkReprocess, seconds: float) -> None:
    """In the worker: queue what is not queued yet, or take back what a pause or a stop has not, then hand on."""
    if bulk.state == BulkState.RUNNING:
        queue_more(bulk, seconds)
    else:
        _take_back(bulk, seconds)
    hand_on(bulk)


def hand_on(bulk: BulkReprocess) -> None:
    """Have the worker carry on, if anything is left to. If it cannot be reached, the page offers to go on."""
    if bulk.state == BulkState.RUNNING:
        left = bulk.queued_to is not None or _resting(bulk).exists()
    else:
        left = _unsent(bulk).filter(state=State.WAITING).exists()
    if not left:
        return
    try:
        async_task(JOB, bulk.pk, broker=wake.broker())
    except Exception as error:  # whatever the queue's client raises
        logger.warning("The queue cannot be reached for a bulk (%s: %s).", type(error).__name__, error)


def pause(bulk: BulkReprocess, seconds: float | None = None) -> bool:
    """What is unsent is as it was before, until it goes on. False if it was not running.

    Nothing more of it is claimed from now on. What is not taken back within `seconds` is left to `hand_on`.
    """
    moved = BulkReprocess.objects.filter(pk=bulk.pk, state=BulkState.RUNNING).update(state=BulkState.PAUSED)
    bulk.refresh_from_db()
    if moved:
        _take_back(bulk, seconds)
    return bool(moved)


def go_on(bulk: BulkReprocess, seconds: float | None = None, on_batch: OnBatch | None = None) -> bool:
    """Queue again what was paused or interrupted. False if that is not all done yet, as `queue_more` has it.

    Raises BulkReprocess.NotPossible if it was stopped.
    """
    BulkReprocess.objects.filter(pk=bulk.pk, state=BulkState.PAUSED).update(state=BulkState.RUNNING)
    bulk.refresh_from_db()
    if bulk.state == BulkState.STOPPED:
        raise BulkReprocess.NotPossible(
            _("This bulk reprocess was stopped. Choose the posts again to start another.")
        )
    return queue_more(bulk, seconds, on_batch)


def stop(bulk: BulkReprocess, seconds: float | None = None) -> bool:
    """What is unsent is as it was before, for good. False if it was stopped already. `seconds` as for `pause`."""
    running = BulkReprocess.objects.filter(pk=bulk.pk).exclude(state=BulkState.STOPPED)
    moved = running.update(state=BulkState.STOPPED, selection={})
    bulk.refresh_from_db()
    if moved:
        _take_back(bulk, seconds)
    return bool(moved)


def _halted() -> models.QuerySet[BulkReprocess]:
    return BulkReprocess.objects.halted()


def settle(batches: int = 10) -> None:
    """Take back what waits of those paused or stopped: it was not taken back yet, or a worker gave it back.

    So many batches of each at most, and without a rest: a drain waits for it.
    """
    if not standing.any_row(_halted):
        return
    # By each of them, not by what waits: that may be very many posts of one that runs.
    waiting = Delivery.objects.filter(bulk=OuterRef("pk"), state=State.WAITING, state_before__gt="")
    for halted in BulkReprocess.objects.halted().filter(Exists(waiting)):
        for _batch in range(batches):
            if not _take_back_batch(halted):
                break


# --- How far it is ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of a bulk's posts stand where. `to_go` are those it has not sent yet."""

    total: int
    delivered: int = 0
    failed: int = 0  # given up after all tries
    again: int = 0  # not accepted so far: they are tried again
    held: int = 0  # their configuration was switched off or disabled meanwhile
    to_go: int = 0
    unqueued: int = 0  # of those to go: not waiting for their turn yet, or not any more

    @property
    def sent(self) -> int:
        return self.delivered + self.failed + self.again

    @property
    def left(self) -> int:
        """Neither sent nor to be sent: taken back, or left out since their configuration was not on any more."""
        return max(0, self.total - self.sent - self.held - self.to_go)


def progress_of(bulks: Iterable[BulkReprocess]) -> dict[int, Progress]:
    """{bulk's id: how far it is}, in one query."""
    by_pk = {bulk.pk: bulk for bulk in bulks}
    rows = (
        Delivery.objects.filter(bulk__in=by_pk)
        .order_by()
        .values("bulk", "state", unsent=~Q(state_before=""))
        .annotate(n=Count("pk"))
    )
    counts: dict[int, Counter[tuple[str, bool]]] = {pk: Counter() for pk in by_pk}
    for row in rows:
        counts[row["bulk"]][row["state"], bool(row["unsent"])] += row["n"]
    return {pk: _progress(bulk, counts[pk]) for pk, bulk in by_pk.items()}


def _progress(bulk: BulkReprocess, counts: Counter[tuple[str, bool]]) -> Progress:
    queued = sum(counts[state, True] for state in ON_THE_WAY)
    unqueued = sum(counts[state, True] for state in CAN_GO)
    if bulk.queued_to is not None and bulk.state != BulkState.STOPPED:
        unqueued += max(0, bulk.total - bulk.queued)
    return Progress(
        total=bulk.total,
        delivered=counts[State.DELIVERED, False],
        failed=counts[State.FAILED, False],
        again=sum(counts[state, False] for state in ON_THE_WAY),
        held=counts[State.HELD, False],
        to_go=queued + unqueued,
        unqueued=unqueued,
    )


class Stage(models.TextChoices):
    RUNNING = "running", _("Running")
    FINISHED = "finished", _("Finished")
    PAUSED = "paused", _("Paused")
    STOPPED = "stopped", _("Stopped")


def stage_of(bulk: BulkReprocess, progress: Progress) -> Stage:
    if bulk.state != BulkState.STOPPED and not progress.to_go:
        return Stage.FINISHED
    return Stage(bulk.state)


# --- Rows, batch by batch -----------------------------------------------------------------------------------


class _Pace:
    """Rests between the batches, and ends them when the seconds are over."""

    def __init__(self, seconds: float | None) -> None:
        self.until = None if seconds is None else time.monotonic() + seconds
        self.over = False

    def batches(self, move: Callable[[], int]) -> Iterator[int]:
        """The numbers that `move` returns, until it moves nothing."""
        while True:
            began = time.monotonic()
            moved = move()
            if not moved:
                return
            yield moved
            ended = time.monotonic()
            if self.until is not None and ended > self.until:
                self.over = True
                return
            time.sleep(min(ended - began, LONGEST_REST))


def _pks(posts: DeliveryQuerySet, asked_at: datetime) -> list[int]:
    """All at once: to look for each batch anew would read the table once a batch."""
    return list(reprocessable(posts, asked_at).order_by("pk").values_list("pk", flat=True))


def _queue(bulk: BulkReprocess, pks: Sequence[int], pace: _Pace, on_batch: OnBatch | None) -> bool:
    batches = iter([pks[at : at + BATCH] for at in range(0, len(pks), BATCH)])
    for _batch in pace.batches(lambda: _queue_batch(bulk, next(batches, ()))):
        if on_batch:
            on_batch(bulk)
    if pace.over or bulk.state != BulkState.RUNNING:
        return bulk.queued_to is None
    return _all_queued(bulk)


def _queue_batch(bulk: BulkReprocess, pks: Sequence[int]) -> int:
    """How many of `pks` were looked at; 0 once it is paused or stopped, or none is left."""
    with transaction.atomic():
        if not pks or not _is_running(bulk):
            return 0
        if bulk.queued_to is None or bulk.queued_to >= pks[-1]:
            return len(pks)  # somebody else was here
        new = [pk for pk in pks if pk > bulk.queued_to]
        rows = reprocessable(Delivery.objects.filter(pk__in=new), bulk.asked_at).still(*CAN_GO)
        bulk.queued += rows.update(bulk=bulk, state_before=F("state"), **_QUEUED)
        bulk.queued_to = pks[-1]
        bulk.save(update_fields=["queued", "queued_to"])
        transaction.on_commit(wake.wake)
    return len(pks)


def _queue_again(bulk: BulkReprocess) -> int:
    """The same for what a pause took back. Of those that cannot be sent any more it lets go."""
    with transaction.atomic():
        if not _is_running(bulk):
            return 0
        resting = _resting(bulk)
        pks = list(resting.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if pks:
            rows = resting.filter(pk__in=pks)
            rows.filter(**_CAN_BE_SENT).still(*CAN_GO).update(**_QUEUED)
            rows.update(bulk=None, state_before="")
            transaction.on_commit(wake.wake)
    return len(pks)


_QUEUED = {"state": State.WAITING, "lane": Lane.BULK, "next_try_at": None}


def _take_back(bulk: BulkReprocess, seconds: float | None) -> None:
    for _batch in _Pace(seconds).batches(lambda: _take_back_batch(bulk)):
        pass


def _take_back_batch(bulk: BulkReprocess) -> int:
    """How many; 0 once it is on again, or nothing is left."""
    with transaction.atomic():
        if _is_running(bulk):
            return 0
        as_before = {"state": F("state_before"), "lane": Lane.FRESH, "next_try_at": None}
        unsent = _unsent(bulk)
        if bulk.state == BulkState.STOPPED:
            unsent = unsent.exclude(state=State.SENDING)
            as_before |= OUT_OF_BULK | {"bulk": None}
        else:
            unsent = unsent.filter(state=State.WAITING)
        pks = list(unsent.order_by("pk").values_list("pk", flat=True)[:BATCH])
        unsent.filter(pk__in=pks).update(**as_before)
        if pks:
            transaction.on_commit(wake.wake)  # a refund may have waited for one of them
    return len(pks)


def _unsent(bulk: BulkReprocess) -> DeliveryQuerySet:
    return Delivery.objects.filter(bulk=bulk.pk).exclude(state_before="")


def _resting(bulk: BulkReprocess) -> DeliveryQuerySet:
    """What a pause took back."""
    return _unsent(bulk).filter(state__in=CAN_GO)


def _is_running(bulk: BulkReprocess) -> bool:
    """As it stands now; its row is locked until the end of the transaction."""
    bulk.refresh_from_db(from_queryset=BulkReprocess.objects.select_for_update())
    return bulk.state == BulkState.RUNNING


def _all_queued(bulk: BulkReprocess) -> bool:
    unfinished = BulkReprocess.objects.filter(pk=bulk.pk, queued_to__isnull=False)
    unfinished.update(queued_to=None, total=F("queued"), selection={})
    bulk.refresh_from_db()
    return True
