"""Our `qcluster`: the stock cluster, and in its parent, which would only wait, a clock and a watchdog.

The clock asks once a second whether anything is due, since the stock cluster looks at its schedules only every
30 s. The watchdog ends a cluster that is headless or frozen (one whose idle worker was killed runs no job ever
again, django-q2 #23) and exits, so that the supervisor (systemd, `make run`) starts a new one.

The processes: parent → sentinel → workers, monitor, pusher; all forked. On Linux each dies with its parent, so
that the end of one above is the end of all below, whatever ended it.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from datetime import time as dt_time
from multiprocessing import RawArray, RawValue
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, transaction
from django.dispatch import receiver
from django.utils import timezone
from django_q.cluster import Cluster
from django_q.models import Schedule
from django_q.signals import post_execute, post_execute_in_worker, pre_execute
from django_q.status import Stat

from . import leases, wake
from .models import WakeFlag

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks of the clock
TO_RECORD = 5.0  # seconds after its last post in which a worker has recorded it
SWEEP = "deliveries.tasks.sweep"
PURGE, PURGE_AT = "deliveries.tasks.purge", dt_time(6, 17)  # UTC: deep in the night of Brazil
FROZEN = 3  # exit code: the supervisor is to start a new one

# Shared by all forks of the parent, and without a lock: who is killed while he holds one freezes the rest.
_ending = RawValue("b", 0)
_began_at = RawValue("d", 0)  # monotonic; when a job last began in this cluster
_acknowledged_at = RawValue("d", 0)  # monotonic; when the monitor was last done with one
_at_work = RawArray("i", 64)  # the workers that have a job in hand, each where its pid leads


def ending() -> bool:
    """Whether the cluster that we are a worker of was told to stop: begin nothing new then."""
    return bool(_ending.value)


@receiver(pre_execute)
def _job_begins(**_: Any) -> None:
    _began_at.value = time.monotonic()
    _at_work[os.getpid() % len(_at_work)] = os.getpid()


@receiver(post_execute_in_worker)
def _job_ends(**_: Any) -> None:
    _at_work[os.getpid() % len(_at_work)] = 0


@receiver(post_execute)
def _job_is_acknowledged(**_: Any) -> None:
    _acknowledged_at.value = time.monotonic()


class Suspicion:
    """Something that is nothing for a moment, and means a frozen cluster once it lasts."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._mark: object = None

    def lasts(self, holds: bool, mark: object = None) -> bool:
        """Whether it has held for WATCHDOG_LIMIT, with `mark`, which moves as work goes on, unmoved all along."""
        now = time.monotonic()
        if not holds:
            self._since = None
        elif self._since is None or mark != self._mark:
            self._since, self._mark = now, mark
        return self._since is not None and now - self._since > settings.WATCHDOG_LIMIT


class Parent:
    """Runs the cluster; `run()` returns the exit code of the process."""

    def __init__(self) -> None:
        self.told_to_stop = False
        self._cluster = Cluster()
        self._stat_was_seen = False
        self._no_job_begins = Suspicion()
        self._none_is_acknowledged = Suspicion()
        self._sentinel_is_silent = Suspicion()
        # In place of the cluster's own handler, which stops it inside the handler and hangs now and then.
        signal.signal(signal.SIGTERM, self._stop_soon)
        signal.signal(signal.SIGINT, self._stop_soon)

    def _stop_soon(self, signum: int, frame: FrameType | None) -> None:
        self.told_to_stop = True

    def run(self) -> int:
        die_with_parent()
        try:
            self._cluster.start()  # before the database is touched: a connection must not be forked
            wake.taken()  # by whom, if it is set, nobody knows
            schedule_jobs()
            return self._watch()
        finally:
            self._kill()

    def _watch(self) -> int:
        look_at = time.monotonic()
        while not self.told_to_stop:
            if not self._cluster.sentinel.is_alive():
                return self._frozen("its sentinel died")  # and with it all below
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + TICK
                if trouble := self._look():
                    self._let_posts_end()
                    return self._frozen(trouble)
            self._cluster.sentinel.join(TICK / 5)
        return self._stop()

    def _look(self) -> str:
        """Wake the workers if there is something to do. Returns what is wrong with them, if anything is."""
        close_old_connections()
        try:
            to_do = leases.anything_to_do()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The clock cannot read the database: %s", error)
            to_do = False
        asked = to_do and wake.wake()
        try:
            stat = Stat.get(os.getpid(), self._cluster.cluster_id, wake.broker())
        except Exception:  # the queue is away, and says so elsewhere: no reason to suspect anybody
            stat = None
        known = isinstance(stat, Stat)
        self._stat_was_seen |= known
        if self._no_job_begins.lasts(asked or (known and stat.task_q_size > 0), _began_at.value):
            return "no job begins"
        if self._none_is_acknowledged.lasts(known and stat.done_q_size > 0, _acknowledged_at.value):
            return "no job is acknowledged"
        if self._sentinel_is_silent.lasts(stat is not None and not known and self._stat_was_seen):
            return "its sentinel is silent"
        return ""

    def _stop(self) -> int:
        """Have the workers end what they have in hand. Returns 0, also where it had to be forced."""
        _ending.value = 1
        if self._cluster.sentinel.is_alive():
            # In a thread: it waits for the sentinel to wake up, for ever if that dies in this moment.
            threading.Thread(target=self._cluster.stop_event.set, daemon=True).start()
            self._cluster.sentinel.join(settings.WATCHDOG_LIMIT)
            if self._cluster.sentinel.is_alive():
                logger.error("The cluster did not stop by itself and is killed; its posts are sent again.")
        return 0

    def _let_posts_end(self) -> None:
        """Who still posts may end that, and begins nothing new: killed, he would have it sent twice."""
        _ending.value = 1
        until = time.monotonic() + settings.DELIVERY_DEADLINE + TO_RECORD
        while time.monotonic() < until and any(pid and _is_alive(pid) for pid in _at_work):
            time.sleep(TICK / 10)

    def _frozen(self, why: str) -> int:
        logger.error("The cluster is frozen: %s. It ends here; its supervisor is to start a new one.", why)
        return FROZEN

    def _kill(self) -> None:
        """Whoever is left. What they had claimed is sent again once its lease runs out."""
        if self._cluster.sentinel is not None:
            self._cluster.sentinel.kill()
            self._cluster.sentinel.join()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def schedule_jobs() -> None:
    """Have django-q2 run the sweep every minute, and the purge every night."""
    with transaction.atomic():
        WakeFlag.objects.get_or_create(pk=1)
        WakeFlag.objects.select_for_update().get(pk=1)  # a second cluster that starts now waits, and finds it
        if not Schedule.objects.filter(func=SWEEP).exists():
            Schedule.objects.create(name="sweep", func=SWEEP, schedule_type=Schedule.MINUTES, minutes=1)
        if not Schedule.objects.filter(func=PURGE, schedule_type=Schedule.DAILY).exists():
            now = timezone.now()
            tonight = datetime.combine(now, PURGE_AT, UTC)
            first = tonight if tonight > now else tonight + timedelta(days=1)
            Schedule.objects.create(name="purge", func=PURGE, schedule_type=Schedule.DAILY, next_run=first)


def schedule_rest_of_purge() -> None:
    """Once more, in a minute, so that posts have the workers in between. Django-q2 forgets it when it has run."""
    soon = timezone.now() + timedelta(minutes=1)
    Schedule.objects.update_or_create(
        func=PURGE, schedule_type=Schedule.ONCE, defaults={"name": "the rest of the purge", "next_run": soon}
    )


def die_with_parent() -> None:
    """From now on have the kernel kill each process that this one forks, and those they fork, with its parent.

    Where there is no Linux, a killed parent leaves its workers behind.
    """
    if not sys.platform.startswith("linux"):
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    PR_SET_PDEATHSIG = 1
    parent = os.getpid()

    def note_parent() -> None:
        nonlocal parent
        parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    os.register_at_fork(before=note_parent, after_in_child=in_child)
