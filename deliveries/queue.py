"""The queue in SQLite: django-q2's ORM broker, which looks in microseconds whether a job is there.

Django takes a millisecond of the processor to build the broker's query, twenty times a second in an idle system. This
look goes to SQLite itself, and so can be taken often enough that nobody waits for it.
"""

import time

from django.db import connections
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

from . import writing

# The stored times are text, of more digits: one of the present millisecond counts as later.
_ANY = (
    f"SELECT 1 FROM {OrmQ._meta.db_table} "  # noqa: S608
    "WHERE key = ? AND lock < strftime('%Y-%m-%d %H:%M:%f', 'now') LIMIT 1"
)
ASK_EVERY = 1.0  # seconds: the stock way, which also closes a connection that is broken or too old


class SqliteQueue(ORM):
    _ask_at = 0.0  # monotonic

    def dequeue(self) -> list[tuple[int, str]] | None:
        """[(id, signed job), …], or None, after `poll` seconds, where there is none."""
        if time.monotonic() < self._ask_at and not self._has_any():
            time.sleep(Conf.POLL)
            return None
        self._ask_at = time.monotonic() + ASK_EVERY
        with writing.soon():  # a job that is given out twice does no harm
            return super().dequeue()

    def _has_any(self) -> bool:
        """Whether there is a job that nobody has in hand."""
        connection = connections[Conf.ORM].connection
        return connection is None or connection.execute(_ANY, [self.list_key]).fetchone() is not None
