"""An endpoint that may not take all as it comes has its own queue, where its posts are in nobody's way."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from configurations.models import WebhookConfig
from deliveries import apart, bulk, engine, in_hand, leases, slots, tasks
from deliveries.choices import Lane
from deliveries.circuit import Phase
from deliveries.models import Delivery, DeliveryAttempt, OwnQueue, State
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db
NOW = timezone.now()
ROOM = apart.Room(posts=10, slow_posts=10, here={})


def lanes(config):
    return sorted(config.deliveries.filter(state=State.WAITING).values_list("lane", flat=True))


def limit(config, posts_per_second):
    config.posts_per_second = posts_per_second
    config.save(update_fields=["posts_per_second"])


@pytest.fixture
def other(receiver, product):
    """Of another seller, who gets the same sales as an affiliate would: it has no queue of its own."""
    return factories.make_config(product.owner, url=f"{receiver.url}/other")


# --- its rate, as a rule


def queue(rate, used_up_to=None):
    return OwnQueue(config=WebhookConfig(posts_per_second=rate), next_free_at=used_up_to)


@pytest.mark.parametrize(
    ("rate", "rested", "permitted"),
    [
        (10, 0, 0),
        (10, 0.09, 0),
        (10, 0.1, 1),
        (10, 0.35, 3),
        (10, 3600, 5),  # half a second's worth after a rest
        (1, 0.9, 0),
        (1, 3600, 1),
        (1000, 0.25, 250),
        (10, -3600, 0),  # the clock was set back
    ],
)
def test_a_rate_permits_what_its_time_brought(rate, rested, permitted):
    assert queue(rate, NOW - timedelta(seconds=rested)).allowance(NOW) == permitted


def test_without_a_rate_any_number_is_permitted():
    assert queue(None).allowance(NOW) is None


def test_what_was_used_is_paid_for():
    of_it = queue(10, NOW - timedelta(seconds=0.3))
    of_it.use(3, NOW)
    assert of_it.allowance(NOW) == 0
    assert of_it.wait(NOW) == pytest.approx(0.1)
    assert of_it.allowance(NOW + timedelta(seconds=0.1)) == 1


# --- into it and out again


def test_a_limit_gives_a_configuration_its_own_queue(config, sell):
    limit(config, 10)
    assert sell().lane == Lane.OWN


def test_the_sale_asks_no_more_questions_for_it(config, product, django_assert_max_num_queries):
    limit(config, 10)
    sale = factories.sale(product)
    with django_assert_max_num_queries(9):
        sale.save()


def test_what_waited_before_it_had_its_own_queue_is_moved_aside_and_the_others_go(
    receiver, config, other, product
):
    factories.make_sales(product, 3)
    apart.begin([config.pk], circuit=Phase.OPEN, circuit_url=config.url, probe_at=Now() + timedelta(hours=1))
    assert engine.drain() == 3
    assert {post.path for post in receiver.posts} == {"/hook/other"}
    assert lanes(config) == [Lane.OWN] * 3


def test_a_claim_moves_aside_as_many_as_there_are(config, other, product, monkeypatch):
    monkeypatch.setattr(apart, "BATCH", 4)
    factories.make_sales(product, 20)
    apart.begin([config.pk])
    claimed = leases.claim(uuid4(), 5)
    assert {delivery.config_id for delivery in claimed} == {other.pk}
    while leases.claim(uuid4(), 100):
        pass
    assert lanes(config) == [Lane.OWN] * 20


def test_a_claim_moves_aside_what_is_for_an_endpoint_that_is_full(config, other, product):
    """Else what is new of it is seen by each look, and never claimed, as long as it hangs."""
    factories.make_sales(product, 3)
    apart.begin([config.pk])
    claimed = leases.claim(uuid4(), 10, full={config.pk})
    assert {delivery.config_id for delivery in claimed} == {other.pk}
    assert lanes(config) == [Lane.OWN] * 3
    assert not leases.anything_new()


def test_a_claim_leaves_what_is_for_a_full_endpoint_in_front_where_it_has_no_own_queue(
    config, other, product
):
    factories.make_sales(product, 3)
    claimed = leases.claim(uuid4(), 10, full={config.pk})
    assert {delivery.config_id for delivery in claimed} == {other.pk}
    assert lanes(config) == [Lane.FRESH] * 3
    assert leases.anything_new()


def test_a_pause_holds_back_its_own_posts_alone_and_nobody_is_woken_for_them(receiver, config, sell, clock):
    apart.begin(
        [config.pk], circuit=Phase.OPEN, circuit_url=config.url, probe_at=Now() + timedelta(minutes=10)
    )
    sell()
    assert not leases.anything_to_do()
    assert not Delivery.objects.sendable().exists()
    assert engine.drain() == 0
    clock.forward(minutes=11)
    assert leases.anything_to_do()
    assert engine.drain() == 1


def test_a_pause_from_before_the_clock_was_set_back_is_over(config, sell, clock):
    apart.begin(
        [config.pk], circuit=Phase.OPEN, circuit_url=config.url, probe_at=Now() + timedelta(minutes=10)
    )
    sell()
    clock.forward(days=-1)
    assert engine.drain() == 1


def test_it_ends_with_the_last_reason_for_it(receiver, config, sell):
    limit(config, 10)
    sell()
    assert engine.drain() == 1
    assert OwnQueue.objects.exists()
    limit(config, None)
    assert engine.drain() == 0
    assert not OwnQueue.objects.exists()
    assert sell().lane == Lane.FRESH


def test_few_that_still_wait_go_back_to_the_front_when_it_ends(config, product):
    apart.begin([config.pk])
    factories.make_sales(product, 3)
    apart.settle()
    assert lanes(config) == [Lane.FRESH] * 3
    assert not OwnQueue.objects.exists()


def test_it_stays_as_long_as_many_wait(config, product, monkeypatch):
    monkeypatch.setattr(apart, "FEW", 2)
    apart.begin([config.pk])
    factories.make_sales(product, 3)
    apart.settle()
    assert lanes(config) == [Lane.OWN] * 3
    assert OwnQueue.objects.exists()


def test_it_stays_as_long_as_a_post_of_it_is_on_its_way(config, sell):
    apart.begin([config.pk])
    sell()
    leases.claim_apart(uuid4(), ROOM)
    apart.settle()
    assert OwnQueue.objects.exists()


def test_what_was_written_into_it_as_it_ended_is_found_by_the_sweep(config, sell):
    apart.begin([config.pk])
    delivery = sell()
    OwnQueue.objects.all().delete()  # as another worker would, in that very moment
    tasks.sweep()
    delivery.refresh_from_db()
    assert delivery.lane == Lane.FRESH
    assert engine.drain() == 1


def test_in_it_what_is_most_urgent_goes_first_and_a_bulk_reprocess_last(config, product, monkeypatch):
    first, second = factories.make_sale(product), factories.make_sale(product)
    engine.drain()
    apart.begin([config.pk])
    bulk.start(Delivery.objects.filter(event__sale=first), asked_for="one")
    engine.drain(stop=lambda: True)
    second.status = SaleStatus.REFUNDED
    second.save()
    fresh = factories.make_sale(product)
    leases.claim(uuid4(), 10)  # moves the bulk's aside
    assert lanes(config) == [Lane.OWN, Lane.OWN, Lane.OWN_BULK]
    deliveries = leases.claim_apart(uuid4(), ROOM).deliveries
    assert [delivery.event.sale_id for delivery in deliveries] == [fresh.pk, second.pk, first.pk]


def test_what_is_held_and_released_is_moved_aside_anew(config, sell):
    sell()
    config.disable("server")
    config.enable()
    apart.begin([config.pk], circuit=Phase.OPEN, circuit_url=config.url, probe_at=Now() + timedelta(hours=1))
    Delivery.objects.all().release()
    assert lanes(config) == [Lane.FRESH]
    assert engine.drain() == 0
    assert lanes(config) == [Lane.OWN]


# --- the rate, as it is kept


def test_a_rate_is_kept_by_one_drain(receiver, config, product):
    limit(config, 20)
    factories.make_sales(product, 30)
    began = time.monotonic()
    assert engine.drain() == 30
    assert_rate_was_kept(receiver.posts, 20, began)


@pytest.mark.django_db(transaction=True)
def test_a_rate_is_kept_by_two_workers_together(receiver, config, product):
    limit(config, 20)
    factories.make_sales(product, 40)
    made, began = [], time.monotonic()

    def drain():
        try:
            while Delivery.objects.filter(state=State.WAITING).exists():
                made.append(engine.drain(budget=1))
        finally:
            connection.close()

    workers = [threading.Thread(target=drain) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(made) == 40 == DeliveryAttempt.objects.count()
    assert_rate_was_kept(receiver.posts, 20, began)


def assert_rate_was_kept(posts, rate, began):
    """After its first half second's worth never more than it permits. A busy machine may well be slower than that."""
    for number, post in enumerate(posts, start=1):
        assert number <= rate / 2 + (post.at - began) * rate * 1.05


def test_a_rate_that_is_slower_than_the_clock_is_left_to_the_clock(receiver, config, product, clock):
    limit(config, 1)
    factories.make_sales(product, 2)
    assert engine.drain(stop=lambda: bool(receiver.posts)) == 1
    assert Delivery.objects.filter(state=State.WAITING, lane=Lane.OWN).count() == 1


def test_others_are_not_held_up_by_a_rate(receiver, config, other, product):
    receiver.answers(Answer(200))
    limit(config, 1)
    factories.make_sales(product, 5)
    engine.drain(stop=lambda: sum(post.path == "/hook/other" for post in receiver.posts) == 5)
    assert other.deliveries.filter(state=State.DELIVERED).count() == 5


# --- endpoints that take long


@pytest.fixture
def slow():
    with Receiver() as slow:
        yield slow


def test_an_endpoint_that_hangs_is_moved_out_of_the_way_and_the_others_go(
    receiver, slow, config, product, monkeypatch
):
    """More wait for it than a drain has slots for, and of each only its share is on its way."""
    monkeypatch.setattr(in_hand, "HANGS", 0.1)
    slow.answers(Answer(delay=5))
    hanging = factories.make_config(url=slow.url)
    theirs = factories.make_product(hanging.owner)
    factories.make_sales(theirs, 100)
    factories.make_sales(product, 5)
    engine.drain(stop=lambda: len(receiver.posts) >= 5 and OwnQueue.objects.filter(slow=True).exists())
    assert len(receiver.posts) == 5
    assert OwnQueue.objects.get().pk == hanging.pk
    assert len(slow.posts) <= 8
    assert hanging.deliveries.filter(state=State.WAITING, lane=Lane.OWN).count() == 100 - len(slow.posts)


def test_the_others_go_before_it_is_noticed_that_one_hangs(receiver, slow, config, product, monkeypatch):
    """Of the threads that there are at first it has half."""
    for module in (in_hand, engine):
        monkeypatch.setattr(module, "SLOW", 60)
    slow.answers(Answer(delay=2))
    hanging = factories.make_config(url=slow.url)
    factories.make_sales(factories.make_product(hanging.owner), 10)
    factories.make_sales(product, 5)
    engine.drain(stop=lambda: len(receiver.posts) >= 5)
    assert len(receiver.posts) == 5
    assert len(slow.posts) == 2
    assert max(post.at for post in receiver.posts) < min(post.at for post in slow.posts) + 2


def test_of_a_slow_endpoint_all_workers_together_send_its_share(slow, product):
    slow.answers(Answer(delay=1))
    apart.begin([factories.make_config(product.owner, url=slow.url).pk], slow=True, mean_answer=5)
    factories.make_sales(product, 10)
    here = [leases.claim_apart(uuid4(), ROOM).deliveries for _ in range(3)]
    assert [len(deliveries) for deliveries in here] == [4, 0, 0]


def test_a_slow_endpoint_that_is_quick_again_comes_back(receiver, config, product):
    apart.begin([config.pk], slow=True, mean_answer=3)
    factories.make_sales(product, 12)
    assert engine.drain() == 12
    assert not OwnQueue.objects.exists()


def test_a_slow_endpoint_stays_apart_as_long_as_it_is_slow(receiver, config, product):
    receiver.answers(Answer(delay=0.6))
    apart.begin([config.pk], slow=True, mean_answer=3)
    factories.make_sales(product, 4)
    assert engine.drain() == 4
    assert OwnQueue.objects.get().slow
    assert 0.6 < OwnQueue.objects.get().mean_answer < 3


def test_an_endpoint_that_answers_slowly_three_times_is_slow(receiver, sell, monkeypatch):
    monkeypatch.setattr(slots, "SLOW_MEAN", 0.3)
    receiver.answers(Answer(delay=0.4))
    for _ in range(3):
        sell()
        engine.drain()
    assert OwnQueue.objects.get().slow


def test_of_one_account_at_one_host_only_so_many_are_on_their_way(slow, product, settings):
    settings.DELIVERY_SLOTS_OF_A_PLACE = 3
    slow.answers(Answer(delay=3))
    for _ in range(4):
        factories.make_config(product.owner, url=slow.url)
    other = factories.make_config(url=slow.url)  # of another account, at the same host
    factories.make_sales(product, 4)
    factories.make_sales(factories.make_product(other.owner), 4)
    engine.drain(stop=lambda: len(slow.posts) >= 6)
    ours = other.deliveries.filter(state=State.DELIVERED).count()
    assert (len(slow.posts), ours) == (6, 3)


def test_what_is_given_back_into_its_own_queue_stays_behind_what_is_fresh(config, product):
    factories.make_sales(product, 2)
    OwnQueue.objects.create(config=config)
    config.deliveries.update(lane=Lane.OWN_BULK)
    claim_id = uuid4()
    heads = leases.claim_apart(claim_id, apart.Room(10, 10, {}))
    leases.give_back(claim_id, heads.deliveries, aside=True)
    assert set(config.deliveries.values_list("lane", flat=True)) == {Lane.OWN_BULK}


# --- old and new


def test_where_much_waits_some_of_the_newest_go_with_the_oldest(config, product):
    factories.make_sales(product, 60)
    waiting = list(config.deliveries.order_by("pk").values_list("pk", flat=True))
    claimed = {delivery.pk for delivery in leases.claim(uuid4(), 20)}
    assert claimed == {*waiting[:20], *waiting[-5:]}


def test_retries_that_have_enough_are_left_out_of_the_claim(receiver, config, sell, clock):
    receiver.answers(500)
    sell()
    engine.drain()
    clock.forward(minutes=1)
    fresh = sell()
    assert [d.pk for d in leases.claim(uuid4(), 10, only_first=True)] == [fresh.pk]
