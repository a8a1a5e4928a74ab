"""What ended long ago is deleted and counted; what waits stays, and sales are saved meanwhile."""

import threading
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_q.models import Schedule

from deliveries import cluster, retention, tallies, tasks
from deliveries.models import Delivery, DeliveryAttempt, Event, State, Tally
from deliveries.retention import Deleted
from sales.models import Transaction
from tests import factories

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def old(sell):
    """`old(days, state, attempts=1)`: a post of an event of so many days ago that ended as it began."""

    def old(days, state=State.DELIVERED, attempts=1, **columns):
        post, at = sell(), NOW - timedelta(days=days)
        ended = at if state in retention.FINISHED else None
        facts = {"state": state, "created_at": at, "finished_at": ended, "attempts_made": attempts} | columns
        Delivery.objects.filter(pk=post.pk).update(**facts)
        Event.objects.filter(pk=post.event_id).update(occurred_at=at)
        for number in range(1, attempts + 1):
            DeliveryAttempt.objects.create(
                delivery=post, number=number, started_at=at, duration_ms=5, url="https://x.example.com",
                request_headers=[], delivered=True,
            )  # fmt: skip
        return post

    return old


def purge(days=90):
    return sum(retention.delete(retention.limit(days)), Deleted())


def left():
    return set(Delivery.objects.values_list("pk", flat=True))


def test_what_is_older_goes_with_its_attempts_and_its_event(old):
    old(91, attempts=2)
    young = old(89)
    assert purge() == Deleted(posts=1, attempts=2, events=1)
    assert left() == {young.pk}
    assert Event.objects.get().pk == young.event_id
    assert DeliveryAttempt.objects.get().delivery_id == young.pk
    assert purge() == Deleted()


@pytest.mark.parametrize("state", State.values)
def test_only_what_is_finished_goes(old, state):
    old(400, state)
    purged = purge()
    assert purged.posts == purged.events == (1 if state in retention.FINISHED else 0)


def test_what_was_sent_again_lately_stays(old):
    old(400, finished_at=NOW - timedelta(days=2))
    assert purge() == Deleted()


def test_what_a_paused_bulk_reprocess_has_still_to_send_stays(old):
    old(400, state_before=State.FAILED)
    assert retention.months(retention.limit(90)) == []
    assert purge() == Deleted()


def test_an_event_stays_as_long_as_one_of_its_posts_does(old, producer):
    first = old(100)
    second = factories.make_config(producer)
    held = Delivery.objects.create(
        webhook_id="msg_2", event=first.event, config=second, owner=producer, version="2.0.0",
        created_at=NOW - timedelta(days=100), state=State.HELD,
    )  # fmt: skip
    assert purge() == Deleted(posts=1, attempts=1)
    assert left() == {held.pk}


def test_an_event_that_nobody_was_told_of_goes_too(product):
    factories.make_sale(product)
    Event.objects.update(occurred_at=NOW - timedelta(days=91))
    assert purge() == Deleted(events=1)


def test_the_counts_stay(old, config):
    for _ in range(3):
        old(100, attempts=2)
    old(100, State.FAILED, attempts=5)
    old(101, State.DISCARDED, attempts=0)
    purge()
    day = (NOW - timedelta(days=100)).astimezone(UTC).date()
    rows = Tally.objects.order_by("day", "state").values_list(
        "config", "day", "event", "state", "posts", "attempts"
    )
    assert list(rows) == [
        (config.pk, day - timedelta(days=1), "PURCHASE_APPROVED", "discarded", 1, 0),
        (config.pk, day, "PURCHASE_APPROVED", "delivered", 3, 6),
        (config.pk, day, "PURCHASE_APPROVED", "failed", 1, 5),
    ]
    assert tallies.posts_of(config) == 5


def test_later_batches_and_runs_add_to_the_same_counts(old, config, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        old(100)
    assert [batch.posts for batch in retention.delete(retention.limit(90)) if batch.posts] == [2, 2, 1]
    old(100)
    purge()
    assert Tally.objects.get().posts == 6


def test_stopped_between_two_batches_the_next_run_goes_on(old, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(5):
        old(100)
    next(retention.delete(retention.limit(90)))
    assert (Delivery.objects.count(), Tally.objects.get().posts) == (3, 2)
    assert purge() == Deleted(posts=3, attempts=3, events=5)
    assert Tally.objects.get().posts == 5


def test_a_batch_that_fails_leaves_posts_and_counts_as_they_were(old, monkeypatch):
    def fail(**_):
        raise KeyboardInterrupt

    old(100)
    monkeypatch.setattr(DeliveryAttempt.objects, "filter", fail)
    with pytest.raises(KeyboardInterrupt):
        purge()
    assert (Delivery.objects.count(), Tally.objects.count()) == (1, 0)


def test_what_stays_does_not_stop_what_comes_after_it(old, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    waiting = old(200, State.HELD)
    old(150)
    old(100)
    assert purge() == Deleted(posts=2, attempts=2, events=2)
    assert left() == {waiting.pk}


def test_what_would_go_is_counted_by_month(old, product):
    then = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
    old((NOW - then).days, attempts=2, created_at=then)
    old((NOW - then).days, attempts=1, created_at=then + timedelta(hours=1))
    old((NOW - then).days, State.HELD, created_at=then)
    Event.objects.filter(deliveries__isnull=False).update(occurred_at=then)
    factories.make_sale(product)  # young
    before = then + timedelta(days=30)
    assert retention.months(before) == [
        retention.Month(date(2026, 3, 1), Deleted(posts=1, attempts=2, events=2)),
        retention.Month(date(2026, 4, 1), Deleted(posts=1, attempts=1)),
    ]
    assert sum(retention.delete(before), Deleted()) == Deleted(posts=2, attempts=3, events=2)


def test_a_sale_is_saved_while_a_purge_runs(transactional_db, old, product, monkeypatch):
    """The pause between two batches is there for it."""
    monkeypatch.setattr(retention, "BATCH", 5)
    for _ in range(100):
        old(100)
    took, done = [], threading.Event()

    def sell():
        try:
            while not done.is_set():
                began = time.monotonic()
                factories.make_sale(product)
                took.append(time.monotonic() - began)
        finally:
            connection.close()

    seller = threading.Thread(target=sell)
    seller.start()
    purged = purge()
    done.set()
    seller.join()
    assert purged.posts == 100
    assert len(took) > 3
    assert max(took) < 2


# --- the nightly job


def test_the_job_deletes_by_the_setting(old):
    old(91)
    young = old(89)
    tasks.purge()
    assert left() == {young.pk}
    assert not Schedule.objects.filter(schedule_type=Schedule.ONCE).exists()


def test_where_the_history_is_kept_for_ever_the_job_deletes_nothing(old):
    old(4000)
    with override_settings(HISTORY_RETENTION_DAYS=0):
        tasks.purge()
    assert Delivery.objects.count() == 1


def test_what_the_job_had_no_time_for_is_done_a_minute_later(old, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    old(100)
    old(100)
    with override_settings(DELIVERY_DRAIN_BUDGET=0):
        tasks.purge()
        tasks.purge()
    assert Delivery.objects.count() == 0
    rest = Schedule.objects.get(func=cluster.PURGE)
    assert rest.schedule_type == Schedule.ONCE
    assert timedelta(0) < rest.next_run - timezone.now() <= timedelta(minutes=1)


def test_a_cluster_that_ends_is_not_kept_waiting(old, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    monkeypatch.setattr(cluster._ending, "value", 1)
    for _ in range(3):
        old(100)
    tasks.purge()
    assert Delivery.objects.count() == 2


# --- pages


@pytest.fixture
def seen(client, producer):
    """`seen(name, *args)`: that page of the producer's."""
    client.force_login(producer.user)

    def seen(name, *args):
        return client.get(reverse(name, args=args)).content.decode()

    return seen


def test_who_removes_a_configuration_is_told_what_stays_and_what_was_deleted(seen, old, config):
    assert "It has no posts yet." in seen("configurations:remove", config.pk)
    old(100)
    old(10)
    purge()
    page = seen("configurations:remove", config.pk)
    assert "Its 1 post stays in the History. 1 older one was deleted for its age." in page
    purge(days=5)
    page = seen("configurations:remove", config.pk)
    assert "None of its posts is in the History any more. 2 older ones were deleted for their age." in page


def test_the_history_says_how_long_it_keeps_posts(seen, old):
    old(1)
    assert "Posts stay here for 90 days after they were finished." in seen("deliveries:history")
    with override_settings(HISTORY_RETENTION_DAYS=0):
        assert "Posts stay here" not in seen("deliveries:history")


def test_of_an_old_sale_the_timeline_does_not_say_that_nothing_was_posted(seen, old):
    post = old(100)
    sale = post.event.sale
    Transaction.objects.update(ordered_at=NOW - timedelta(days=100))
    purge()
    page = seen("deliveries:timeline", sale.code)
    assert "What is older is deleted" in page
    assert "without posting" not in page
    with override_settings(HISTORY_RETENTION_DAYS=0):
        assert "without posting" in seen("deliveries:timeline", sale.code)


def test_staff_see_the_counts_and_change_none(client, old):
    old(100)
    purge()
    client.force_login(factories.make_staff())
    url = reverse("admin:deliveries_tally_changelist")
    with CaptureQueriesContext(connection) as few:
        page = client.get(url).content.decode()
    assert "Order approved" in page
    assert "1 tally of deleted posts" in page
    assert client.get(reverse("admin:deliveries_tally_add")).status_code == 403
    for days in range(200, 230):
        old(days)
    purge()
    with CaptureQueriesContext(connection) as many:
        client.get(url)
    assert len(many) == len(few) <= 15
