"""What is due is sent once, whatever the receiver answers and whatever becomes of its configuration."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from configurations.events import EventType
from configurations.models import Reason, Token
from configurations.models import State as ConfigState
from deliveries import disabling, engine, leases, outcomes, slots
from deliveries.contract import signing
from deliveries.models import Delivery, Event, Problem, State
from deliveries.slots import Slots
from deliveries.transport import Outcome
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db


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
            return Outcome(timezone.now(), 302, headers=[output])

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
    monkeypatch.setattr(engine, "AHEAD", 0)
    monkeypatch.setattr(engine, "Slots", lambda: Slots(size=1))
    monkeypatch.setattr(slots, "FEWEST", 1)
    for status in (SaleStatus.BILLET_PRINTED, SaleStatus.REFUNDED, SaleStatus.APPROVED):
        sell(status=status)
    engine.drain()
    events = [Delivery.objects.get(webhook_id=sent).event.type for sent in receiver.webhook_ids()]
    assert events == [EventType.APPROVED, EventType.REFUNDED, EventType.BILLET_PRINTED]


def test_more_than_a_batch_goes_in_one_drain(receiver, config, product):
    factories.make_sales(product, 250)
    assert engine.drain() == 250
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert len(set(receiver.webhook_ids())) == 250


def test_an_idle_drain_asks_few_questions(django_assert_max_num_queries, config):
    engine.drain()  # the first notes where the database is at home
    with django_assert_max_num_queries(16 if connection.vendor == "postgresql" else 15):
        assert engine.drain() == 0


def test_a_slow_receiver_does_not_hold_up_the_others(receiver, config, product):
    with Receiver() as slow:
        slow.answers(Answer(delay=1))
        for _ in range(3):
            factories.make_config(config.owner, url=slow.url)
        factories.make_sales(product, 16)
        engine.drain()
        assert len(slow.posts) == 48
    first = min(post.at for post in receiver.posts)
    assert max(post.at for post in receiver.posts) - first < 1


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
    record = outcomes.record

    def switch_off_first(claim_id, results):
        config.switch_off() if state == ConfigState.OFF else config.remove()
        record(claim_id, results)

    monkeypatch.setattr(outcomes, "record", switch_off_first)
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


# --- the command


def test_the_command_sends_what_is_due_and_says_how_many(receiver, sell, capsys):
    sell(), sell()
    call_command("deliver")
    assert "2 attempts" in capsys.readouterr().out
    assert len(receiver.posts) == 2
