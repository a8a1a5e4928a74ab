"""Pages by key: of any list in order of a time, newest first, the first page and the thousandth take as long.

A key says where a row stands: the microseconds of its time since 1970, and its id. `column` names the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Model, QuerySet

PAGE = 50  # rows
COUNT_LIMIT = 10_000  # counted exactly up to here
COLUMN = "created_at"  # of a delivery

Key = tuple[datetime, int]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """Up to PAGE posts, newest first; `newer` and `older` are keys for the pages beside it, or empty."""

    posts: Sequence[Any]
    newer: str = ""
    older: str = ""


def page(rows: QuerySet[Any], *, newer: str = "", older: str = "", column: str = COLUMN) -> Page:
    """The first page; or the one on the newer or the older side of a key. A key that makes no sense is none."""
    if newer and (key := parse(newer)):
        found = list(newer_than(rows, key, column).order_by(column, "pk")[: PAGE + 1])
        if len(found) > PAGE:
            found = found[:PAGE][::-1]
            return Page(found, newer=key_of(found[0], column), older=key_of(found[-1], column))
        # All that is newer fits on the first page, which fills up with older ones.
    elif older and (key := parse(older)):
        found = list(newest_first(older_than(rows, key, column), column)[: PAGE + 1])
        if found:
            return Page(
                found[:PAGE],
                newer=key_of(found[0], column),
                older=key_of(found[PAGE - 1], column) if len(found) > PAGE else "",
            )
    found = list(newest_first(rows, column)[: PAGE + 1])
    return Page(found[:PAGE], older=key_of(found[PAGE - 1], column) if len(found) > PAGE else "")


def newest_first(rows: QuerySet[Any], column: str = COLUMN) -> QuerySet[Any]:
    return rows.order_by(f"-{column}", "-pk")


def newer_than(rows: QuerySet[Any], key: Key, column: str = COLUMN) -> QuerySet[Any]:
    at, pk = key
    return rows.filter(**{f"{column}__gte": at}).exclude(**{column: at, "pk__lte": pk})


def older_than(rows: QuerySet[Any], key: Key, column: str = COLUMN) -> QuerySet[Any]:
    at, pk = key
    return rows.filter(**{f"{column}__lte": at}).exclude(**{column: at, "pk__gte": pk})


def new_since(rows: QuerySet[Any], key: str, limit: int = 100, column: str = COLUMN) -> int:
    """How many came since the row with that key, up to `limit`; 0 if the key makes no sense."""
    parsed = parse(key)
    return newer_than(rows, parsed, column).order_by()[:limit].count() if parsed else 0


def count(rows: QuerySet[Any]) -> tuple[int, bool]:
    """How many, and whether there are more than that: exact up to COUNT_LIMIT."""
    return counts(rows)[0]


def counts(*lists: QuerySet[Any]) -> list[tuple[int, bool]]:
    """The same of several, in one query for them all."""
    asked, params = [], list[Any]()
    for rows in lists:
        try:
            sql, its = rows.order_by().values("pk")[: COUNT_LIMIT + 1].query.sql_with_params()
        except EmptyResultSet:
            sql, its = "SELECT 1 WHERE 1 = 0", ()
        asked.append(f"(SELECT COUNT(*) FROM ({sql}) counted)")  # noqa: S608  Django wrote it
        params += its
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(asked)}", params)
        found = cursor.fetchone()
    return [(min(n, COUNT_LIMIT), n > COUNT_LIMIT) for n in found]


def key_of(row: Model, column: str = COLUMN) -> str:
    return f"{(getattr(row, column) - _EPOCH) // timedelta(microseconds=1)}-{row.pk}"


def parse(text: str) -> Key | None:
    """None for what is no key."""
    at, _dash, pk = text.partition("-")
    if not (text.isascii() and at.isdigit() and pk.isdigit()):
        return None
    try:
        moment = _EPOCH + timedelta(microseconds=int(at))
        number = int(pk)
    except (ValueError, OverflowError):
        return None
    return (moment, number) if number < 2**63 else None
