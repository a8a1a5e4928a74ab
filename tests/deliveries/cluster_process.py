"""A real `manage.py qcluster` on the test's database, under a supervisor that starts it again when it exits.

Times are shortened by the environment, so that a test of a lease or of the watchdog takes seconds.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tests import commands

COMMAND = [sys.executable, "manage.py", "qcluster"]
BACK_OFF = 0.2  # seconds between an exit and the next start; systemd's RestartSec is 1

# The lease must hold a post and 5 s more; the watchdog must outlast a drain whose every post is answered soon.
SHORT = {
    "DELIVERY_RETRY_AFTER": "0.3,0.3,0.3,0.3",  # seconds
    "DELIVERY_CONNECT_TIMEOUT": "1",
    "DELIVERY_DEADLINE": "1.5",
    "DELIVERY_LEASE": "8",
    "WATCHDOG_LIMIT": "4",
}


def wait_until(holds: Callable[[], object], what: str, timeout: float = 30) -> None:
    """Ask `holds` again and again until it is true; AssertionError after `timeout` seconds."""
    until = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < until, f"After {timeout} s: {what}"
        time.sleep(0.02)  # between two looks at the condition


def is_alive(pid: int) -> bool:
    """A zombie is not: it only waits to be read."""
    try:  # behind the name, which may hold blanks, stands the state
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def children_of(pid: int) -> list[int]:
    """In the order in which they began."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):  # each thread's
        with contextlib.suppress(OSError):
            found += map(int, task.read_text().split())
    return [child for child in sorted(found) if is_alive(child)]


def threads_of(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


class Supervised:
    """A command of ours that is started again when it exits, as systemd would; see its subclasses.

    `with ClusterProcess() as cluster:` is up and looks for work. `environment` adds to, or replaces, SHORT.
    `inside`: what the command begins with, e.g. to run in another network.
    """

    command = COMMAND

    def __init__(self, *, supervised: bool = True, inside: Sequence[str] = (), **environment: str) -> None:
        self.command = [*inside, *self.command]
        self.exit_codes: list[int] = []  # of all that ended so far
        self._supervised = supervised
        self._environment = commands.environment(**SHORT | environment)
        self._spawning = threading.Lock()
        self._done = threading.Event()
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> Self:
        self._spawn()
        if self._supervised:
            self._supervisor = threading.Thread(target=self._supervise, daemon=True)
            self._supervisor.start()
        try:
            self.wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """At once: how it stops when it is told to has tests of its own."""
        self.stop_supervising()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        if self._supervised:
            self._supervisor.join(10)

    def stop_supervising(self) -> None:
        """It is not started again any more."""
        with self._spawning:
            self._done.set()

    def _spawn(self) -> None:
        self._process = subprocess.Popen(
            self.command, cwd=commands.ROOT, env=self._environment, start_new_session=True
        )

    def _supervise(self) -> None:
        while True:
            code = self._process.wait()
            self.exit_codes.append(code)
            self._done.wait(BACK_OFF)
            with self._spawning:
                if self._done.is_set():
                    return
                self._spawn()

    @property
    def pid(self) -> int:
        """Of the process that was started: the parent of the others."""
        return self._process.pid

    def descendants(self) -> list[int]:
        return [pid for child in children_of(self.pid) for pid in (child, *children_of(child))]

    def processes(self) -> list[int]:
        """All of them, the parent first."""
        return [self.pid, *self.descendants()]

    def wait_until_up(self) -> None:
        raise NotImplementedError

    def wait_for_exit(self, timeout: float = 30) -> int:
        """Until the present process, or with a supervisor one of them, has ended. Returns the exit code."""
        if self._supervised:
            wait_until(lambda: self.exit_codes, f"{self.command[-1]} runs on.", timeout)
            return self.exit_codes[-1]
        return self._process.wait(timeout)

    def _has_ended(self) -> bool:
        return bool(self.exit_codes) or self._process.poll() is not None


class ClusterProcess(Supervised):
    """A qcluster; its parent is the clock and the watchdog."""

    @property
    def sentinel(self) -> int:
        [sentinel] = children_of(self.pid)
        return sentinel

    @property
    def workers(self) -> list[int]:
        """The sentinel forks the workers first, then the monitor and the pusher."""
        return sorted(children_of(self.sentinel))[:-2]

    def wait_until_up(self) -> None:
        """All six processes are there."""
        wait_until(lambda: self._has_ended() or len(self.descendants()) >= 5, "the cluster is not up.")
        assert not self._has_ended(), "The cluster ended as soon as it began; its output says why."
