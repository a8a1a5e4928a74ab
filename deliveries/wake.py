"""One job after a commit, and not one for each post.

A flag says that a wake-up is on its way; only who sets it enqueues the job, and the job clears it before it looks
for what is due. So none is lost: who finds the flag set has committed before it is cleared, and is seen by that
look. The flag lives where the queue lives, so that both are lost together; it expires, so that a lost job frees it.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache

import redis
from django.conf import settings
from django.db import DatabaseError, connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django_q.brokers import Broker, get_broker
from django_q.tasks import async_task
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import standing, writing
from .models import WakeFlag

logger = logging.getLogger(__name__)

JOB = "deliveries.tasks.deliver_due"
# So long a wake-up may lie with a cluster whose workers all are busy, before another cluster hears of the work.
FLAG_LASTS = timedelta(seconds=3)
PATIENCE = 0.5  # seconds for each of: connect, set the flag, enqueue. It is the buyer who waits
COOL_DOWN = 5.0  # seconds in which a queue that could not be reached is not asked again

_away_until = 0.0  # monotonic; 0 while the queue was last found well


def wake() -> bool:
    """Have the worker look for what is due; call it after the commit: `transaction.on_commit(wake)`.

    Never raises and never holds its caller up for more than about 1 s. False if the queue is out of reach; the
    rows stay due, and the clock of `cluster` wakes the worker for them once the queue is back.
    """
    global _away_until
    if time.monotonic() < _away_until:
        return False
    try:
        _set_flag_and_enqueue()
    except Exception as error:  # the sale is committed: whatever is wrong here is not its business
        log = logger.debug if _away_until else logger.warning
        log(
            "The queue cannot be reached (%s: %s); what is due waits for it.",
            type(error).__name__,
            str(error)[:200],
        )
        _away_until = time.monotonic() + COOL_DOWN
        return False
    if _away_until:
        logger.warning("The queue is back.")
        _away_until = 0.0
    return True


def taken() -> None:
    """Clear the flag: the first thing that a job does, so that whatever is committed from now on wakes the next."""
    try:
        if settings.ON_REDIS:
            broker().connection.delete(_flag_key())
        else:
            with writing.soon():
                WakeFlag.objects.update(asked_at=None)
    except Exception as error:  # it expires by itself, and there is work to do
        logger.warning("The wake flag could not be cleared (%s).", error)


def came_through() -> None:
    """Note that a job went through the queue: by that a probe knows that jobs do."""
    try:
        WakeFlag.objects.update(woken_at=Now())
    except DatabaseError as error:  # the drain will say so too
        logger.warning("That a wake-up came through could not be noted (%s).", error)


def broker() -> Broker:
    """The queue, over a connection that is kept for the life of this process."""
    return _broker_of(os.getpid())


@lru_cache(maxsize=1)
def _broker_of(pid: int) -> Broker:
    """By process: a connection made before a fork would be shared by both sides."""
    kept = get_broker()
    if settings.ON_REDIS:
        kept.connection = redis.from_url(
            settings.BROKER_URL,
            socket_connect_timeout=PATIENCE,
            socket_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
    return kept


def _set_flag_and_enqueue() -> None:
    if settings.ON_REDIS:
        lasts = int(FLAG_LASTS.total_seconds() * 1000)
        if broker().connection.set(_flag_key(), 1, nx=True, px=lasts):
            async_task(JOB, broker=broker())
    elif not _flag_is_set():  # reading takes no lock, and in a burst most find it set
        with _atomic_and_soon():  # flag and job come together or not at all
            if _set_row():
                async_task(JOB, broker=broker())


def _flag_key() -> str:
    return f"{broker().list_key}:wake"


def _fresh() -> Q:
    """Asked for within FLAG_LASTS. One from the future is from before the clock was set back."""
    lasts = models.Value(FLAG_LASTS, models.DurationField())
    return Q(asked_at__gt=Now() - lasts, asked_at__lte=Now() + lasts)


def _fresh_flag() -> models.QuerySet[WakeFlag]:
    return WakeFlag.objects.filter(_fresh())


def _flag_is_set() -> bool:
    return standing.any_row(_fresh_flag)


def _set_row() -> bool:
    """Whether it was this call that set the flag."""
    free = WakeFlag.objects.filter(Q(asked_at=None) | ~_fresh())
    if free.update(asked_at=Now()):
        return True
    _, made = WakeFlag.objects.get_or_create(pk=1, defaults={"asked_at": Now()})
    return made


@contextmanager
def _atomic_and_soon() -> Iterator[None]:
    """A transaction that waits PATIENCE seconds at most for a lock: SQLite would wait 20, PostgreSQL for ever."""
    limit = int(PATIENCE * 1000)
    if connection.vendor == "sqlite":  # whose BEGIN takes the lock already
        with connection.cursor() as cursor:
            [before] = cursor.execute("PRAGMA busy_timeout").fetchone()
            cursor.execute(f"PRAGMA busy_timeout = {limit}")
            try:
                with writing.soon(), transaction.atomic():
                    yield
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {before}")
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {limit}")
            yield
