"""What a drain changes of its process, for as long as it lasts."""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GARBAGE_AT = 100_000  # objects that were made and not freed since: Python looks at 700


@contextmanager
def garbage_collected_rarely() -> Iterator[None]:
    """Rows come and go by the thousand, hardly any in a cycle: to look for those at the usual rate costs a tenth."""
    before = gc.get_threshold()
    gc.set_threshold(GARBAGE_AT, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def told_to_end() -> Iterator[Callable[[], bool]]:
    """Hear SIGTERM and SIGINT while the drain lasts; they take effect when the drain is done."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be heard
        yield lambda: False
        return
    told: list[int] = []
    before = {
        signum: signal.signal(signum, lambda signum, _: told.append(signum))
        for signum in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield lambda: bool(told)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler or signal.SIG_DFL)
        for signum in set(told):
            os.kill(os.getpid(), signum)
