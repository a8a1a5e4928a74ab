"""Many new rows of one model at once. `bulk_create()` takes longer to write its SQL than all else of a row takes."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any, TypeVar

import orjson
from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models.base import ModelState

from . import fast_json

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
# Equal ones are written alike, so each value of a column is looked at once.
_ALIKE = (datetime, Decimal, Enum)


def new(model: type[Row], **facts: Any) -> Row:
    """As `model(**facts)`, in a third to a tenth of the time, where thousands are made: past `__init__()`, as a copy is, so the
    signals `pre_init` and `post_init` are not sent; the defaults, most of a row, are looked up once. TypeError for a fact
    that is no field."""
    same, made, names = _defaults(model)
    if not facts.keys() <= names:
        unknown = ", ".join(sorted(facts.keys() - names))
        raise TypeError(f"{model.__name__} has no field {unknown}.")
    row = model.__new__(model)
    vars(row).update(same, _state=ModelState())
    for name, default in made.items():
        if name not in facts:
            vars(row)[name] = default()
    for name, value in facts.items():
        setattr(row, name, value)
    return row


@cache
def _defaults(
    model: type[models.Model],
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]], frozenset[str]]:
    """By attribute: what new rows share, and what makes the value of each; and every name that a fact may have."""
    fields = model._meta.concrete_fields
    made = {f.attname: f.get_default for f in fields if f.has_default() and callable(f.default)}
    names = frozenset(chain.from_iterable((f.name, f.attname) for f in fields))
    return {f.attname: f.get_default() for f in fields}, made, names


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
    relations = [f for f in fields if f.is_relation]
    using = router.db_for_write(type(rows[0]))
    connection = connections[using]
    for row in rows:
        if row.pk is None and not numbered:
            row.pk = meta.pk.get_pk_value_on_save(row)
        if _lacks_a_key(row, relations):
            row._prepare_related_fields_for_save(operation_name="insert")
    size = max(1, connection.ops.bulk_batch_size(fields, rows))
    with transaction.atomic(using=using, savepoint=False), binding_cursor(connection) as cursor:
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            columns = _columns(fields, some, connection)
            cursor.execute(*_statement(meta, fields, columns, connection))
            if numbered:
                for row, (key,) in zip(some, cursor.fetchall(), strict=True):
                    row.pk = key
    for row in rows:
        row._state.adding, row._state.db = False, using
    return rows


def _lacks_a_key(row: models.Model, relations: list[Any]) -> bool:
    """Whether a row that it names was given before that one was saved."""
    for f in relations:
        related = f.get_cached_value(row, None)
        if related is not None and (related.pk is None or getattr(row, f.attname) is None):
            return True
    return False


def binding_cursor(connection: BaseDatabaseWrapper) -> CursorWrapper:
    """PostgreSQL gets the rows beside the statement. Django's cursor quotes them into it: a megabyte that is copied
    and parsed twice more, which cost a batch of outcomes a fifteenth of all its time."""
    if connection.vendor != "postgresql":
        return connection.cursor()
    connection.ensure_connection()
    cursor = connection.Database.Cursor(connection.connection)
    return (
        connection.make_debug_cursor(cursor) if connection.queries_logged else connection.make_cursor(cursor)
    )


def recordset(fields: Sequence[Any], connection: BaseDatabaseWrapper) -> str:
    """PostgreSQL's rows of these columns, out of one JSON that stands for %s: that takes a fifth of the time of arrays
    or VALUES."""
    # Without a length: a cast to varchar(5) would cut what is too long, and not refuse it.
    types = [f.rel_db_type(connection).partition("(")[0] for f in fields]
    columns = [connection.ops.quote_name(f.column) for f in fields]
    of = ", ".join(map(" ".join, zip(columns, types, strict=True)))
    return f"json_to_recordset(%s::json) AS given({of})"


def as_json(fields: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    """What `recordset` takes."""
    columns = [f.column for f in fields]
    return fast_json.dumps([dict(zip(columns, row, strict=True)) for row in rows])


def _statement(
    meta: Any, fields: Sequence[Any], columns: list[Sequence[Any]], connection: BaseDatabaseWrapper
) -> tuple[str, list[Any]]:
    """With its parameters."""
    quote = connection.ops.quote_name
    head = f"INSERT INTO {quote(meta.db_table)} ({', '.join(quote(f.column) for f in fields)})"
    key = "" if meta.pk in fields else f" RETURNING {quote(meta.pk.column)}"
    if connection.vendor == "postgresql":
        plain = [
            [text and orjson.Fragment(text) for text in column] if isinstance(f, models.JSONField) else column
            for f, column in zip(fields, columns, strict=True)
        ]
        given = as_json(fields, zip(*plain, strict=True))
        return f"{head} SELECT * FROM {recordset(fields, connection)}{key}", [given]  # noqa: S608
    row = f"({', '.join(['%s'] * len(fields))})"
    values = list(chain.from_iterable(zip(*columns, strict=True)))
    return f"{head} VALUES {', '.join([row] * len(columns[0]))}{key}", values


def _columns(
    fields: Sequence[Any], rows: Sequence[models.Model], connection: BaseDatabaseWrapper
) -> list[Sequence[Any]]:
    """The values of each field as the driver takes them."""
    for f in fields:
        if getattr(f, "auto_now", False) or getattr(f, "auto_now_add", False):
            for row in rows:
                f.pre_save(row, True)
    columns = zip(*map(itemgetter(*[f.attname for f in fields]), map(vars, rows)), strict=True)
    return [_written(f, column, connection) for f, column in zip(fields, columns, strict=True)]


def _written(f: Any, column: Sequence[Any], connection: BaseDatabaseWrapper) -> Sequence[Any]:
    if isinstance(f, models.JSONField):
        return [None if value is None else _json(value, f.encoder) for value in column]
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
                plain = value.value if isinstance(value, Enum) else value
                known[value] = f.get_db_prep_save(plain, connection)
            written.append(known[value])
    return written


def _json(value: Any, encoder: Any) -> str:
    """As `json.dumps()` does, which knows whole numbers of any size, and takes ten times as long."""
    if encoder is None:
        with suppress(TypeError):
            return orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    return json.dumps(value, cls=encoder)
