"""Many new rows of one model at once. `bulk_create()` takes longer to write its SQL than all else of a row takes."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from itertools import chain
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar

from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

Row = TypeVar("Row", bound=models.Model)

# What the driver takes as it is, by field; a field of any other class looks at each of its values.
_TEXT, _NUMBER = frozenset({str, NoneType}), frozenset({int, NoneType})
_AS_IS: dict[type, frozenset[type]] = {models.BooleanField: frozenset({bool, NoneType})}
_AS_IS |= dict.fromkeys((models.CharField, models.EmailField, models.URLField, models.TextField), _TEXT)
_AS_IS |= dict.fromkeys(
    (
        models.IntegerField,
        models.PositiveIntegerField,
        models.PositiveSmallIntegerField,
        models.PositiveBigIntegerField,
        models.AutoField,
        models.BigAutoField,
    ),
    _NUMBER,
)
_EMPTY = frozenset({NoneType})
_ALIKE = (
    datetime,
    Decimal,
    Enum,
)  # equal ones are written alike, so each value of a column is looked at once


def insert(rows: Iterable[Row]) -> list[Row]:
    """Write new rows, in one statement where the database takes it, and give them their keys: as `bulk_create()`
    does, of rows that hold values alone and no expressions."""
    rows = list(rows)
    if not rows:
        return rows
    meta = rows[0]._meta
    numbered = isinstance(meta.pk, models.AutoField)
    if numbered and any(row.pk is not None for row in rows):
        return type(rows[0])._base_manager.bulk_create(rows)
    fields = [f for f in meta.concrete_fields if not f.generated and not (numbered and f.primary_key)]
    using = router.db_for_write(type(rows[0]))
    connection = connections[using]
    for row in rows:
        if row.pk is None and not numbered:
            row.pk = meta.pk.get_pk_value_on_save(row)
        row._prepare_related_fields_for_save(operation_name="insert")
    size = max(1, connection.ops.bulk_batch_size(fields, rows))
    with transaction.atomic(using=using, savepoint=False), connection.cursor() as cursor:
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            values = zip(*_columns(fields, some, connection), strict=True)
            cursor.execute(_statement(meta, fields, len(some), connection), list(chain.from_iterable(values)))
            if numbered:
                for row, (key,) in zip(some, cursor.fetchall(), strict=True):
                    row.pk = key
    for row in rows:
        row._state.adding, row._state.db = False, using
    return rows


def _statement(meta: Any, fields: Sequence[Any], count: int, connection: BaseDatabaseWrapper) -> str:
    quote = connection.ops.quote_name
    columns, one = ", ".join(quote(f.column) for f in fields), f"({', '.join(['%s'] * len(fields))})"
    key = "" if meta.pk in fields else f" RETURNING {quote(meta.pk.column)}"
    return f"INSERT INTO {quote(meta.db_table)} ({columns}) VALUES {', '.join([one] * count)}{key}"  # noqa: S608


def _columns(
    fields: Sequence[Any], rows: Sequence[models.Model], connection: BaseDatabaseWrapper
) -> list[Sequence[Any]]:
    """The values of each field as the driver takes them."""
    for f in fields:
        if getattr(f, "auto_now", False) or getattr(f, "auto_now_add", False):
            for row in rows:
                f.pre_save(row, True)
    columns = zip(*map(attrgetter(*[f.attname for f in fields]), rows), strict=True)
    return [_written(f, column, connection) for f, column in zip(fields, columns, strict=True)]


def _written(f: Any, column: Sequence[Any], connection: BaseDatabaseWrapper) -> Sequence[Any]:
    as_is = _AS_IS.get(type(f.target_field if f.is_relation else f), _EMPTY)
    if as_is.issuperset(map(type, column)):
        return column
    known: dict[Any, Any] = {}
    written = []
    for value in column:
        if type(value) in as_is:
            written.append(value)
        elif not isinstance(value, _ALIKE):
            written.append(f.get_db_prep_save(value, connection))
        else:
            if value not in known:
                # psycopg takes a choice for an enum of the database
                plain = value.value if isinstance(value, Enum) else value
                known[value] = f.get_db_prep_save(plain, connection)
            written.append(known[value])
    return written
