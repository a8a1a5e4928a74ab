"""Writers of SQLite take turns: see webhookhub/sqlite/base.py."""

import sqlite3
import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction

from sales.models import Product, Seller
from tests.factories import make_product, make_seller

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


def test_a_statement_without_a_transaction_waits_its_turn_too(other):
    """SQLite would look every 100 ms by then, and find the lock free one time in twenty."""
    make_seller(name="Before")
    gaps = []

    def write_almost_all_the_time(done: threading.Event) -> None:
        time.sleep(0.5)
        while not done.is_set() and len(gaps) < 200:
            other.execute("COMMIT")
            gaps.append(time.sleep(0.005))
            other.execute("BEGIN IMMEDIATE")
            time.sleep(0.095)
        other.execute("COMMIT")

    for name in ("One", "Two", "Three"):
        other.execute("BEGIN IMMEDIATE")
        done = threading.Event()
        thread = threading.Thread(target=write_almost_all_the_time, args=[done])
        thread.start()
        Seller.objects.update(name=name)
        done.set()
        thread.join()
    assert Seller.objects.get().name == "Three"
    assert len(gaps) < 15  # three, and some for a machine that is busy


def test_what_fails_without_a_transaction_leaves_none_open():
    make_seller(code="S1")
    make_seller(code="S2")
    with pytest.raises(IntegrityError):
        Seller.objects.update(code="S1")
    assert not connection.connection.in_transaction
    assert set(Seller.objects.values_list("code", flat=True)) == {"S1", "S2"}


def test_what_fails_only_as_it_is_committed_leaves_none_open():
    """A foreign key is looked at then, and a disk may be full."""
    product = make_product()
    with pytest.raises(IntegrityError):
        Product.objects.update(owner_id=product.owner_id + 1000)
    assert not connection.connection.in_transaction
    assert Product.objects.get().owner_id == product.owner_id
