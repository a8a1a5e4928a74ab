"""A bulk reprocess: rows behind all that is fresh, which can be paused, go on and be stopped as they were."""

import threading
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import bulk, engine, history, leases, mails, selecting, tasks, wake
from deliveries.choices import BulkState, Lane
from deliveries.models import BulkReprocess, Delivery, State
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db
FINISHED_AT = timezone.now() - timedelta(hours=3)
AS_IT_WAS = {
    State.DELIVERED: {"tries": 2, "finished_at": FINISHED_AT},
    State.FAILED: {"tries": 5, "finished_at": FINISHED_AT},
    State.DISCARDED: {"tries": 1, "finished_at": FINISHED_AT},
    State.HELD: {"tries": 3, "finished_at": None},
}


def put(delivery, state, **facts):
    Delivery.objects.filter(pk=delivery.pk).update(state=state, **facts)
    delivery.refresh_from_db()
    return delivery


@pytest.fixture
def posts(sell):
    """One of each state that can be reprocessed, by its state."""
    return {state: put(sell(), state, **facts) for state, facts in AS_IT_WAS.items()}


@pytest.fixture
def many(config, product):
    """`many(n)`: n posts that failed."""

    def many(count):
        factories.make_sales(product, count)
        Delivery.objects.filter(state=State.WAITING).update(
            state=State.FAILED, tries=5, finished_at=timezone.now()
        )

    return many


def start(posts=None, **facts):
    return bulk.start(Delivery.objects.all() if posts is None else posts, asked_for="all", **facts)


def progress(of):
    of.refresh_from_db()
    return bulk.progress_of([of])[of.pk]


def stage(of):
    return bulk.stage_of(of, progress(of))


def as_it_was(delivery):
    delivery.refresh_from_db()
    facts = AS_IT_WAS[delivery.state]
    assert {name: getattr(delivery, name) for name in facts} == facts
    assert (delivery.next_try_at, delivery.lane) == (None, Lane.FRESH)
    return delivery


# --- start


def test_what_is_finished_or_held_is_queued_behind_all_that_is_fresh(posts):
    started = start()
    rows = Delivery.objects.values_list("state", "lane", "bulk", "state_before").order_by("state_before")
    assert list(rows) == [(State.WAITING, Lane.BULK, started.pk, state) for state in sorted(AS_IT_WAS)]
    assert (started.total, started.queued, started.queued_to) == (4, 4, None)
    assert progress(started) == bulk.Progress(total=4, to_go=4)


def test_what_waits_is_left_alone_and_what_is_being_sent_is_skipped(sell):
    later = timezone.now() + timedelta(hours=1)
    waiting, sending = put(sell(), State.WAITING, tries=2, next_try_at=later), put(sell(), State.SENDING)
    failed = put(sell(), State.FAILED)
    started = start()
    assert list(started.deliveries.all()) == [failed]
    for row, state in ((waiting, State.WAITING), (sending, State.SENDING)):
        row.refresh_from_db()
        assert (row.state, row.lane, row.bulk) == (state, Lane.FRESH, None)
    assert waiting.next_try_at == later


@pytest.mark.parametrize("state", [ConfigState.OFF, ConfigState.DISABLED, ConfigState.REMOVED])
def test_nothing_is_queued_for_a_configuration_that_is_not_on(posts, state):
    WebhookConfig.objects.update(state=state)
    with pytest.raises(BulkReprocess.Nothing):
        start()
    assert not BulkReprocess.objects.exists()


def test_neither_what_arose_nor_what_was_finished_since_it_was_asked_for_is_queued(sell):
    asked_at = timezone.now() - timedelta(minutes=1)
    old = put(sell(), State.FAILED, created_at=FINISHED_AT, finished_at=FINISHED_AT)
    put(sell(), State.FAILED, created_at=FINISHED_AT, finished_at=timezone.now())
    put(sell(), State.FAILED)
    assert list(start(asked_at=asked_at).deliveries.all()) == [old]


def test_two_presses_of_one_button_start_it_once(posts, producer):
    asked_at = timezone.now()
    first = start(owner=producer, asked_at=asked_at)
    assert start(owner=producer, asked_at=asked_at) == first
    assert BulkReprocess.objects.count() == 1


def test_each_batch_wakes_the_worker(posts, monkeypatch, django_capture_on_commit_callbacks):
    woken = []
    monkeypatch.setattr(wake, "wake", lambda: woken.append(True))
    with django_capture_on_commit_callbacks(execute=True):
        start()
    assert woken


def test_a_second_one_takes_what_the_first_has_not(posts, sell):
    first = start()
    other = put(sell(), State.FAILED)
    second = start()
    assert list(second.deliveries.all()) == [other]
    assert first.deliveries.count() == 4


# --- sent


def test_what_is_sent_counts_by_what_came_of_it(receiver, many):
    receiver.answers(200, 200, 500)
    many(3)
    started = start()
    engine.drain()
    found = progress(started)
    assert (found.delivered, found.again, found.to_go, found.sent) == (2, 1, 0, 3)
    assert stage(started) == bulk.Stage.FINISHED
    assert sorted(Delivery.objects.values_list("tries", "state_before", "lane")) == [
        (1, "", Lane.FRESH), (1, "", Lane.FRESH), (1, "", Lane.BULK),
    ]  # fmt: skip
    Delivery.objects.filter(state=State.WAITING).update(tries=4, next_try_at=None)
    engine.drain()
    assert (progress(started).delivered, progress(started).failed) in ((2, 1), (3, 0))


def test_the_last_failure_of_a_set_is_counted_and_the_row_is_as_any_other(receiver, many):
    receiver.answers(500)
    many(1)
    started = start()
    engine.drain()
    Delivery.objects.update(tries=4, next_try_at=None)
    engine.drain()
    row = Delivery.objects.get()
    assert (row.state, row.tries, row.lane, row.attempts_made) == (State.FAILED, 5, Lane.FRESH, 2)
    assert progress(started) == bulk.Progress(total=1, failed=1)


def test_fresh_posts_overtake_it(receiver, config, product, many):
    many(30)
    start()
    sale = factories.make_sale(product)
    engine.drain()
    fresh = sale.events.get().deliveries.get()
    assert receiver.webhook_ids().index(fresh.webhook_id) < 6  # beside those that a free slot took at once


@pytest.mark.django_db(transaction=True)
def test_a_fresh_post_does_not_wait_for_a_batch_that_was_claimed_before_it(
    receiver, producer, config, product, many
):
    """40 bulk posts of 0.4 s, 8 at once, take 2 s; the sale that comes meanwhile goes to the same receiver."""
    receiver.answers(Answer(delay=0.4))
    many(40)
    start()
    sold: list[tuple[str, float]] = []

    def sell() -> None:
        receiver.wait_for(5)
        sale = factories.make_sale(product)
        sold.append((sale.events.get().deliveries.get().webhook_id, time.monotonic()))
        connection.close()

    seller = threading.Thread(target=sell)
    seller.start()
    engine.drain()
    seller.join()
    webhook_id, sold_at = sold[0]
    assert len(receiver.posts) == 41
    since = [post.headers["webhook-id"] for post in receiver.posts if post.at > sold_at]
    assert webhook_id not in since or since.index(webhook_id) < 16


# --- pause, go on, stop


def test_a_pause_gives_every_unsent_post_back_as_it_was(receiver, posts):
    started = start()
    assert bulk.pause(started)
    for delivery in posts.values():
        assert as_it_was(delivery).bulk == started
    assert engine.drain() == 0
    assert stage(started) == bulk.Stage.PAUSED
    assert progress(started) == bulk.Progress(total=4, to_go=4, unqueued=4)


def test_it_goes_on_where_it_was(receiver, posts):
    started = start()
    bulk.pause(started)
    assert bulk.go_on(started)
    assert engine.drain() == 4
    assert progress(started) == bulk.Progress(total=4, delivered=4)


def test_a_stop_gives_them_back_for_good(receiver, posts):
    started = start()
    assert bulk.stop(started)
    assert [as_it_was(delivery).bulk for delivery in posts.values()] == [None] * 4
    assert not Delivery.objects.exclude(state_before="").exists()
    with pytest.raises(BulkReprocess.NotPossible, match="was stopped"):
        bulk.go_on(started)
    assert engine.drain() == 0
    assert (stage(started), progress(started).left) == (bulk.Stage.STOPPED, 4)


def test_what_is_paused_can_be_stopped(posts):
    started = start()
    bulk.pause(started)
    assert bulk.stop(started)
    assert [as_it_was(delivery).bulk for delivery in posts.values()] == [None] * 4


def test_each_is_done_once(posts):
    started = start()
    assert [bulk.pause(started), bulk.pause(started)] == [True, False]
    assert [bulk.stop(started), bulk.stop(started), bulk.pause(started)] == [True, False, False]


@pytest.mark.parametrize("halt", [bulk.pause, bulk.stop])
def test_what_is_in_flight_ends_as_it_began(receiver, many, halt):
    many(3)
    started = start()
    claim = uuid4()
    [_first, *others] = leases.claim(claim, 10)
    halt(started)
    assert progress(started).to_go == 3
    leases.give_back(claim, others)  # what a worker had not begun yet
    assert Delivery.objects.filter(state=State.FAILED, tries=5, lane=Lane.FRESH).count() == 2
    assert Delivery.objects.filter(state=State.SENDING).count() == 1


@pytest.mark.parametrize("halt", [bulk.pause, bulk.stop])
def test_what_a_worker_held_that_died_is_as_it_was(receiver, many, halt):
    many(2)
    started = start()
    leases.claim(uuid4(), 10)
    halt(started)
    Delivery.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert engine.drain() == 0
    assert set(Delivery.objects.values_list("state", "tries", "lane")) == {(State.FAILED, 5, Lane.FRESH)}
    assert receiver.posts == []


def test_a_pause_that_was_cut_short_is_finished_by_the_next_drain(receiver, many):
    many(3)
    started = start()
    BulkReprocess.objects.update(state=BulkState.PAUSED)  # and here its process died
    assert engine.drain() == 0
    assert Delivery.objects.filter(state=State.FAILED, bulk=started).count() == 3


@pytest.mark.parametrize("halt", [bulk.pause, bulk.stop])
def test_nothing_more_is_sent_from_the_moment_on_though_taking_it_back_takes_longer(
    receiver, many, sell, halt, monkeypatch
):
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk, "async_task", lambda job, pk, broker: tasks.carry_on_bulk(pk))
    monkeypatch.setattr(bulk.settle, "__defaults__", (1,))
    many(5)
    started = start()
    fresh = sell()
    halt(started, seconds=0)
    assert Delivery.objects.filter(state=State.FAILED).count() == 1
    assert engine.drain() == 1
    assert receiver.webhook_ids() == [fresh.webhook_id]
    assert Delivery.objects.filter(state=State.FAILED).count() == 2  # a drain takes some back too
    bulk.hand_on(started)
    assert Delivery.objects.filter(state=State.FAILED, tries=5, lane=Lane.FRESH).count() == 5


def test_what_was_tried_once_is_tried_again_while_it_is_paused(receiver, many):
    receiver.answers(500)
    many(2)
    started = start()
    engine.drain()
    bulk.pause(started)
    Delivery.objects.update(next_try_at=None)
    assert engine.drain() == 2


def test_going_on_leaves_out_what_cannot_be_sent_any_more(receiver, posts, config):
    started = start()
    bulk.pause(started)
    config.switch_off()
    assert bulk.go_on(started)
    for delivery in posts.values():
        as_it_was(delivery)
    assert stage(started) == bulk.Stage.FINISHED
    assert progress(started).left == 4


# --- queued piece by piece


def test_an_interrupted_queueing_goes_on_where_it_was(receiver, config, many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 10)
    many(35)
    selection = {"options": selecting.Selected(configurations=(config.pk,)).to_json()}

    def interrupt(started):
        if started.queued >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(selection=selection, on_batch=interrupt)
    started = BulkReprocess.objects.get()
    assert (started.queued, started.total, stage(started)) == (20, 35, bulk.Stage.RUNNING)
    assert progress(started).unqueued == 15
    assert bulk.go_on(started)
    assert (started.queued, started.total, started.queued_to, started.selection) == (35, 35, None, {})
    assert engine.drain() == 35
    assert stage(started) == bulk.Stage.FINISHED


def test_within_its_seconds_it_queues_what_it_can(many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 1)
    many(3)
    started = start(selection={"options": {"statuses": ["failed"]}}, seconds=0)
    assert started.queued == 1
    assert not bulk.queue_more(started, seconds=0)
    assert bulk.queue_more(started, seconds=9)
    assert started.queued == 3


def test_a_pause_ends_the_queueing_and_going_on_begins_it_again(many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 1)
    many(3)
    selection = {"options": {"statuses": ["failed", "waiting"]}}
    started = start(selection=selection, on_batch=lambda one: bulk.pause(BulkReprocess(pk=one.pk)))
    assert (progress(started).to_go, started.queued) == (3, 1)
    assert bulk.go_on(started)
    assert (progress(started).to_go, progress(started).unqueued) == (3, 0)


def test_without_a_selection_it_ends_with_what_it_has(many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 1)
    many(3)
    started = start(seconds=0)
    assert bulk.go_on(started)
    assert (started.total, started.queued) == (1, 1)


def test_the_historys_filters_are_a_selection(producer, sell):
    failed = put(sell(), State.FAILED)
    put(sell(), State.DELIVERED)
    kept = BulkReprocess(owner=producer, selection={"history": "?status=failed"}, asked_at=timezone.now())
    assert list(selecting.of(kept)) == [failed]


@pytest.mark.django_db(transaction=True)
def test_a_sale_is_saved_while_many_are_queued(product, many):
    """Neither waits for more than a batch of the other."""
    many(3000)
    slowest = []

    def sell():
        while not done.is_set():
            began = time.monotonic()
            factories.make_sale(product)
            slowest.append(time.monotonic() - began)
        connection.close()

    done = threading.Event()
    seller = threading.Thread(target=sell)
    seller.start()
    try:
        started = start()
    finally:
        done.set()
        seller.join()
    assert started.queued == 3000
    assert len(slowest) >= 3
    assert max(slowest) < 2


@pytest.mark.django_db(transaction=True)
def test_two_that_start_at_once_take_each_post_once(many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 10)
    many(100)
    both = threading.Barrier(2)
    started = []

    def press():
        both.wait()
        started.append(start())
        connection.close()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(one.queued for one in started) == 100
    assert sum(one.deliveries.count() for one in started) == 100


@pytest.mark.django_db(transaction=True)
def test_a_stop_in_the_middle_of_the_queueing_leaves_nothing_behind(many, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 10)
    many(200)
    threads = []

    def stop(pk):
        bulk.stop(BulkReprocess(pk=pk))
        connection.close()

    def on_batch(one):
        if one.queued == 50:
            threads.append(threading.Thread(target=stop, args=[one.pk]))
            threads[0].start()

    start(on_batch=on_batch)
    threads[0].join()
    assert Delivery.objects.filter(state=State.FAILED, tries=5, bulk=None).count() == 200


# --- what else may happen to a post of a bulk reprocess


def transition(posts, move):
    """{what it was: what it is after `move`}, of posts that wait in a bulk reprocess."""
    start()
    move(Delivery.objects.all())
    for row in Delivery.objects.all():
        assert (row.state_before, row.lane) == ("", Lane.FRESH)
    return {state: Delivery.objects.get(pk=post.pk).state for state, post in posts.items()}


def test_sent_again_by_hand_it_is_as_fresh_as_any(posts, receiver):
    after = transition(posts, lambda rows: rows.send_again())
    assert set(after.values()) == {State.WAITING}
    assert set(Delivery.objects.values_list("tries", "finished_at")) == {(0, None)}
    started = BulkReprocess.objects.get()
    engine.drain()
    assert progress(started) == bulk.Progress(total=4, delivered=4)


def test_send_now_takes_it_out_too(posts):
    start()
    post = posts[State.DELIVERED]
    post.refresh_from_db()
    post.send_now()
    assert (post.state, post.tries, post.state_before, post.lane) == (State.WAITING, 0, "", Lane.FRESH)


def test_it_cannot_be_reprocessed_a_second_time(posts):
    start()
    with pytest.raises(Delivery.NotPossible, match="already on its way"):
        posts[State.FAILED].reprocess()


def test_switched_off_what_had_not_arrived_is_held_and_the_rest_is_as_it_was(posts, config):
    after = transition(posts, lambda _rows: config.switch_off())
    assert after == {
        State.DELIVERED: State.DELIVERED,
        State.FAILED: State.HELD,
        State.DISCARDED: State.DISCARDED,
        State.HELD: State.HELD,
    }
    assert as_it_was(posts[State.DELIVERED])
    started = BulkReprocess.objects.get()
    assert stage(started) == bulk.Stage.FINISHED
    assert (progress(started).held, progress(started).to_go) == (2, 0)


def test_what_was_held_meanwhile_counts_again_once_it_is_released(receiver, posts, config):
    started = start()
    config.switch_off()
    config.enable()
    assert Delivery.objects.all().release() == 2
    engine.drain()
    assert progress(started).held == 0
    assert Delivery.objects.filter(state=State.DELIVERED, tries=1).count() == 2


def test_removed_what_was_finished_is_as_it_was(posts, config):
    after = transition(posts, lambda _rows: config.remove())
    assert after == {
        State.DELIVERED: State.DELIVERED,
        State.FAILED: State.FAILED,
        State.DISCARDED: State.DISCARDED,
        State.HELD: State.DISCARDED,
    }


@pytest.mark.parametrize("state", [ConfigState.OFF, ConfigState.REMOVED])
def test_strays_are_settled_alike(posts, state):
    def move(_rows):
        WebhookConfig.objects.update(state=state)  # past its listeners
        engine.drain()

    after = transition(posts, move)
    assert after[State.DELIVERED] == State.DELIVERED
    assert after[State.HELD] == (State.HELD if state == ConfigState.OFF else State.DISCARDED)


def test_of_a_paused_one_a_post_that_is_sent_by_hand_is_not_queued_again(receiver, posts):
    started = start()
    bulk.pause(started)
    post = posts[State.FAILED]
    post.refresh_from_db()
    post.reprocess()
    engine.drain()
    bulk.go_on(started)
    assert engine.drain() == 3
    assert Delivery.objects.get(pk=post.pk).attempts_made == 1


@pytest.mark.parametrize("method", ["release", "discard"])
def test_of_a_paused_one_a_held_post_may_be_released_or_discarded(posts, method):
    started = start()
    bulk.pause(started)
    assert getattr(Delivery.objects.all(), method)() == 1
    row = Delivery.objects.get(pk=posts[State.HELD].pk)
    assert (row.state_before, row.lane) == ("", Lane.FRESH)
    assert progress(started).to_go == 3


def test_what_its_configuration_is_disabled_for_is_held(receiver, many, config):
    receiver.answers(410)
    many(2)
    started = start()
    engine.drain()
    config.disable("gone")
    assert progress(started) == bulk.Progress(total=2, held=2)


# --- who paid and has no access yet


def test_an_approved_that_failed_stays_in_the_warning_while_it_waits_in_bulk(posts):
    Delivery.objects.update(created_at=timezone.now() - timedelta(hours=1))
    Delivery.objects.filter(state=State.HELD).update(tries=0)  # held before it was ever tried
    now = timezone.now()
    expected = {posts[State.FAILED].pk, posts[State.HELD].pk}

    def warned():
        return set(Delivery.objects.filter(history.without_access(now)).values_list("pk", flat=True))

    assert warned() == expected
    started = start()
    assert warned() == expected
    assert set(mails.overdue(now).values_list("pk", flat=True)) == expected
    bulk.pause(started)
    assert warned() == expected


# --- how far it is


def test_the_progress_of_many_takes_one_query(posts, django_assert_num_queries):
    started = [start()]
    bulk.stop(started[0])
    started.append(start())
    with django_assert_num_queries(1):
        found = bulk.progress_of(started)
    assert (found[started[0].pk].left, found[started[1].pk].to_go) == (4, 4)


def test_under_way_is_what_has_still_something_to_send(receiver, posts):
    started = start()
    assert list(BulkReprocess.objects.under_way()) == [started]
    bulk.pause(started)
    assert list(BulkReprocess.objects.under_way()) == [started]
    bulk.go_on(started)
    engine.drain()
    assert list(BulkReprocess.objects.under_way()) == []


# --- what it would mean


def test_the_facts_count_by_configuration_what_arrived_and_what_would_be_undone(sell, config, producer):
    put(sell(), State.FAILED)
    put(sell(), State.DELIVERED)
    refunded = sell()
    put(refunded, State.DELIVERED)
    sale = refunded.event.sale
    sale.status = SaleStatus.REFUNDED
    sale.save()
    put(sell(), State.SENDING)
    off = factories.make_config(producer, url="https://other.example.com/x")
    put(sell(), State.DELIVERED)
    off.switch_off()
    facts = selecting.facts_of(Delivery.objects.all())
    assert (facts.posts, facts.arrived, facts.undone) == (4, 3, 1)
    assert (facts.waiting, facts.sending, facts.not_on) == (1, 1, 1)
    assert list(facts.hosts.values()) == [4]


# --- a buyer's data that are erased


def erased(delivery):
    type(delivery.event).objects.filter(pk=delivery.event_id).update(redacted_at=timezone.now())


def test_what_cannot_be_sent_since_its_buyer_was_erased_is_not_queued(posts):
    erased(posts[State.FAILED])
    started = start()
    assert started.total == 3
    assert selecting.facts_of(Delivery.objects.all()).waiting == 3


def test_nor_does_a_paused_one_go_on_with_it(posts):
    started = start()
    bulk.pause(started)
    erased(posts[State.FAILED])
    bulk.go_on(started)
    assert as_it_was(posts[State.FAILED]).bulk is None
    assert progress(started).to_go == 3


def test_what_was_claimed_meanwhile_is_as_it_was_once_a_worker_gives_it_back(posts):
    start()
    claim = uuid4()
    claimed = leases.claim(claim, 10)
    for post in posts.values():
        erased(post)
    leases.give_back(claim, claimed)
    for state in (State.DELIVERED, State.FAILED, State.DISCARDED):
        as_it_was(posts[state])
        assert posts[state].state == state
