"""Many rows written at once, without a model instance or an expression for each: half of what recording cost.

`bulk_create` makes SQL of every value of every row. Here a statement is prepared once; where the database is
PostgreSQL all the rows go in one, as JSON, which costs a fifth of arrays or VALUES.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import cache
from types import NoneType
from typing import Any

from django.conf import settings
from django.db import connection, models

from sales import fast_json
from sales.bulkwrite import as_json, binding_cursor, recordset

_AS_THEY_ARE = frozenset({str, int, bool, float, bytes, NoneType})  # but in a JSON field


def insert(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write new rows of `model`, each the values of the fields `names`; the others have their database's default."""
    if rows:
        fields = _fields(model, tuple(names))
        _execute(_insertion(model, fields, connection.vendor), fields, rows)


def update(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Set the fields `names` of the rows of `model`. Each row: the values, and then the primary key."""
    if rows:
        fields = _fields(model, (*names, "pk"))
        _execute(_updating(model, fields, connection.vendor), fields, rows)


def values(instance: models.Model, names: Sequence[str]) -> list[Any]:
    """A row for `update`."""
    return [*(getattr(instance, name) for name in names), instance.pk]


@contextmanager
def soon() -> Iterator[None]:
    """Commits in here do not wait for the disk, where it is SQLite. Around a transaction: it cannot change within one.

    For what a power loss may take back: a claim, a wake-up. What it takes is the last commits in their order, down to
    the latest that did wait, such as a sale's or an outcome's.
    """
    waits = connection.vendor == "sqlite" and settings.SQLITE_SYNCHRONOUS in ("FULL", "EXTRA")
    if not waits or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = NORMAL")
    try:
        yield
    finally:
        if connection.connection is not None:  # a new one begins as the settings say
            with connection.cursor() as cursor:
                cursor.execute(f"PRAGMA synchronous = {settings.SQLITE_SYNCHRONOUS}")


def by_index(*, in_order: bool = False) -> None:
    """In this transaction rows are found by an index; `in_order`: and the most urgent ones read off the end of one.

    With statistics from before a burst PostgreSQL takes it that the table is small, and little due. To find 400 rows by
    their ids it reads all of them, with what updates have left of them: a tenth of the time that a post took. And it
    sorts all of 20,000 that are due for each claim: 28 ms, where the index gives 200 in 0.6.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off" + "; SET LOCAL enable_sort = off" * in_order)


def commit_soon() -> None:
    """The commit of this transaction does not wait for the disk, where the database can do that.

    A power loss may take the last moment of it: the post is then claimed once more, and sent once more. That it is
    to be sent, the sale's own transaction has made sure of.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


@cache
def _fields(model: type[models.Model], names: tuple[str, ...]) -> tuple[models.Field, ...]:
    meta = model._meta
    return tuple(meta.pk if name == "pk" else meta.get_field(name) for name in names)


@cache
def _insertion(model: type[models.Model], fields: tuple[models.Field, ...], vendor: str) -> str:
    quote = connection.ops.quote_name
    into = f"INSERT INTO {quote(model._meta.db_table)} ({', '.join(quote(f.column) for f in fields)})"
    if vendor == "postgresql":
        return f"{into} SELECT * FROM {recordset(fields, connection)}"  # noqa: S608
    return f"{into} VALUES ({', '.join(['%s'] * len(fields))})"


@cache
def _updating(model: type[models.Model], fields: tuple[models.Field, ...], vendor: str) -> str:
    quote = connection.ops.quote_name
    table, (*columns, key) = quote(model._meta.db_table), [quote(field.column) for field in fields]
    if vendor == "postgresql":
        sets = ", ".join(f"{column} = given.{column}" for column in columns)
        return f"UPDATE {table} SET {sets} FROM {recordset(fields, connection)} WHERE {table}.{key} = given.{key}"  # noqa: S608
    sets = ", ".join(f"{column} = %s" for column in columns)
    return f"UPDATE {table} SET {sets} WHERE {key} = %s"  # noqa: S608


def _execute(statement: str, fields: Sequence[models.Field], rows: Sequence[Sequence[Any]]) -> None:
    if connection.vendor == "postgresql":
        with binding_cursor(connection) as cursor:
            cursor.execute(statement, [as_json(fields, rows)])
    else:
        columns = [
            _prepared(field, values) for field, values in zip(fields, zip(*rows, strict=True), strict=True)
        ]
        with connection.cursor() as cursor:
            cursor.executemany(statement, zip(*columns, strict=True))


def _prepared(field: models.Field, values: Sequence[Any]) -> Sequence[Any]:
    """A column as the database takes it. A moment that many rows share is made ready once."""
    if isinstance(field, models.JSONField):
        return [fast_json.dumps(value) for value in values]
    if _AS_THEY_ARE.issuperset(map(type, values)):
        return values
    known: dict[Any, Any] = {}
    prepared = []
    for value in values:
        if type(value) not in _AS_THEY_ARE:
            if value not in known:
                plain = value.value if isinstance(value, Enum) else value
                known[value] = (
                    plain if type(plain) in _AS_THEY_ARE else field.get_db_prep_save(plain, connection)
                )
            value = known[value]
        prepared.append(value)
    return prepared
