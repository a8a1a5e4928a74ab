"""A copy of the whole database, made while everything runs. docs/backup.md says how it is restored.

Both ways copy one moment: what is committed before it is in the copy whole, what comes after is not in it at all.
"""

import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from deliveries import sending


class NotMade(Exception):
    """There is no copy, and what was at its place before is untouched. `str()` of it says why."""


@dataclass(frozen=True, slots=True)
class Backup:
    kind: str  # "sqlite": a database, ready to be opened; "pg_dump": for pg_restore
    bytes: int


def make(path: Path) -> Backup:
    """Write the copy to `path`, which nobody but its owner may read. Raises NotMade."""
    on_sqlite = connection.vendor == "sqlite"
    try:
        with _whole(path) as beside:
            if on_sqlite:
                _copy_sqlite(beside)
            else:
                _dump_postgresql(beside)
        return Backup("sqlite" if on_sqlite else "pg_dump", path.stat().st_size)
    except (OSError, sqlite3.Error) as error:
        raise NotMade(f"The backup could not be made: {error}.") from error


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A file beside `path`, which takes its place once the block has ended well, and is on the disk then."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)  # mode 600
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                Path(f"{beside}{suffix}").unlink()


def _copy_sqlite(beside: Path) -> None:
    """In one step, as a reader of one snapshot: in WAL mode writers go on meanwhile, and it never begins anew."""
    source = sqlite3.connect(connection.settings_dict["NAME"], timeout=20)
    copy = sqlite3.connect(beside)
    try:
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, that can be moved by itself
        [found] = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise NotMade(f"The copy is damaged, and so is perhaps the database: {found}.")
    finally:
        copy.close()
        source.close()
    sending.hold_copy(beside)


def _dump_postgresql(beside: Path) -> None:
    """By pg_dump, in its custom format. The password goes by the environment, where no list of processes shows it."""
    program = shutil.which("pg_dump")
    if program is None:
        raise NotMade(
            "pg_dump is not installed here: it comes with PostgreSQL's client (apt install postgresql-client)."
        )
    arguments, secret = connection.client.settings_to_cmd_args_env(connection.settings_dict, [])
    ran = subprocess.run(  # noqa: S603  arguments of the settings
        [program, "--format=custom", f"--file={beside}", "--no-password", *arguments[1:]],
        env=os.environ | (secret or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if ran.returncode:
        raise NotMade(f"pg_dump ended with exit code {ran.returncode}: {' '.join(ran.stderr.split())[:500]}")
