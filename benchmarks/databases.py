"""Databases of the benchmarks' own, which are gone afterwards, and rows by the million in them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")


@contextmanager
def own_database(kind: str, folder: str) -> Iterator[str]:
    """The DATABASE_URL of a new, empty database, "sqlite" or "postgresql"; it is dropped at the end.

    Raises psycopg.OperationalError where PostgreSQL cannot be reached.
    """
    if kind == "sqlite":
        yield f"sqlite:///{Path(folder) / 'bench.sqlite3'}"
        return
    import psycopg
    from psycopg import sql

    name = f"webhookhub_bench_{os.getpid()}"
    with psycopg.connect(POSTGRES_URL, autocommit=True, connect_timeout=3) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlunsplit(urlsplit(POSTGRES_URL)._replace(path=f"/{name}"))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def multiply(row, count: int, **columns: Mapping[str, str]) -> None:
    """Write `count` rows like `row`, a saved instance. `columns` gives SQL expressions by vendor for what differs.

    In each the number of the new row, from 1, is `n.i`; what is not given is as in `row`.
    """
    from django.db import connection

    vendor = connection.vendor
    names = [
        field.column
        for field in row._meta.concrete_fields
        if not field.primary_key or field.column in columns
    ]
    quote = connection.ops.quote_name
    values = [columns[name][vendor] if name in columns else f"r.{quote(name)}" for name in names]
    series = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s) "
        if vendor == "sqlite"
        else "WITH n(i) AS (SELECT generate_series(1, %s)) "
    )
    table, key = quote(row._meta.db_table), quote(row._meta.pk.column)
    statement = (
        f"{series if vendor == 'postgresql' else ''}INSERT INTO {table} ({', '.join(map(quote, names))}) "
        f"{series if vendor == 'sqlite' else ''}SELECT {', '.join(values)} FROM {table} r, n WHERE r.{key} = %s"
    )
    given = row._meta.pk.get_db_prep_value(row.pk, connection)
    with connection.cursor() as cursor:
        cursor.execute(statement, [count, given])
        cursor.execute("ANALYZE")
