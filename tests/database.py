"""The tests' database: migrated once for all the workers of a run, and emptied in milliseconds after a test.

Each worker would go through a hundred migrations by itself, which takes it 4 to 10 seconds; here the first one does,
and all of them work on copies. Nothing of it outlives the run, so no copy is older than the migrations.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import TransactionTestCase


@contextmanager
def copy_for(worker: str) -> Iterator[None]:
    """Meanwhile the connection is to a database of the worker's own, with the tables and no test's rows."""
    creation, before = connection.creation, connection.settings_dict["NAME"]
    migrated = connection.settings_dict["TEST"]["NAME"]
    copies = settings.TEST_FOLDER / "copies"  # who has one
    with _alone():
        copies.mkdir(exist_ok=True)
        if any(copies.iterdir()):
            _connect_to(migrated)
        else:
            creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        connection.close()  # then a file of SQLite is whole
        creation.clone_test_db(worker, verbosity=0)
        _connect_to(creation.get_test_db_clone_settings(worker)["NAME"])
        (copies / worker).touch()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TransactionTestCase, "_fixture_teardown", Emptying())
            yield
    finally:
        with _alone():
            creation.destroy_test_db(migrated, verbosity=0)
            (copies / worker).unlink()
            if not any(copies.iterdir()):
                creation.destroy_test_db(before, verbosity=0)


@contextmanager
def _alone() -> Iterator[None]:
    """One worker at a time."""
    with Path(settings.TEST_FOLDER / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _connect_to(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


class Emptying:
    """What Django does after a test that commits, a hundred times as fast on PostgreSQL.

    Django truncates every table, which makes a hundred files anew, and has content types, permissions and groups made
    again, query by query. Here the rows are deleted, and those three are left alone where a test has left them alone.
    """

    def __init__(self) -> None:
        self._djangos = TransactionTestCase._fixture_teardown
        self._fresh: dict[str, set[tuple]] = {}  # by table: what is there when Django is done
        self._others: list[str] = []

    def __get__(self, case: TransactionTestCase, _type: type | None = None) -> Any:
        return lambda: self._empty(case)

    def _empty(self, case: TransactionTestCase) -> None:
        if self._fresh and all(_rows(table) == rows for table, rows in self._fresh.items()):
            with transaction.atomic(), connection.cursor() as cursor:
                for table in self._others:
                    cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")
            ContentType.objects.clear_cache()  # the test may have been on another database
            return
        self._djangos(case)
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        found = {table: _rows(table) for table in tables}
        self._fresh = {table: rows for table, rows in found.items() if rows}
        self._others = [table for table, rows in found.items() if not rows]


def _rows(table: str) -> set[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        return set(cursor.fetchall())
