"""Rows that are written without instances are those that a save would have written, on each database."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from deliveries import leases, writing
from deliveries.models import Delivery, DeliveryAttempt, Problem, State
from tests import factories

pytestmark = pytest.mark.django_db

AT = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ATTEMPT = {
    "number": 2,
    "late": False,
    "started_at": AT,
    "duration_ms": 17,
    "url": "https://example.com/ação?a=\"b\"&c='d'\\e%s",
    "request_headers": [["X-HOTMART-HOTTOK", "••••1234"], ["Content-Type", "application/json"]],
    "status": None,
    "problem": Problem.TIMEOUT,
    "detail": "example.com:443\n“quoted”",
    "response_headers": [["Set-Cookie", 'a="b"; c=\\d']],
    "response_body": b"\x00\xff\\x41'\"%s",
    "response_cut": True,
    "delivered": False,
}


@pytest.fixture
def delivery():
    product = factories.make_product()
    factories.make_config(product.owner)
    factories.make_sale(product)
    return Delivery.objects.get()


def test_an_inserted_row_reads_as_it_was_given(delivery):
    row = {"delivery": delivery.pk, **ATTEMPT}
    writing.insert(DeliveryAttempt, list(row), [list(row.values()), list((row | {"number": 3}).values())])
    first, second = DeliveryAttempt.objects.order_by("number")
    assert (first.number, second.number) == (2, 3)
    read = {name: getattr(first, name) for name in ATTEMPT}
    assert read | {"response_body": bytes(first.response_body)} == ATTEMPT
    assert first.delivery_id == delivery.pk


def test_an_update_sets_these_fields_of_these_rows_and_no_others(delivery):
    other = Delivery.objects.get()
    other.pk, other.webhook_id = None, "msg_other"
    other.event = another_event(delivery)
    other.save()
    names = ["state", "finished_at", "body", "last_status", "answered_page", "claim_id"]
    rows = [[State.DELIVERED, AT, '{"a": "é\\n"}', 200, True, None, delivery.pk]]
    writing.update(Delivery, names, rows)
    delivery.refresh_from_db()
    assert [getattr(delivery, name) for name in names] == rows[0][:-1]
    other.refresh_from_db()
    assert (other.state, other.finished_at, other.body) == (State.WAITING, None, "")


def another_event(delivery):
    event = delivery.event
    event.pk = event._meta.pk.get_default()
    event.save(force_insert=True)
    return event


def test_what_no_constraint_permits_is_refused(delivery):
    with pytest.raises(IntegrityError), transaction.atomic():
        writing.update(Delivery, ["state"], [["gone", delivery.pk]])


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no length")
def test_what_is_too_long_is_refused_and_not_cut(delivery):
    with pytest.raises(DataError), transaction.atomic():
        writing.update(Delivery, ["last_problem"], [["p" * 21, delivery.pk]])


def test_nothing_to_write_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        writing.insert(DeliveryAttempt, ["number"], [])
        writing.update(Delivery, ["state"], [])


def waits_for_the_disk() -> bool:
    with connection.cursor() as cursor:
        return cursor.execute("PRAGMA synchronous").fetchone()[0] >= 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="PostgreSQL's own transactions say so themselves."
)
def test_only_what_may_be_soon_does_not_wait_for_the_disk(settings):
    settings.SQLITE_SYNCHRONOUS = "FULL"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = FULL")
    try:
        with writing.soon():
            assert not waits_for_the_disk()
        assert waits_for_the_disk()
        with pytest.raises(ZeroDivisionError), writing.soon(), transaction.atomic():
            raise ZeroDivisionError
        assert waits_for_the_disk()
        with transaction.atomic(), writing.soon():  # of a sale, say: it must wait, whoever is called in it
            assert waits_for_the_disk()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no such setting.")
def test_a_sales_commit_waits_for_the_disk_and_a_claims_does_not(monkeypatch, product):
    seen = {}

    def synchronous_commit(of):
        with connection.cursor() as cursor:
            seen[of] = cursor.execute("SHOW synchronous_commit").fetchone()[0]

    factories.make_config(product.owner)
    with transaction.atomic():
        factories.make_sale(product)
        synchronous_commit("sale")
    commit_soon = writing.commit_soon
    monkeypatch.setattr(writing, "commit_soon", lambda: (commit_soon(), synchronous_commit("claim")))
    assert len(leases.claim(uuid4(), 10)) == 1
    synchronous_commit("afterwards")
    assert seen == {"sale": "on", "claim": "off", "afterwards": "on"}
