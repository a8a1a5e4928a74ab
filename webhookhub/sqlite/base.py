"""Django's backend for SQLite, whose writers take turns within milliseconds.

A transaction that writes begins with BEGIN IMMEDIATE, which waits for the one writer that SQLite allows. SQLite's own
way of waiting sleeps longer each time, up to 100 ms: beside a process that writes without a pause, a sale or another
worker found the lock free only by luck, and waited for seconds. Here it is asked for every few milliseconds.
"""

import random
import sqlite3
import time

from django.db import OperationalError
from django.db.backends.sqlite3 import base

EVERY = (0.001, 0.004)  # seconds between two tries, at random so that two who wait do not keep in step


class DatabaseWrapper(base.DatabaseWrapper):
    def _start_transaction_under_autocommit(self) -> None:
        """Raises OperationalError after the time that `PRAGMA busy_timeout` says, as Django's own does."""
        if self.transaction_mode != "IMMEDIATE":
            return super()._start_transaction_under_autocommit()
        with self.wrap_database_errors:
            [limit] = self.connection.execute("PRAGMA busy_timeout").fetchone()
            self.connection.execute("PRAGMA busy_timeout = 0")
        try:
            self._begin_immediate(time.monotonic() + limit / 1000)
        finally:
            self.connection.execute(f"PRAGMA busy_timeout = {limit}")

    def _begin_immediate(self, until: float) -> None:
        while True:
            try:
                return super()._start_transaction_under_autocommit()
            except OperationalError as error:
                if not _is_busy(error) or time.monotonic() > until:
                    raise
            time.sleep(random.uniform(*EVERY))  # noqa: S311


def _is_busy(error: OperationalError) -> bool:
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY  # above the byte: in what way
