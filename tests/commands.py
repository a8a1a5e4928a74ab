"""`manage.py` as operators run it: a process of its own, on the test's database (which has to be transactional)."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from .command_server import CommandServer

ROOT = Path(__file__).resolve().parent.parent


def database_url() -> str:
    """Of the database that the test runs on, by its real name."""
    facts = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{facts['NAME']}"
    login = ":".join(quote(part, safe="") for part in (facts["USER"], facts["PASSWORD"]) if part)
    return f"postgres://{login}@{facts['HOST']}:{facts['PORT'] or 5432}/{facts['NAME']}"


def environment(**changes: str) -> dict[str, str]:
    """Of a process that shares the test's settings, database, queue and cache."""
    shared = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "DATABASE_URL": database_url(),
        "BROKER_URL": settings.BROKER_URL,
        "PYTHONUNBUFFERED": "1",
    }
    return os.environ | shared | changes


@dataclass(frozen=True)
class Ran:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which holds one JSON value and nothing else."""
        return json.loads(self.out)


class Running:
    """A command that runs beside the test. `with Running("import_transactions", path) as command:` ends it for sure."""

    def __init__(self, *arguments: object, stdin: IO[Any] | int | None = None, **changes: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=ROOT,
            env=environment(**changes),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A test run in the background ignores Ctrl-C, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def press_ctrl_c(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self, stdin: bytes | None = None, timeout: float = 120) -> Ran:
        """Once it has. subprocess.TimeoutExpired after `timeout` seconds."""
        out, err = self.process.communicate(stdin, timeout)
        return Ran(self.process.returncode, out.decode(), err.decode())


def manage(*arguments: object, stdin: bytes | None = None, timeout: float = 120, **changes: str) -> Ran:
    """Run it to its end. `changes` are variables of its environment."""
    if stdin is None and not changes:
        return Ran(*_server().run([str(argument) for argument in arguments], timeout))
    pipe = None if stdin is None else subprocess.PIPE
    with Running(*arguments, stdin=pipe, **changes) as running:
        return running.ended(stdin, timeout)


_servers: dict[frozenset[tuple[str, str]], CommandServer] = {}


def _server() -> CommandServer:
    """That of the present environment."""
    present = environment()
    present.pop("PYTEST_CURRENT_TEST", None)
    key = frozenset(present.items())
    if key not in _servers:
        _servers[key] = CommandServer(present)
    return _servers[key]
