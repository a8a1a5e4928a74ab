"""Questions that every drain and every sale asks, and that never differ: their SQL is built once.

Django takes up to a millisecond to build a query that a database answers in a twentieth of that, and a post that is due
waits for a dozen of them. Most are about what hardly ever is: a hold, an outage, a queue of an endpoint's own.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import QuerySet

Question = Callable[[], "QuerySet[Any, Any]"]


def rows(question: Question) -> list[tuple[Any, ...]]:
    """What the database has for it, unconverted. `question` is a function of a module, and gives the same each time.

    Its times have to be the database's own (`Now()`), and its limits no settings that change.
    """
    with connection.cursor() as cursor:
        cursor.execute(*_sql(question))
        return cursor.fetchall()


def any_row(question: Question) -> bool:
    """Whether it has any."""
    with connection.cursor() as cursor:
        cursor.execute(*_sql_of_one(question))
        return cursor.fetchone() is not None


@cache
def _sql(question: Question) -> tuple[str, tuple[Any, ...]]:
    return question().order_by().query.sql_with_params()


@cache
def _sql_of_one(question: Question) -> tuple[str, tuple[Any, ...]]:
    return question().order_by().values("pk")[:1].query.sql_with_params()
