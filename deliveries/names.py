"""Host names to addresses, with a time limit, which the system's resolver has not.

A look-up cannot be stopped, so each has a thread of its own that nobody need wait for. There is one at a time
for each name, and its answer is kept for a while.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

GOOD_FOR = 30.0  # seconds that an answer is kept
BAD_FOR = 5.0  # seconds that a failure is kept
MOST_AT_ONCE = 64  # more than posts can wait at once, so that silent names take nobody else's turn
MOST_KEPT = 1000  # names

# glibc asks a silent name server for 10 s and more; posts wait for 5. Read once, when the first name is looked up.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")

# What socket.getaddrinfo finds: (family, type, protocol, "", address) for each address.
Found = list[tuple[int, int, int, str, tuple[Any, ...]]]


def look_up(host: str, port: int) -> Found:
    """Ask the system's resolver. Raises socket.gaierror."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Question:
    def __init__(self) -> None:
        self.answer: Future[Found] = Future()
        self.good_until: float | None = None  # monotonic; None while it is being asked

    def is_stale(self, now: float) -> bool:
        return self.good_until is not None and self.good_until <= now


class Names:
    """Thread-safe. `lookup` stands for the system's resolver; tests give another."""

    def __init__(self, lookup: Callable[[str, int], Found] = look_up) -> None:
        self._lookup = lookup
        self._questions: dict[tuple[str, int], _Question] = {}
        self._asking = 0
        self._lock = threading.Lock()

    def find(self, host: str, port: int, seconds: float) -> Found:
        """All addresses of `host`, fresh or kept.

        Raises socket.gaierror, or TimeoutError after `seconds`.
        """
        return self._question(host, port).answer.result(seconds)

    def forget(self) -> None:
        """Keep no answers."""
        with self._lock:
            self._questions.clear()

    def _question(self, host: str, port: int) -> _Question:
        now = time.monotonic()
        with self._lock:
            question = self._questions.get((host, port))
            if question is not None and not question.is_stale(now):
                return question
            if self._asking >= MOST_AT_ONCE:
                raise TimeoutError("Too many name look-ups are under way.")
            if len(self._questions) >= MOST_KEPT:
                self._questions = {k: q for k, q in self._questions.items() if q.good_until is None}
            question = _Question()
            threading.Thread(
                target=self._ask, args=(question, host, port), name="look-up", daemon=True
            ).start()
            self._questions[host, port] = question
            self._asking += 1
        return question

    def _ask(self, question: _Question, host: str, port: int) -> None:
        try:
            answer, error, kept = self._lookup(host, port), None, GOOD_FOR
        except Exception as raised:
            answer, error, kept = [], raised, BAD_FOR
        with self._lock:
            self._asking -= 1
            question.good_until = time.monotonic() + kept
        if error is not None:
            question.answer.set_exception(error)
        else:
            question.answer.set_result(answer)
