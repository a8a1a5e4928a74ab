"""Writers of SQLite take turns: see webhookhub/sqlite/base.py."""

import sqlite3
import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction

from tests.factories import make_seller

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not settings.ON_SQLITE, reason="It is about SQLite."),
]


@pytest.fixture
def other() -> Iterator[sqlite3.Connection]:
    """A writer beside the test's own connection."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    yield other
    other.close()


def test_a_transaction_begins_as_soon_as_the_writer_before_has_committed(other):
    other.execute("BEGIN IMMEDIATE")
    began = threading.Event()

    def release() -> None:
        began.wait(30)
        other.execute("COMMIT")

    thread = threading.Thread(target=release)
    thread.start()
    connection.ensure_connection()
    began.set()
    make_seller()
    thread.join()
    with connection.cursor() as cursor:  # and is as patient afterwards as before
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)


def test_it_gives_up_after_the_busy_timeout_and_keeps_it(other):
    other.execute("BEGIN IMMEDIATE")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 50")
    try:
        with pytest.raises(OperationalError, match="locked"), transaction.atomic():
            pass
        with connection.cursor() as cursor:
            assert cursor.execute("PRAGMA busy_timeout").fetchone() == (50,)
    finally:
        other.execute("ROLLBACK")
        connection.close()


def test_an_error_that_is_no_lock_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("It waited."))
    with (
        transaction.atomic(),
        pytest.raises(OperationalError, match="within a transaction"),
    ):
        connection._start_transaction_under_autocommit()
