"""Databases of the benchmarks' own, which are gone afterwards, and rows by the million in them."""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

DATABASES = ("sqlite", "postgresql")
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


def environment(url: str, folder: str, **more: str) -> dict[str, str]:
    """For a process that works on that database with the product's own settings, as on a server."""
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "webhookhub.settings",
        "DATABASE_URL": url,
        "BROKER_URL": "orm",
        "CACHE_DIR": f"{folder}/cache",
        "DEBUG": "False",
        "SECRET_KEY": "only-for-this-benchmark-" + "x" * 40,
        "FIELD_ENCRYPTION_KEY": "b25seS1mb3ItdGhpcy1iZW5jaG1hcmstMDAwMDAwMDA=",
        "ALLOWED_HOSTS": "testserver",
        "MALLOC_ARENA_MAX": "2",  # as the worker's unit says
        **more,
    }


def on_each(run: Callable[[str, str, str], None], only: str | None = None) -> None:
    """Call `run(database, url, folder)` for an empty SQLite and an empty PostgreSQL, or `only` one of them."""
    import psycopg

    for database in [only] if only else DATABASES:
        with tempfile.TemporaryDirectory(prefix="webhookhub-bench-") as folder:
            try:
                with own_database(database, folder) as url:
                    run(database, url, folder)
            except psycopg.OperationalError as error:
                print(f"{database} cannot be reached, so it is left out: {error}")


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


def analyze() -> None:
    """Let the database count what it has by now: it plans by that."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
