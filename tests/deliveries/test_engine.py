"""What is due is sent once, whatever the receiver answers and whatever becomes of the worker."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import DataError, OperationalError, connection
from django.utils import timezone

from configurations.events import EventType
from configurations.models import Reason, Token
from configurations.models import State as ConfigState
from deliveries import disabling, engine, leases
from deliveries.contract import signing
from deliveries.models import Delivery, DeliveryAttempt, Event, Problem, State
from deliveries.transport import Outcome
from sales.models import record_status_changes
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db


def sell_many(product, count, **facts):
    record_status_changes([factories.sale(product, **facts) for _ in range(count)])


# --- one post and what comes of it


def test_what_is_due_is_delivered_with_its_headers(receiver, sell):
    delivery = sell()
    assert engine.drain() == 1
    delivery.refresh_from_db()
    (post,) = receiver.posts
    assert delivery.state == State.DELIVERED
    assert delivery.last_status == 200
    assert (delivery.claim_id, delivery.lease_until, delivery.next_try_at) == (None, None, None)
    assert delivery.finished_at is not None
    assert post.headers["content-type"] == "application/json"
    assert post.headers["user-agent"].startswith("webhookhub/")
    assert post.headers["x-hotmart-hottok"] == Token.objects.get(seller=delivery.owner).value
    assert post.headers["webhook-id"] == delivery.webhook_id


def test_the_post_is_signed_by_the_secret_of_its_configuration(receiver, config, sell):
    sell()
    engine.drain()
    (post,) = receiver.posts
    at = int(post.headers["webhook-timestamp"])
    signature = signing.sign(config.secret, post.headers["webhook-id"], at, post.body)
    assert post.headers["webhook-signature"] == signature


def test_the_attempt_keeps_what_was_sent_and_answered(receiver, config, sell):
    receiver.answers(Answer(201, b"thanks", {"X-Receiver": "mine"}))
    delivery = sell()
    engine.drain()
    attempt = delivery.attempts.get()
    assert (attempt.number, attempt.status, attempt.problem, attempt.delivered) == (1, 201, "", True)
    assert attempt.url == config.url
    assert bytes(attempt.response_body) == b"thanks"
    assert ["X-Receiver", "mine"] in attempt.response_headers
    assert not attempt.late


def test_the_attempt_keeps_the_token_only_masked(receiver, config, sell):
    token = Token.objects.create(seller=config.owner, value="sesame-sesame-1234").value
    delivery = sell()
    engine.drain()
    kept = dict(delivery.attempts.get().request_headers)
    assert kept["X-HOTMART-HOTTOK"] == "••••1234"
    assert kept["webhook-signature"] == receiver.posts[0].headers["webhook-signature"]
    assert not Delivery.objects.filter(body__contains=token).exists()


def test_a_500_is_tried_again_after_15_seconds(receiver, sell, clock):
    receiver.answers(500, 200)
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.last_status) == (State.WAITING, 1, 500)
    assert engine.drain() == 0
    clock.forward(seconds=13)
    assert engine.drain() == 0
    clock.forward(seconds=4)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.last_status) == (State.DELIVERED, 2, 200)
    assert [a.number for a in delivery.attempts.order_by("number")] == [1, 2]


def test_after_five_failures_it_has_failed(receiver, sell, clock):
    receiver.answers(500)
    delivery = sell()
    for _ in range(7):
        engine.drain()
        clock.forward(hours=14)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries, delivery.attempts_made) == (State.FAILED, 5, 5)
    assert delivery.finished_at is not None
    assert len(receiver.posts) == 5


def test_every_try_sends_the_same_id_and_the_very_same_bytes(receiver, sell, clock):
    receiver.answers(500, 500, 200)
    delivery = sell()
    engine.drain()
    sale = delivery.event.sale
    sale.buyer_name = "Somebody Else"
    sale.save()
    Event.objects.update(snapshot={})  # what was stored at the first try is what counts
    for _ in range(2):
        clock.forward(hours=2)
        engine.drain()
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED
    assert {post.body for post in receiver.posts} == {delivery.body.encode()}
    assert set(receiver.webhook_ids()) == {delivery.webhook_id}


def test_a_receiver_that_does_not_answer_in_time_is_a_timeout(receiver, sell, settings):
    settings.DELIVERY_DEADLINE = 0.3
    receiver.answers(Answer(delay=30))
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_problem) == (State.WAITING, Problem.TIMEOUT)
    assert delivery.attempts.get().duration_ms >= 250


def test_a_receiver_that_hangs_up_is_recorded(receiver, sell):
    receiver.answers(Answer(close=True))
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status, delivery.last_problem) == (
        State.WAITING,
        None,
        Problem.RESET,
    )


def test_a_retry_after_is_honoured(receiver, sell, clock):
    receiver.answers(Answer(503, headers={"Retry-After": "600"}), 200)
    delivery = sell()
    engine.drain()
    clock.forward(minutes=9)
    assert engine.drain() == 0
    clock.forward(minutes=2)
    engine.drain()
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED


def test_a_redirect_is_not_followed(receiver, sell):
    receiver.answers(Answer(302, headers={"Location": receiver.url}))
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status) == (State.WAITING, 302)
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("content_type", "body", "page"),
    [
        ("text/html; charset=utf-8", b"\n<!DOCTYPE html><title>Shop</title>", True),
        ("text/html", b"<html lang=pt><body>hi", True),
        ("text/html", b"ok", False),
        ("application/json", b"<html>", False),
    ],
)
def test_a_200_that_is_a_web_page_is_noted(receiver, sell, content_type, body, page):
    receiver.answers(Answer(200, body, {"Content-Type": content_type}))
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.answered_page) == (State.DELIVERED, page)


def test_the_redirect_by_which_an_apps_script_says_that_it_ran_is_delivered(config, sell, monkeypatch):
    """No request leaves the machine: what script.google.com answers is played."""
    config.url = "https://script.google.com/macros/s/x/exec"
    config.save()
    delivery = sell()

    class Google:
        def post(self, config_id, url, headers, body):
            output = ["Location", "https://script.googleusercontent.com/macros/echo?user_content_key=x"]
            return Outcome(302, "", "", [output], b"", False, timedelta(milliseconds=900), timezone.now())

    monkeypatch.setattr(engine, "transport", Google)
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.last_status) == (State.DELIVERED, 302)


# --- many posts


def test_a_poison_payload_fails_as_ours_and_the_others_go(receiver, sell):
    poison, *others = sell(), sell(), sell()
    Event.objects.filter(pk=poison.event_id).update(snapshot={"price": "a lot"})
    assert engine.drain() == 3
    poison.refresh_from_db()
    assert (poison.state, poison.last_problem, poison.tries) == (State.WAITING, Problem.OURS, 1)
    assert "price" in poison.attempts.get().detail
    assert sorted(receiver.webhook_ids()) == sorted(other.webhook_id for other in others)


def test_approved_goes_first_then_what_takes_access_away_then_the_rest(receiver, sell, monkeypatch):
    monkeypatch.setattr(engine, "FEWEST_SLOTS", 1)
    for status in (SaleStatus.BILLET_PRINTED, SaleStatus.REFUNDED, SaleStatus.APPROVED):
        sell(status=status)
    engine.drain()
    events = [Delivery.objects.get(webhook_id=sent).event.type for sent in receiver.webhook_ids()]
    assert events == [EventType.APPROVED, EventType.REFUNDED, EventType.BILLET_PRINTED]


def test_more_than_a_batch_goes_in_one_drain(receiver, config, product):
    sell_many(product, 250)
    assert engine.drain() == 250
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert len(set(receiver.webhook_ids())) == 250


def test_an_idle_drain_asks_few_questions(django_assert_max_num_queries, config):
    with django_assert_max_num_queries(8):
        assert engine.drain() == 0


def test_a_slow_receiver_does_not_hold_up_the_others(receiver, config, product):
    with Receiver() as slow:
        slow.answers(Answer(delay=1))
        for _ in range(3):
            factories.make_config(config.owner, url=slow.url)
        sell_many(product, 16)
        engine.drain()
        assert len(slow.posts) == 48
    first = min(post.at for post in receiver.posts)
    assert max(post.at for post in receiver.posts) - first < 1


# --- the end of a drain


def test_told_to_stop_it_starts_nothing_and_gives_back(receiver, config, product):
    sell_many(product, 3)
    assert engine.drain(stop=lambda: True) == 0
    assert receiver.posts == []
    assert set(Delivery.objects.values_list("state", "tries", "claim_id")) == {(State.WAITING, 0, None)}


def test_told_to_stop_in_the_middle_it_finishes_what_is_in_flight(receiver, config, product):
    receiver.answers(Answer(delay=0.3))
    sell_many(product, 30)
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
    sell_many(product, 30)
    made = engine.drain(budget=1)
    assert 1 <= made < 30
    assert Delivery.objects.due().count() == 30 - made


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_like_a_stop(receiver, config, product, signum):
    heard = []
    before = signal.signal(signum, lambda *_: heard.append(True))
    try:
        receiver.answers(Answer(delay=0.3))
        sell_many(product, 30)
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
    record = leases.record

    def lose_the_claim_first(claim_id, results):
        monkeypatch.setattr(leases, "record", record)
        Delivery.objects.update(state=State.WAITING, claim_id=None, lease_until=None)
        record(claim_id, results)

    monkeypatch.setattr(leases, "record", lose_the_claim_first)
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
    sell_many(product, 40)
    monkeypatch.setattr(engine, "RENEW_EVERY", 0)
    monkeypatch.setattr(leases, "renew", lambda claim_id: 0)
    made = engine.drain()
    assert made == len(receiver.posts) < 40
    assert Delivery.objects.filter(state=State.WAITING, tries=0).count() == 40 - made


def test_a_worker_that_cannot_renew_starts_nothing_new(receiver, config, product, monkeypatch):
    def away(claim_id):
        raise OperationalError("away")

    receiver.answers(Answer(delay=0.3))
    sell_many(product, 40)
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


# --- configurations that are not on


def test_nothing_is_sent_to_a_configuration_that_was_switched_off(receiver, config, sell):
    delivery = sell()
    config.switch_off()
    assert engine.drain() == 0
    delivery.refresh_from_db()
    assert delivery.state == State.HELD


def test_what_waits_is_discarded_with_its_configuration(receiver, config, sell):
    delivery = sell()
    config.remove()
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, receiver.posts) == (State.DISCARDED, [])
    assert delivery.finished_at is not None


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (ConfigState.OFF, State.HELD),
        (ConfigState.DISABLED, State.HELD),
        (ConfigState.REMOVED, State.DISCARDED),
    ],
)
def test_a_post_that_was_written_as_its_configuration_went_off_is_settled(
    receiver, config, sell, state, then
):
    delivery = sell()
    type(config).objects.update(state=state)  # past the signals, as a transaction that ran side by side
    assert engine.drain() == 0
    delivery.refresh_from_db()
    assert (delivery.state, receiver.posts) == (then, [])
    assert not Delivery.objects.due().exists()


@pytest.mark.parametrize(
    ("state", "then"), [(ConfigState.OFF, State.HELD), (ConfigState.REMOVED, State.DISCARDED)]
)
def test_what_fails_in_flight_while_its_configuration_goes_off_is_settled(
    receiver, config, sell, monkeypatch, state, then
):
    receiver.answers(500)
    delivery = sell()
    record = leases.record

    def switch_off_first(claim_id, results):
        config.switch_off() if state == ConfigState.OFF else config.remove()
        record(claim_id, results)

    monkeypatch.setattr(leases, "record", switch_off_first)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (then, 1)


def test_the_next_try_goes_to_the_url_of_then(receiver, config, sell, clock):
    receiver.answers(500, 200)
    delivery = sell()
    engine.drain()
    config.url = receiver.url + "/moved"
    config.save()
    clock.forward(minutes=1)
    engine.drain()
    assert [post.path for post in receiver.posts] == ["/hook", "/hook/moved"]
    assert [a.url for a in delivery.attempts.order_by("number")] == [receiver.url, config.url]


# --- probes


@pytest.fixture
def held(config, sell, clock):
    """Two posts that a configuration disabled by us holds; the hour of the first probe has come."""
    deliveries = [sell(), sell()]
    config.disable(Reason.SERVER)
    clock.forward(minutes=61)
    return deliveries


def test_a_probe_that_fails_is_held_again_and_uses_up_no_try(receiver, config, held):
    receiver.answers(500)
    assert engine.drain() == 1
    first, second = Delivery.objects.order_by("pk")
    assert (first.state, first.tries, first.attempts_made, first.last_status) == (State.HELD, 0, 1, 500)
    assert (second.state, second.attempts_made) == (State.HELD, 0)
    assert engine.drain() == 0  # the next one is an hour away


def test_a_probe_that_arrives_is_delivered_and_brings_the_others_along(receiver, config, held):
    assert engine.drain() == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    config.refresh_from_db()
    assert config.state == ConfigState.ON


def test_a_probe_whose_worker_died_is_held_again(receiver, config, held, clock):
    assert leases.claim_probes(uuid4(), disabling.probes_due())
    clock.forward(seconds=50)
    assert engine.drain() == 0
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.HELD}


def test_of_one_configuration_one_probe_is_on_its_way_at_a_time(config, held):
    assert leases.claim_probes(uuid4(), [held[0].pk])
    assert leases.claim_probes(uuid4(), [held[1].pk]) == []


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
    record, troubles = leases.record, iter([OperationalError("locked")] * 2)

    def locked_at_first(claim_id, results):
        if trouble := next(troubles, None):
            raise trouble
        record(claim_id, results)

    monkeypatch.setattr(leases, "record", locked_at_first)
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


def test_outcomes_that_never_can_be_recorded_are_left_to_the_lease(receiver, sell, monkeypatch, clock):
    sell()

    def locked(claim_id, results):
        raise OperationalError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(leases, "record", locked)
        patch.setattr(engine, "RECORD_AGAIN", 0.01)
        patch.setattr(engine, "KEEP_TRYING", 0.05)
        assert engine.drain() == 0
    clock.forward(minutes=1)
    assert engine.drain() == 1


def test_an_answer_that_the_database_refuses_is_kept_without_itself(receiver, sell, monkeypatch):
    sell(), sell()
    receiver.answers(Answer(200, b"refused"), Answer(200, b"fine"))
    record = leases.record

    def refuse(claim_id, results):
        if any(result.outcome.body == b"refused" for result in results):
            raise DataError("unheard of")
        record(claim_id, results)

    monkeypatch.setattr(leases, "record", refuse)
    assert engine.drain() == 2
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert sorted(bytes(a.response_body) for a in DeliveryAttempt.objects.all()) == [b"", b"fine"]


# --- several workers


@pytest.mark.django_db(transaction=True)
def test_four_drains_at_once_send_each_post_once(receiver, config, product):
    sell_many(product, 300)
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
    sell_many(product, 5)
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
    sell_many(product, 3)
    in_a_worker_that_dies(lambda patch, die: patch.setattr(leases, "record", die))
    sent = {post.headers["webhook-id"]: post.body for post in receiver.wait_for(3)}
    Delivery.objects.update(
        lease_until=timezone.now() - timedelta(seconds=1)
    )  # the clock moves the event, too
    assert engine.drain() == 3
    assert {post.headers["webhook-id"]: post.body for post in receiver.posts[3:]} == sent
    assert set(Delivery.objects.values_list("state", "tries", "attempts_made")) == {(State.DELIVERED, 1, 1)}


# --- the command


def test_the_command_sends_what_is_due_and_says_how_many(receiver, sell, capsys):
    sell(), sell()
    call_command("deliver")
    assert "2 attempts" in capsys.readouterr().out
    assert len(receiver.posts) == 2
