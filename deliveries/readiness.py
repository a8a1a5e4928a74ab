"""Whether this installation can do its work now: the database, the queue, and that jobs come through the queue."""

import logging
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models.functions import Now

from . import wake
from .models import WakeFlag

logger = logging.getLogger(__name__)

PASSES_WITHIN = timedelta(minutes=2)  # the queue runs a job of its own every minute
PATIENCE = 2.0  # seconds for all of it: who asks has a limit too, most often of 5 s or more
GIVEN_UP_AFTER = 10.0  # seconds, of a look that hangs
DATABASE, BROKER, WAKE_UP = NAMES = ("database", "broker", "wake_up")


@dataclass(frozen=True, slots=True)
class Check:
    """`says` is a sentence without names of hosts, addresses or errors: it is shown to whoever asks."""

    name: str
    ok: bool
    says: str


class Look:
    """One look at a time in a process, however many ask: who comes while one is under way waits for its findings.

    It happens in a thread of its own, with a connection of its own, so that a database that accepts connections and
    answers nothing holds up that one thread, and who asks is told so after PATIENCE.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: dict[str, Check] = {}
        self._began_at = 0.0  # monotonic

    def __call__(self, names: Collection[str] = NAMES) -> list[Check]:
        """A finding for each of `names`. What is not known after PATIENCE does not answer."""
        with self._lock:
            thread, found = self._under_way() or self._begin()
        thread.join(PATIENCE)
        known = found.copy()
        return [known.get(name) or Check(name, False, _SILENT[name]) for name in names]

    def _under_way(self) -> tuple[threading.Thread, dict[str, Check]] | None:
        """None also of one that hangs for long: a new connection may succeed where an old one waits for ever."""
        hangs = time.monotonic() > self._began_at + GIVEN_UP_AFTER
        return (
            None
            if self._thread is None or hangs or not self._thread.is_alive()
            else (self._thread, self._found)
        )

    def _begin(self) -> tuple[threading.Thread, dict[str, Check]]:
        self._found, self._began_at = {}, time.monotonic()
        self._thread = threading.Thread(target=_look, args=(self._found,), daemon=True)
        self._thread.start()
        return self._thread, self._found


_SILENT = {
    DATABASE: "The database does not answer.",
    BROKER: "The queue does not answer.",
    WAKE_UP: "Nobody knows when a wake-up last went through the queue: the database does not answer.",
}


def _look(found: dict[str, Check]) -> None:
    try:
        _broker(found)
        _database(found)
    finally:
        connection.close()


def _database(found: dict[str, Check]) -> None:
    """One query tells both: that our tables can be read, and when a job last came through."""
    try:
        row = WakeFlag.objects.annotate(now=Now()).values_list("swept_at", "woken_at", "now").first()
    except Exception as error:  # whatever the driver raises
        _log("The database", error)
        found[DATABASE] = Check(DATABASE, False, "The database cannot be used.")
        unknown = "Nobody knows when a wake-up last went through the queue: the database cannot be used."
        found[WAKE_UP] = Check(WAKE_UP, False, unknown)
        return
    found[DATABASE] = Check(DATABASE, True, "The database answers.")
    found[WAKE_UP] = _wake_up(*row) if row else Check(WAKE_UP, False, _NEVER)


_NEVER = "No wake-up has gone through the queue yet: is a worker running?"


def _wake_up(swept_at: datetime | None, woken_at: datetime | None, now: datetime) -> Check:
    passed = [at for at in (swept_at, woken_at) if at is not None]
    if not passed:
        return Check(WAKE_UP, False, _NEVER)
    age = max(now - max(passed), timedelta(0))
    says = f"A wake-up went through the queue {age.total_seconds():.0f} s ago"
    if age <= PASSES_WITHIN:
        return Check(WAKE_UP, True, f"{says}.")
    limit = PASSES_WITHIN.total_seconds()
    return Check(WAKE_UP, False, f"{says}, and none since, for more than {limit:.0f} s: is a worker running?")


def _broker(found: dict[str, Check]) -> None:
    try:
        wake.broker().queue_size()  # its ping() asks nobody where the queue is in the database
    except Exception as error:
        _log("The queue", error)
        found[BROKER] = Check(BROKER, False, "The queue cannot be reached.")
    else:
        found[BROKER] = Check(BROKER, True, "The queue answers.")


def _log(what: str, error: Exception) -> None:
    logger.warning("%s cannot be used (%s: %s).", what, type(error).__name__, str(error)[:200])


look = Look()
