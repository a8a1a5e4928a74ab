"""What takes an access away is not posted before what opened it."""

import random
import threading
from collections import defaultdict
from importlib import import_module
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.events import EventType
from configurations.models import Reason
from deliveries import backfill, bulk, engine, leases, vitals, wake
from deliveries.models import Delivery, DeliveryAttempt, State
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db

TAKES_ACCESS_AWAY = (SaleStatus.REFUNDED, SaleStatus.CHARGEBACK, SaleStatus.CANCELED, SaleStatus.EXPIRED)


def move(sale, status):
    """The posts of the change, one for each configuration."""
    sale.status = status
    sale.save()
    return Delivery.objects.filter(event__sale=sale).order_by("-pk")


@pytest.fixture
def refund():
    """`refund(approved)` refunds its sale, and returns the post of that to the same configuration."""

    def refund(approved, status=SaleStatus.REFUNDED):
        return move(approved.event.sale, status).filter(config=approved.config).first()

    return refund


@pytest.fixture
def failed_once(receiver, sell):
    """An approved that was answered 500 and waits for its second try; all that follows is answered 200."""
    receiver.answers(500, 200)
    approved = sell()
    engine.drain()
    return approved


def make_due():
    Delivery.objects.filter(state=State.WAITING).update(next_try_at=None)


def state_of(post):
    post.refresh_from_db()
    return post.state


# --- what waits, and for what


@pytest.mark.parametrize("status", TAKES_ACCESS_AWAY)
def test_what_takes_access_away_waits_until_the_approved_is_delivered(
    receiver, failed_once, refund, clock, status
):
    post = refund(failed_once, status)
    assert engine.drain() == 0
    assert state_of(post) == State.WAITING
    clock.forward(seconds=20)
    assert engine.drain() == 2  # in one drain: it goes on as soon as the approved is recorded
    assert (state_of(failed_once), state_of(post)) == (State.DELIVERED, State.DELIVERED)
    assert receiver.webhook_ids() == [failed_once.webhook_id] * 2 + [post.webhook_id]


@pytest.mark.parametrize("status", [SaleStatus.DISPUTE, SaleStatus.COMPLETED, SaleStatus.DELAYED])
def test_nothing_else_waits(failed_once, refund, status):
    post = refund(failed_once, status)
    assert engine.drain() == 1
    assert state_of(post) == State.DELIVERED


def test_of_a_sale_that_was_never_approved_nothing_waits(sell):
    slip = sell(status=SaleStatus.BILLET_PRINTED)
    post = move(slip.event.sale, SaleStatus.EXPIRED).first()
    engine.drain()
    assert state_of(post) == State.DELIVERED


def test_other_sales_and_other_configurations_do_not_wait(
    receiver, failed_once, refund, config, product, sell
):
    with Receiver() as another:
        there = factories.make_config(config.owner, url=another.url)
        other = sell()
        engine.drain()  # delivered at once, here and there
        there_too = move(failed_once.event.sale, SaleStatus.REFUNDED).get(
            config=there, event__type=EventType.REFUNDED
        )
        here = failed_once.event.sale.events.get(type=EventType.REFUNDED).deliveries.get(config=config)
        of_other = refund(other)
        engine.drain()
        assert (state_of(there_too), state_of(of_other), state_of(here)) == (
            State.DELIVERED,
            State.DELIVERED,
            State.WAITING,
        )


def test_the_end_of_a_subscription_waits_for_no_sale(failed_once, config, product):
    subscription = factories.make_subscription(factories.make_plan(product))
    subscription.status = "CANCELLED_BY_CUSTOMER"
    subscription.save()
    post = config.deliveries.get(event__type=EventType.SUBSCRIPTION_CANCELLATION)
    assert engine.drain() == 1
    assert state_of(post) == State.DELIVERED


def test_an_approved_waits_for_nothing(receiver, sell, refund):
    approved = sell()
    engine.drain()
    receiver.answers(500, 200)
    post = refund(approved)
    engine.drain()
    assert state_of(post) == State.WAITING  # tried once, in vain
    again = move(approved.event.sale, SaleStatus.APPROVED).first()
    assert engine.drain() == 1
    assert state_of(again) == State.DELIVERED


def test_an_approved_that_arose_after_it_keeps_it_from_nothing(receiver, sell, refund, clock):
    approved = sell()
    engine.drain()
    receiver.answers(500)
    post = refund(approved)
    engine.drain()
    again = move(approved.event.sale, SaleStatus.APPROVED).first()
    engine.drain()
    Delivery.objects.filter(pk=again.pk).update(next_try_at=timezone.now() + timezone.timedelta(hours=1))
    receiver.answers(200)
    Delivery.objects.filter(pk=post.pk).update(next_try_at=None)
    assert engine.drain() == 1
    assert (state_of(post), state_of(again)) == (State.DELIVERED, State.WAITING)


# --- how the wait ends


def test_it_goes_when_the_approved_is_given_up(receiver, config, sell, refund, clock):
    receiver.answers(*[500] * 5, 200)
    approved = sell()
    engine.drain()
    post = refund(approved)
    for hours in (1, 2, 3, 20):
        assert (state_of(post), post.attempts_made) == (State.WAITING, 0)
        clock.forward(hours=hours)
        engine.drain()
    assert (state_of(approved), state_of(post)) == (State.FAILED, State.DELIVERED)


def test_it_goes_when_the_approved_is_discarded(
    failed_once, refund, monkeypatch, django_capture_on_commit_callbacks
):
    woken = []
    monkeypatch.setattr(wake, "wake", lambda: woken.append(True))
    post = refund(failed_once)
    with django_capture_on_commit_callbacks(execute=True):
        Delivery.objects.filter(pk=failed_once.pk).discard()
    assert woken
    assert engine.drain() == 1
    assert state_of(post) == State.DELIVERED


def test_it_goes_when_the_approved_is_held_alone(failed_once, refund):
    post = refund(failed_once)
    Delivery.objects.filter(pk=failed_once.pk).hold()
    engine.drain()
    assert state_of(post) == State.DELIVERED


def test_where_its_worker_ends_in_between_there_is_something_to_do(receiver, failed_once, refund, clock):
    post = refund(failed_once)
    assert not leases.anything_to_do()
    clock.forward(seconds=20)
    assert leases.anything_to_do()
    already = len(receiver.posts)
    assert engine.drain(stop=lambda: len(receiver.posts) > already) == 1  # ends with the approved in flight
    assert (state_of(failed_once), state_of(post)) == (State.DELIVERED, State.WAITING)
    assert leases.anything_to_do()


# --- claims


def test_of_a_pair_that_is_due_only_the_approved_is_claimed(sell, refund):
    approved = sell()
    post = refund(approved)
    first, second = uuid4(), uuid4()
    assert leases.claim(first, 200) == [approved]
    assert leases.claim(second, 200) == []
    leases.give_back(first, [approved])
    assert leases.claim(second, 200) == [approved]
    assert state_of(post) == State.WAITING


def test_a_claim_asks_as_often_where_something_waits(sell, refund):
    def queries():
        with CaptureQueriesContext(connection) as asked:
            assert leases.claim(uuid4(), 200)
        return len(asked)

    sell()
    alone = queries()
    refund(sell())
    assert queries() == alone


def test_the_counts_of_what_is_due_agree(failed_once, refund, clock):
    refund(failed_once)
    assert vitals.posts().due == 0
    assert vitals.due_by_host() == {}
    assert not leases.anything_to_do()
    clock.forward(seconds=20)
    assert vitals.posts().due == 1


def test_it_is_late_only_since_the_approved_ended(failed_once, refund, clock):
    post = refund(failed_once)
    clock.forward(hours=5)
    Delivery.objects.filter(pk=failed_once.pk).discard()
    since = vitals.posts().due_since
    assert since > timezone.now() - timezone.timedelta(minutes=1)
    assert state_of(post) == State.WAITING


# --- reprocess, bulks, the past


def test_a_reprocessed_approved_sends_nothing_again_that_arrived(receiver, sell, refund):
    approved = sell()
    engine.drain()
    post = refund(approved)
    engine.drain()
    approved.refresh_from_db()
    approved.reprocess()
    assert engine.drain() == 1
    assert (state_of(approved), state_of(post), post.attempts_made) == (State.DELIVERED, State.DELIVERED, 1)


def test_reprocessed_together_they_go_in_order(receiver, sell, refund):
    approved = sell()
    engine.drain()
    post = refund(approved)
    engine.drain()
    receiver.posts.clear()
    receiver.answers(500, 200)
    bulk.start(Delivery.objects.all(), asked_for="all")
    assert engine.drain() == 1
    make_due()
    engine.drain()
    assert receiver.webhook_ids() == [approved.webhook_id] * 2 + [post.webhook_id]


def test_a_bulk_that_is_paused_keeps_it_from_nothing(
    receiver, sell, refund, monkeypatch, django_capture_on_commit_callbacks
):
    approved = sell()
    engine.drain()
    started = bulk.start(Delivery.objects.all(), asked_for="all")
    post = refund(approved)
    woken = []
    monkeypatch.setattr(wake, "wake", lambda: woken.append(True))
    with django_capture_on_commit_callbacks(execute=True):
        bulk.pause(started)
    assert woken
    assert engine.drain() == 1
    assert state_of(post) == State.DELIVERED


def test_of_the_past_too_they_go_in_order(closed_circuits, receiver, producer, product):
    sales = factories.make_sales(product, 20)
    for sale in sales:
        move(sale, SaleStatus.REFUNDED)
    config = factories.make_config(producer, url=receiver.url)
    receiver.answers(*[500] * 20, 200)
    assert backfill.send(config, backfill.KEYS, timezone.now()) == 40
    assert engine.drain() == 20
    make_due()
    assert engine.drain() == 40
    assert_in_order()


# --- held


def test_released_they_go_in_order(closed_circuits, receiver, config, sell, refund):
    config.disable(Reason.SERVER, "")
    posts = []
    for _ in range(20):
        approved = sell()
        posts.append(refund(approved))
    assert {state_of(post) for post in posts} == {State.HELD}
    receiver.answers(*[500] * 20, 200)
    config.enable()
    Delivery.objects.filter(config=config).release()
    assert engine.drain() == 20
    make_due()
    assert engine.drain() == 40
    assert_in_order()


def test_no_refund_is_a_probe_while_its_approved_is_on_its_way(config, sell, refund):
    approved = sell()
    post = refund(approved)
    config.disable(Reason.SERVER, "")
    Delivery.objects.filter(pk=approved.pk).update(state=State.WAITING)
    assert leases.claim_probes(uuid4(), [post.pk]) == []
    Delivery.objects.filter(pk=approved.pk).update(state=State.DELIVERED)
    assert leases.claim_probes(uuid4(), [post.pk]) == [post]


# --- under load


class Moody(Receiver):
    """Refuses the half of all, whatever they are, and by their own fault: no circuit opens for that."""

    def __init__(self):
        super().__init__()
        self.chance = random.Random(7)

    def _got(self, post):
        super()._got(post)
        return Answer(422 if self.chance.random() < 0.5 else 200)


def assert_in_order():
    """Of each sale and configuration, the first try of what closes begins after the last of what opens has ended."""
    opened, closed = defaultdict(list), defaultdict(list)
    rows = DeliveryAttempt.objects.select_related("delivery")
    for attempt in rows:
        post = attempt.delivery
        if post.opens:
            ended = attempt.started_at + timezone.timedelta(milliseconds=attempt.duration_ms)
            opened[post.config_id, post.opens].append(ended)
        elif post.closes:
            closed[post.config_id, post.closes].append(attempt.started_at)
    assert closed
    assert opened.keys() == closed.keys()
    wrong = [key for key, began in closed.items() if min(began) < max(opened[key])]
    assert wrong == []


def _until_all_are_finished(drains, clock):
    for _round in range(12):
        if not Delivery.objects.filter(state=State.WAITING).exists():
            return
        drains()
        make_due()
    raise AssertionError(Delivery.objects.filter(state=State.WAITING).count())


def _sell_and_refund(producer, product, receiver, sales):
    for _ in range(2):
        factories.make_config(producer, url=receiver.url, events=[EventType.APPROVED, EventType.REFUNDED])
    for sale in factories.make_sales(product, sales):
        move(sale, SaleStatus.REFUNDED)


def test_of_200_sales_at_a_receiver_that_fails_at_random_all_go_in_order(
    closed_circuits, producer, product, clock
):
    with Moody() as receiver:
        _sell_and_refund(producer, product, receiver, 100)
        engine.drain(budget=0.1)
        _sell_and_refund(producer, product, receiver, 100)
        _until_all_are_finished(engine.drain, clock)
    assert_in_order()


@pytest.mark.django_db(transaction=True)
def test_of_two_workers_none_sends_a_refund_beside_its_approved(closed_circuits, producer, product, clock):
    with Moody() as receiver:
        _sell_and_refund(producer, product, receiver, 80)

        def work():
            try:
                engine.drain()
            finally:
                connection.close()

        def two():
            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        _until_all_are_finished(two, clock)
    assert_in_order()


# --- what is said of it


def test_the_migration_fills_in_the_posts_of_before(sell, refund):
    approved = sell()
    post = refund(approved)
    code = approved.event.transaction_code
    assert (approved.opens, approved.closes, post.opens, post.closes) == (code, None, None, code)
    Delivery.objects.update(opens=None, closes=None)
    fill = import_module("deliveries.migrations.0014_fill_the_order_of_a_sale").fill
    fill(apps, SimpleNamespace(connection=connection))
    for row in (approved, post):
        row.refresh_from_db()
    assert (approved.opens, approved.closes, post.opens, post.closes) == (code, None, None, code)


def page_of(client, post):
    return client.get(reverse("deliveries:detail", args=[post.pk])).content.decode()


def test_the_owner_reads_why_it_waits_and_finds_the_approved(client, failed_once, refund, producer):
    post = refund(failed_once)
    client.force_login(producer.user)
    page = page_of(client, post)
    assert "This post waits until the approved post of this sale has ended." in page
    assert f'href="{failed_once.get_absolute_url()}"' in page
    assert "Send now" not in page
    assert "after the approved post" in client.get(reverse("deliveries:history")).content.decode()
    Delivery.objects.filter(pk=failed_once.pk).discard()
    assert "waits until the approved" not in page_of(client, post)
    assert "Send now" in page_of(client, post)


def test_it_cannot_be_sent_now(client, failed_once, refund, producer):
    post = refund(failed_once)
    client.force_login(producer.user)
    answer = client.post(reverse("deliveries:reprocess", args=[post.pk]) + "?as=panel")
    assert "This post waits until the approved post of this sale has ended." in answer.content.decode()
    assert (state_of(post), post.attempts_made) == (State.WAITING, 0)


def test_staff_read_why_it_waits(admin_client, failed_once, refund):
    post = refund(failed_once)
    page = admin_client.get(reverse("admin:deliveries_delivery_change", args=[post.pk])).content.decode()
    assert "waits until the approved post" in page
    assert reverse("admin:deliveries_delivery_change", args=[failed_once.pk]) in page


@pytest.mark.parametrize("way", ["row", "list"])
def test_the_button_of_a_row_leads_to_the_warning(client, sell, refund, producer, way):
    approved = sell()
    engine.drain()
    refund(approved)
    engine.drain()
    client.force_login(producer.user)
    url = reverse("deliveries:reprocess", args=[approved.pk])
    answer = client.post(f"{url}?as={way}")
    assert answer.headers["HX-Redirect" if way == "row" else "Location"] == approved.get_absolute_url()
    page = page_of(client, approved)
    assert "This post was not sent yet: read the warning first." in page
    assert "this would open an access that was closed" in page
    assert state_of(approved) == State.DELIVERED
    client.post(f"{url}?as=panel")  # beside the warning
    assert state_of(approved) == State.WAITING


def test_the_admin_says_before_it_that_an_access_would_be_opened(admin_client, sell, refund):
    approved = sell()
    engine.drain()
    refund(approved)
    page = admin_client.post(
        reverse("admin:deliveries_delivery_changelist"),
        {"action": "reprocess", "_selected_action": [approved.pk]},
    )
    assert "would open an access that was closed since" in page.content.decode()
    assert state_of(approved) == State.DELIVERED
