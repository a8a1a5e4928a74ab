"""The attempts by day: the SQL of docs/scaling.md, run as it stands there, and everything that touches them after it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from deliveries import engine, retention
from deliveries.models import Delivery, DeliveryAttempt, State
from tests import factories

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(settings.ON_SQLITE, reason="It is about PostgreSQL."),
]

PAGE = (Path(settings.BASE_DIR) / "docs" / "scaling.md").read_text("utf-8")
RECIPE = re.findall(r"^```sql tried\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def by_day(sell) -> Delivery:
    """All of the recipe, in the test's transaction, which undoes it. One post was delivered before."""
    before = sell()
    engine.drain()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for statement in RECIPE:
            # What the transaction of a test does not allow: it is none of its own, and it holds others up.
            statement = re.sub(r"^(BEGIN|COMMIT);$", "", statement, flags=re.MULTILINE)
            cursor.execute(statement.replace(" CONCURRENTLY", ""))
    return before


def partition_of(attempt: DeliveryAttempt) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text FROM deliveries_deliveryattempt WHERE id = %s", [attempt.pk]
        )
        return cursor.fetchone()[0]


def at(attempt: DeliveryAttempt, **ahead: float) -> DeliveryAttempt:
    attempt.started_at = timezone.now() + timedelta(**ahead)
    attempt.save(update_fields=["started_at"])
    return attempt


def days() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits "
            "WHERE inhparent = 'deliveries_deliveryattempt'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


def test_the_recipe_makes_a_partition_for_what_was_there_and_one_for_each_day_to_come(by_day):
    in_a_week = [timezone.now() + timedelta(days=n) for n in range(1, 8)]
    assert days() == {
        "attempts_before",
        "attempts_of_no_day",
        *(f"attempts_{day:%Y%m%d}" for day in in_a_week),
    }


def test_posts_are_delivered_recorded_and_shown_as_before(by_day, sell, client, producer):
    after = sell()
    engine.drain()
    after.refresh_from_db()
    assert after.state == State.DELIVERED
    old, new = by_day.attempts.get(), after.attempts.get()
    assert new.pk > old.pk
    assert partition_of(old) == partition_of(new) == "attempts_before"
    tomorrow = at(new, days=1)
    assert partition_of(tomorrow) == f"attempts_{tomorrow.started_at:%Y%m%d}"
    assert partition_of(at(new, days=30)) == "attempts_of_no_day"

    client.force_login(producer.user)
    for delivery in (by_day, after):
        assert client.get(delivery.get_absolute_url()).status_code == 200
    client.force_login(factories.make_staff())
    assert client.get(reverse("admin:deliveries_delivery_changelist")).status_code == 200


def test_the_purge_deletes_the_attempts_of_each_day(by_day, clock):
    clock.forward(days=100)
    assert retention.delete_for(60, lambda: False)
    assert not Delivery.objects.exists()
    assert not DeliveryAttempt.objects.exists()


def test_a_day_that_is_over_is_dropped(by_day, sell):
    after = sell()
    engine.drain()
    at(after.attempts.get(), days=1)
    assert by_day.attempts.exists()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SELECT attempts_by_day(ahead => 0, keep => -3)")  # as if it were four days later
    tomorrow = timezone.now() + timedelta(days=1)
    assert f"attempts_{tomorrow:%Y%m%d}" not in days()
    assert not after.attempts.exists()
    assert by_day.attempts.exists()
