"""What is due is sent once, whatever becomes of the worker and of the database in the meantime."""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from deliveries import disabling, engine, leases, outcomes
from deliveries.models import Delivery, DeliveryAttempt, State
from tests import factories
from tests.receiver import Answer, Receiver

from .cluster_process import wait_until

BUDGET = 0.3  # seconds

pytestmark = pytest.mark.django_db


# --- the end of a drain


def test_told_to_stop_it_starts_nothing_and_gives_back(receiver, config, product):
    factories.make_sales(product, 3)
    assert engine.drain(stop=lambda: True) == 0
    assert receiver.posts == []
    assert set(Delivery.objects.values_list("state", "tries", "claim_id")) == {(State.WAITING, 0, None)}


def test_told_to_stop_in_the_middle_it_finishes_what_is_in_flight(receiver, config, product):
    receiver.answers(Answer(delay=0.3))
    factories.make_sales(product, 30)
    made = engine.drain(stop=lambda: bool(receiver.posts))
    assert 1 <= made < 30
    assert Delivery.objects.filter(state=State.DELIVERED).count() == made == len(receiver.posts)
    left = Delivery.objects.exclude(state=State.DELIVERED)
    assert set(left.values_list("state", "tries", "claim_id", "lease_until")) == {
        (State.WAITING, 0, None, None)
    }
    assert engine.drain() == 30 - made


def test_after_its_budget_it_hands_on(receiver, config, product):
    receiver.answers(Answer(delay=1))
    factories.make_sales(product, 30)
    made = engine.drain(budget=1)
    assert 1 <= made < 30
    assert Delivery.objects.due().count() == 30 - made


@pytest.mark.django_db(transaction=True)
def test_after_its_budget_nobody_waits_for_the_endpoint_that_it_still_waits_for(receiver, config, product):
    with Receiver() as hanging:
        hanging.answers(Answer(delay=2))
        other = factories.make_config(url=hanging.url)
        factories.make_sale(factories.make_product(other.owner))

        def sell() -> None:
            hanging.wait_for(1)
            wait_until(lambda: time.monotonic() > began + BUDGET, "its time is not up.")
            factories.make_sale(product)
            connection.close()

        began = time.monotonic()
        seller = threading.Thread(target=sell)
        seller.start()
        assert engine.drain(budget=BUDGET) == 2
        seller.join()
        answered = DeliveryAttempt.objects.get(delivery__config=other)
    [post] = receiver.posts
    assert post.at < began + answered.duration_ms / 1000


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_like_a_stop(receiver, config, product, signum):
    heard = []
    before = signal.signal(signum, lambda *_: heard.append(True))
    try:
        receiver.answers(Answer(delay=0.3))
        factories.make_sales(product, 30)
        pid = os.getpid()
        threading.Thread(target=lambda: (receiver.wait_for(1), os.kill(pid, signum)), daemon=True).start()
        made = engine.drain()
        assert heard == [True]  # it takes effect once the drain is done
    finally:
        signal.signal(signum, before)
    assert made < 30
    assert Delivery.objects.filter(state=State.WAITING, tries=0).count() == 30 - made


# --- leases


def claim():
    """As another worker would."""
    claim_id = uuid4()
    assert leases.claim(claim_id, 10)
    return claim_id


def test_what_another_worker_holds_is_left_alone(receiver, sell):
    sell()
    claim()
    assert engine.drain() == 0


def test_what_a_dead_worker_held_is_sent_with_no_try_counted(receiver, sell, clock):
    delivery = sell()
    claim()
    clock.forward(seconds=46)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.DELIVERED, 1)


def test_a_lease_from_before_the_clock_was_set_back_has_run_out(receiver, sell, clock):
    sell()
    claim()
    clock.forward(hours=-1)
    assert engine.drain() == 1


def test_a_next_try_from_before_the_clock_was_set_back_is_due(receiver, sell, clock):
    receiver.answers(500, 200)
    sell()
    engine.drain()
    clock.forward(days=-2)
    assert engine.drain() == 1


def test_a_renewed_lease_does_not_run_out(receiver, sell, clock):
    sell()
    claim_id = claim()
    clock.forward(seconds=40)
    assert leases.renew(claim_id) == 1
    clock.forward(seconds=40)
    assert engine.drain() == 0


def test_an_outcome_whose_claim_was_lost_is_kept_as_late_and_moves_nothing(receiver, sell, monkeypatch):
    delivery = sell()
    record = outcomes.record

    def lose_the_claim_first(claim_id, results):
        monkeypatch.setattr(outcomes, "record", record)
        Delivery.objects.update(state=State.WAITING, claim_id=None, lease_until=None)
        record(claim_id, results)

    monkeypatch.setattr(outcomes, "record", lose_the_claim_first)
    assert engine.drain() == 2  # the late one, and the one of the row that was due again
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.attempts_made) == (State.DELIVERED, 1, 2)
    assert list(delivery.attempts.order_by("number").values_list("number", "late")) == [(1, True), (2, False)]


def test_the_lease_is_renewed_as_long_as_a_post_is_on_its_way(receiver, sell, monkeypatch):
    receiver.answers(Answer(delay=0.5))
    sell()
    renewed, renew = [], leases.renew
    monkeypatch.setattr(leases, "renew", lambda claim_id: renewed.append(renew(claim_id)) or renewed[-1])
    monkeypatch.setattr(engine, "RENEW_EVERY", 0.05)
    engine.drain()
    assert set(renewed) == {1}
    assert len(renewed) >= 2


def test_a_worker_that_lost_some_of_its_claims_starts_nothing_new(receiver, config, product, monkeypatch):
    receiver.answers(Answer(delay=0.3))
    factories.make_sales(product, 40)
    monkeypatch.setattr(engine, "RENEW_EVERY", 0)
    monkeypatch.setattr(leases, "renew", lambda claim_id: 0)
    made = engine.drain()
    assert made == len(receiver.posts) < 40
    assert Delivery.objects.filter(state=State.WAITING, tries=0).count() == 40 - made


def test_a_worker_that_cannot_renew_starts_nothing_new(receiver, config, product, monkeypatch):
    def away(claim_id):
        raise OperationalError("away")

    receiver.answers(Answer(delay=0.3))
    factories.make_sales(product, 40)
    monkeypatch.setattr(engine, "RENEW_EVERY", 0)
    monkeypatch.setattr(leases, "renew", away)
    assert engine.drain() == len(receiver.posts) < 40


def test_nothing_is_begun_that_might_outlive_its_lease(receiver, sell, monkeypatch):
    delivery = sell()
    monkeypatch.setattr(engine, "lease_left_to_start", lambda: -1)
    assert engine.drain() == 0
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.claim_id) == (State.WAITING, 0, None)
    assert receiver.posts == []


# --- trouble of our own


def test_a_failure_to_judge_the_configuration_keeps_the_attempt(receiver, sell, monkeypatch):
    def fail(results):
        raise RuntimeError

    monkeypatch.setattr(disabling, "after_attempts", fail)
    delivery = sell()
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED


def test_outcomes_wait_for_a_database_that_is_away_for_a_moment(receiver, sell, monkeypatch):
    delivery = sell()
    record, troubles = outcomes.record, iter([OperationalError("locked")] * 2)

    def locked_at_first(claim_id, results):
        if trouble := next(troubles, None):
            raise trouble
        record(claim_id, results)

    monkeypatch.setattr(outcomes, "record", locked_at_first)
    monkeypatch.setattr(engine, "RECORD_AGAIN", 0.01)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, len(receiver.posts)) == (State.DELIVERED, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_a_connection_to_the_database_that_is_cut_in_flight_costs_no_outcome(receiver, config, sell):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection that could be cut.")
    receiver.answers(Answer(delay=0.5))
    delivery = sell()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()

    def cut():
        try:
            receiver.wait_for(1)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s)", [backend])
        finally:
            connection.close()

    cutter = threading.Thread(target=cut)
    cutter.start()
    assert engine.drain() == 1
    cutter.join()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, len(receiver.posts)) == (State.DELIVERED, 1, 1)


@contextmanager
def nothing_can_be_recorded(monkeypatch):
    def locked(claim_id, results):
        raise OperationalError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "record", locked)
        patch.setattr(engine, "RECORD_AGAIN", 0.01)
        patch.setattr(engine, "KEEP_TRYING", 0.05)
        yield


def test_what_a_drain_could_not_record_the_next_one_begins_with_and_claims_nothing_before(
    receiver, sell, monkeypatch, clock
):
    sold = sell()

    with nothing_can_be_recorded(monkeypatch):
        assert engine.drain() == 0
        later = sell()
        with pytest.raises(OperationalError):
            engine.drain()
    later.refresh_from_db()
    assert (later.state, len(receiver.posts)) == (State.WAITING, 1)
    clock.forward(minutes=1)
    assert engine.drain() == 2
    sold.refresh_from_db()
    assert (sold.state, sold.tries, len(receiver.posts)) == (State.DELIVERED, 1, 2)


def test_outcomes_that_die_with_their_worker_are_left_to_the_lease(receiver, sell, monkeypatch, clock):
    sell()

    with nothing_can_be_recorded(monkeypatch):
        assert engine.drain() == 0
    outcomes._owed.clear()  # as in a new process
    clock.forward(minutes=1)
    assert engine.drain() == 1
    assert len(receiver.posts) == 2


def test_an_answer_that_the_database_refuses_is_kept_without_itself(receiver, sell, monkeypatch):
    sell(), sell()
    receiver.answers(Answer(200, b"refused"), Answer(200, b"fine"))
    record = outcomes.record

    def refuse(claim_id, results):
        if any(result.outcome.body == b"refused" for result in results):
            raise DataError("unheard of")
        record(claim_id, results)

    monkeypatch.setattr(outcomes, "record", refuse)
    assert engine.drain() == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert sorted(bytes(a.response_body) for a in DeliveryAttempt.objects.all()) == [b"", b"fine"]


# --- several workers


@pytest.mark.django_db(transaction=True)
def test_four_drains_at_once_send_each_post_once(receiver, config, product):
    factories.make_sales(product, 300)
    made = []

    def drain():
        try:
            made.append(engine.drain())
        finally:
            connection.close()

    workers = [threading.Thread(target=drain) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sum(made) == 300
    assert len(receiver.posts) == len(set(receiver.webhook_ids())) == 300
    assert DeliveryAttempt.objects.filter(number=1, late=False).count() == 300


@pytest.mark.django_db(transaction=True)
def test_no_transaction_is_open_while_a_post_is_on_its_way(receiver, config, sell):
    """Another connection can write in the meantime, which on SQLite it could not otherwise."""
    receiver.answers(Answer(delay=0.5))
    sell()
    wrote = threading.Event()

    def write():
        try:
            receiver.wait_for(1)
            type(config).objects.filter(pk=config.pk).update(name="Renamed in flight")
            assert Delivery.objects.get().state == State.SENDING
            wrote.set()
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    engine.drain()
    writer.join()
    assert wrote.is_set()


def in_a_worker_that_dies(at: Callable[[pytest.MonkeyPatch, Callable[..., None]], None]) -> None:
    """A drain in a process of its own that is gone, as by SIGKILL, when it comes to the place that `at` patches."""
    connection.close()  # which the two would share otherwise
    if not (pid := os.fork()):
        try:
            at(pytest.MonkeyPatch(), lambda *_: os._exit(9))
            engine.drain()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_between_claim_and_send_costs_no_try_and_no_repeat(
    receiver, config, product, clock
):
    factories.make_sales(product, 5)
    in_a_worker_that_dies(lambda patch, die: patch.setattr(engine._Drain, "_start_what_can", die))
    assert Delivery.objects.filter(state=State.SENDING).count() == 5
    assert engine.drain() == 0  # the lease may still be good
    clock.forward(seconds=46)
    assert engine.drain() == 5
    assert set(Delivery.objects.values_list("state", "tries")) == {(State.DELIVERED, 1)}
    assert len(receiver.posts) == 5


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_dies_between_send_and_record_repeats_with_the_same_id_and_bytes(
    receiver, config, product
):
    factories.make_sales(product, 3)
    in_a_worker_that_dies(lambda patch, die: patch.setattr(outcomes, "record", die))
    sent = {post.headers["webhook-id"]: post.body for post in receiver.wait_for(3)}
    Delivery.objects.update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )  # the clock moves the event, too
    assert engine.drain() == 3
    assert {post.headers["webhook-id"]: post.body for post in receiver.posts[3:]} == sent
    assert set(Delivery.objects.values_list("state", "tries", "attempts_made")) == {(State.DELIVERED, 1, 1)}
