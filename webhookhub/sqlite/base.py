"""Django's backend for SQLite, whose writers take turns within milliseconds.

A transaction that writes begins with BEGIN IMMEDIATE, which waits for the one writer that SQLite allows. SQLite's own
way of waiting sleeps longer each time, up to 100 ms: beside a process that writes without a pause, a sale or another
worker found the lock free only by luck, and waited for seconds. Here it is asked for every few milliseconds. And a
statement that writes outside of a transaction gets one of its own, so that it waits its turn in the same way: with two
busy workers, that by which the queue gives out a job had to wait for two seconds.
"""

import random
import re
import sqlite3
import time
from collections.abc import Callable
from typing import Any

from django.db import OperationalError
from django.db.backends.sqlite3 import base

EVERY = (0.001, 0.004)  # seconds between two tries, at random so that two who wait do not keep in step
# One with RETURNING is left to SQLite: it is under way until its rows are read, and could not be committed here.
_WRITES_ALONE = re.compile(
    r"\s*(?:INSERT|REPLACE|UPDATE|DELETE)\b(?!.*\bRETURNING\b)", re.IGNORECASE | re.DOTALL
)


class DatabaseWrapper(base.DatabaseWrapper):
    def create_cursor(self, name: str | None = None) -> "Cursor":
        return self.connection.cursor(factory=lambda connection: Cursor(connection, self))

    def _start_transaction_under_autocommit(self) -> None:
        """Raises OperationalError after the time that `PRAGMA busy_timeout` says, as Django's own does."""
        begin = super()._start_transaction_under_autocommit
        if self.transaction_mode != "IMMEDIATE":
            begin()
        else:
            self.in_turn(begin)

    def in_turn(self, begin: Callable[[], object]) -> None:
        """Begin a transaction, as soon as nobody else writes. Raises OperationalError as above."""
        with self.wrap_database_errors:
            [limit] = self.connection.execute("PRAGMA busy_timeout").fetchone()
            self.connection.execute("PRAGMA busy_timeout = 0")
        until = time.monotonic() + limit / 1000
        try:
            while True:
                try:
                    with self.wrap_database_errors:
                        begin()
                    return
                except OperationalError as error:
                    if not _is_busy(error) or time.monotonic() > until:
                        raise
                time.sleep(random.uniform(*EVERY))  # noqa: S311
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {limit}")


class Cursor(base.SQLiteCursorWrapper):
    def __init__(self, connection: sqlite3.Connection, wrapper: DatabaseWrapper) -> None:
        super().__init__(connection)
        self._wrapper = wrapper

    def execute(self, query: str, params: Any = None) -> Any:
        return self._run(super().execute, query, params)

    def executemany(self, query: str, param_list: Any) -> Any:
        return self._run(super().executemany, query, param_list)

    def _run(self, execute: Callable[[str, Any], Any], query: str, params: Any) -> Any:
        connection = self.connection
        if connection.in_transaction or not _WRITES_ALONE.match(query):
            return execute(query, params)
        self._wrapper.in_turn(lambda: connection.execute("BEGIN IMMEDIATE"))
        try:
            done = execute(query, params)
            connection.commit()  # which may fail too: by a foreign key, or a disk that is full
        except BaseException:
            connection.rollback()
            raise
        return done


def _is_busy(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY  # above the byte: in what way
