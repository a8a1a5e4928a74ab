"""A real `manage.py qcluster` in processes of its own, by the environment of whoever starts it."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
_LIBC = ctypes.CDLL(None)


class Cluster:
    def __init__(self, process: subprocess.Popen) -> None:
        self.pid = process.pid

    def processes(self) -> list[int]:
        """The parent, then all below it, each before its children."""
        parents = {pid: int(stat[1]) for pid in _all() if (stat := _stat(pid))}
        found = [self.pid]
        for pid in found:  # it grows
            found += sorted(child for child, parent in parents.items() if parent == pid)
        return found

    def memory(self) -> dict[int, int]:
        """{pid of a process below the sentinel: bytes that it holds in memory}"""
        found = {}
        for pid in self.processes()[2:]:
            with suppress(OSError):
                found[pid] = PAGE * int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return found


def _end_with_parent() -> None:
    """A benchmark that is killed leaves no cluster at work beside the next one."""
    PR_SET_PDEATHSIG = 1
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def cluster(**environment: str) -> Iterator[Cluster]:
    """While it runs. It is told to stop at the end, and killed if it does not. It logs into a file, as on a server."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "qcluster"],
            cwd=ROOT,
            env=os.environ | environment,
            start_new_session=True,
            preexec_fn=_end_with_parent,
            stdout=log,
            stderr=log,
        )
        try:
            yield Cluster(process)
            if process.poll() is not None:
                log.seek(0)
                said = log.read().decode(errors="replace")[-4000:]
                raise SystemExit(f"The cluster ended by itself, with exit code {process.returncode}:\n{said}")
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def processor_seconds(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS if stat else 0.0


def _all() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold blanks: state, parent, …"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
