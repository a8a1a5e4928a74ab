"""The threads that send, and how posts get to them and back with as few changes from one thread to another as can be.

Where receivers are fast, a change of threads costs as much as half a post: so a few posts wait ready, and the main
thread is called only when few of them are left. `concurrent.futures` calls it for each.
"""

import threading
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, Self, TypeVar

Job = TypeVar("Job")

CALL_AT = 3  # posts that wait ready: with so few left, whoever gives them is called


class Workers(Generic[Job]):
    """Run `do(job)`, which must not raise, for every job given, the oldest first.

    Leaving waits for those that a thread has taken up, and forgets the others: after an error there may be some.
    """

    def __init__(self, do: Callable[[Job], None]) -> None:
        self._do = do
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: deque[Job] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.take_back()
        for _thread in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def give(self, job: Job) -> None:
        self._jobs.put(job)

    def waiting(self) -> int:
        """How many no thread has taken up yet."""
        return self._jobs.qsize()

    def at_least(self, threads: int) -> None:
        """Have so many threads; those that there are more of stay."""
        while len(self._threads) < threads:
            thread = threading.Thread(target=self._run, name=f"post_{len(self._threads)}")
            thread.start()
            self._threads.append(thread)

    def take_back(self) -> list[Job]:
        """Those that no thread has taken up yet."""
        taken = []
        try:
            while True:
                taken.append(self._jobs.get_nowait())
        except Empty:
            return taken

    def done(self, timeout: float) -> list[Job]:
        """Those that were done since the last call; waits for one, but no longer than `timeout` seconds."""
        try:
            self._bell.get(timeout=timeout)
            while True:
                self._bell.get_nowait()
        except Empty:
            pass
        done = []
        while self._done:
            done.append(self._done.popleft())
        return done

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._do(job)
            self._done.append(job)
            if self._jobs.qsize() <= CALL_AT:
                self._bell.put(None)
