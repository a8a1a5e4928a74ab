"""What may become of a delivery, by its named methods: each moves it once, or says why not."""

import threading
import time
from datetime import date, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone, translation

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import engine, leases, wake
from deliveries.models import Delivery, State
from sales.statuses import SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def delivered(sell):
    delivery = sell()
    engine.drain()
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED
    return delivery


def moved_to(delivery: Delivery, state: State, **facts) -> Delivery:
    Delivery.objects.filter(pk=delivery.pk).update(state=state, **facts)
    delivery.refresh_from_db()
    return delivery


def configuration_is(state: ConfigState) -> None:
    """Past the signals, so that the delivery stays as it is."""
    WebhookConfig.objects.update(state=state)


# --- reprocess


def test_reprocess_sends_again_with_a_fresh_set_of_tries_and_keeps_the_attempts(receiver, delivered):
    delivered.reprocess()
    assert (delivered.state, delivered.tries, delivered.finished_at) == (State.WAITING, 0, None)
    engine.drain()
    delivered.refresh_from_db()
    assert (delivered.state, delivered.tries, delivered.attempts_made) == (State.DELIVERED, 1, 2)
    assert [a.number for a in delivered.attempts.order_by("number")] == [1, 2]
    assert receiver.webhook_ids() == [delivered.webhook_id] * 2
    assert receiver.posts[0].body == receiver.posts[1].body


@pytest.mark.parametrize("state", [State.DELIVERED, State.FAILED, State.DISCARDED, State.HELD])
def test_what_is_finished_or_held_can_be_reprocessed(sell, state):
    delivery = moved_to(sell(), state, tries=5)
    delivery.reprocess()
    assert (delivery.state, delivery.tries) == (State.WAITING, 0)


@pytest.mark.parametrize("state", [State.WAITING, State.SENDING])
def test_what_is_on_its_way_cannot(sell, state):
    delivery = moved_to(sell(), state)
    with pytest.raises(Delivery.NotPossible, match="already on its way"):
        delivery.reprocess()


def test_pressing_reprocess_twice_sends_once(receiver, delivered):
    again = Delivery.objects.get(pk=delivered.pk)  # the page of a second press
    delivered.reprocess()
    with pytest.raises(Delivery.NotPossible):
        again.reprocess()
    engine.drain()
    assert len(receiver.posts) == 2


@pytest.mark.parametrize(
    ("state", "word"),
    [(ConfigState.OFF, "switched off"), (ConfigState.DISABLED, "disabled"), (ConfigState.REMOVED, "removed")],
)
def test_nothing_is_reprocessed_for_a_configuration_that_is_not_on(delivered, state, word):
    configuration_is(state)
    with pytest.raises(Delivery.NotPossible, match=word):
        delivered.reprocess()
    delivered.refresh_from_db()
    assert delivered.state == State.DELIVERED


def test_the_reason_is_translated_when_it_is_shown(sell):
    delivery = sell()
    with pytest.raises(Delivery.NotPossible) as caught:
        delivery.reprocess()
    with translation.override("en"):
        assert str(caught.value) == "This post is already on its way."


# --- send now


def test_send_now_makes_the_next_try_due_and_counts_it(receiver, sell):
    receiver.answers(500, 200)
    delivery = sell()
    engine.drain()
    assert engine.drain() == 0
    delivery.send_now()
    assert (delivery.state, delivery.tries) == (State.WAITING, 1)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.DELIVERED, 2)


def test_pressing_send_now_twice_sends_once(receiver, sell):
    delivery = sell()
    delivery.send_now()
    delivery.send_now()
    engine.drain()
    assert len(receiver.posts) == 1


def test_what_is_being_sent_cannot_be_sent_now(sell):
    delivery = moved_to(sell(), State.SENDING)
    with pytest.raises(Delivery.NotPossible, match="already on its way"):
        delivery.send_now()


@pytest.mark.parametrize("state", [State.DELIVERED, State.FAILED, State.DISCARDED])
def test_what_is_finished_cannot_be_sent_now(sell, state):
    delivery = moved_to(sell(), state)
    with pytest.raises(Delivery.NotPossible, match="no longer waiting"):
        delivery.send_now()


def test_what_is_held_cannot_be_sent_now(sell, config):
    delivery = sell()
    config.switch_off()
    with pytest.raises(Delivery.NotPossible, match="switched off"):
        delivery.send_now()


# --- many at once


def test_send_again_moves_all_but_what_is_on_its_way(sell):
    states = [State.WAITING, State.SENDING, State.DELIVERED, State.FAILED, State.HELD, State.DISCARDED]
    later = timezone.now() + timedelta(hours=1)
    for state in states:
        moved_to(sell(), state, tries=3, next_try_at=later)
    assert Delivery.objects.all().send_again() == 5
    assert Delivery.objects.filter(state=State.SENDING, tries=3).count() == 1
    due = Delivery.objects.due()
    assert sorted(due.values_list("tries", flat=True)) == [0, 0, 0, 0, 3]  # who waited goes on counting


def test_send_again_leaves_out_configurations_that_are_not_on(sell, config, producer, receiver):
    factories.make_config(producer, url=receiver.url, state=ConfigState.DISABLED)
    sell()
    engine.drain()
    assert Delivery.objects.newest_first().send_again() == 1
    assert Delivery.objects.held().count() == 1


def test_send_again_takes_any_filter_of_the_history(sell):
    first, second = moved_to(sell(), State.FAILED), moved_to(sell(), State.FAILED)
    wanted = Delivery.objects.select_related("event").filter(
        event__transaction_code=first.event.transaction_code
    )
    assert wanted.newest_first().send_again() == 1
    second.refresh_from_db()
    assert second.state == State.FAILED


def test_send_again_twice_sends_once(receiver, delivered):
    Delivery.objects.all().send_again()
    Delivery.objects.all().send_again()
    engine.drain()
    assert len(receiver.posts) == 2


def test_what_was_held_is_released_with_fresh_tries(receiver, config, sell):
    delivery = sell()
    Delivery.objects.update(tries=4)
    config.switch_off()
    assert Delivery.objects.all().release() == 0  # not yet
    config.enable()
    engine.drain()
    assert receiver.posts == []  # its owner has not said yet what becomes of it
    assert Delivery.objects.all().release() == 1
    engine.drain()
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.DELIVERED, 1)


def test_what_is_held_or_waits_can_be_discarded(sell):
    for state in State.values:
        moved_to(sell(), state)
    assert Delivery.objects.all().discard() == 2
    assert Delivery.objects.filter(state=State.DISCARDED, finished_at__isnull=False).count() == 2


@pytest.mark.parametrize("method", ["send_again", "release", "discard"])
def test_each_wakes_the_worker_after_the_commit(
    sell, method, monkeypatch, django_capture_on_commit_callbacks
):
    moved_to(sell(), State.HELD)
    woken = []
    monkeypatch.setattr(wake, "wake", lambda: woken.append(True))
    with django_capture_on_commit_callbacks(execute=True):
        assert getattr(Delivery.objects.all(), method)() == 1
        assert not woken
    assert woken


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["send_again", "release", "discard", "hold"])
def test_what_is_claimed_at_that_moment_is_not_moved(sell, method):
    """It waits for the claim to be committed, and then looks at the state again."""
    state = State.HELD if method == "release" else State.WAITING
    delivery = moved_to(sell(), state)
    claimed, moved = threading.Event(), []

    def move():
        claimed.wait()
        posts = Delivery.objects.filter(
            event__type=delivery.event.type
        )  # a join, as the History's filters have it
        moved.append(getattr(posts, method)())
        connection.close()

    mover = threading.Thread(target=move)
    mover.start()
    with transaction.atomic():
        Delivery.objects.filter(pk=delivery.pk).update(state=State.SENDING)
        claimed.set()
        time.sleep(0.5)  # by now it waits for this transaction
    mover.join()
    delivery.refresh_from_db()
    assert (moved, delivery.state) == ([0], State.SENDING)


# --- what grows stale


def test_a_cart_is_stale_after_a_day(config, product, clock):
    factories.make_cart(product)
    assert not Delivery.objects.all().stale(timezone.now())
    clock.forward(hours=25)
    assert Delivery.objects.all().stale(timezone.now()).count() == 1


def test_a_bank_slip_is_stale_the_day_after_its_date(sell):
    sell(status=SaleStatus.BILLET_PRINTED, billet_due_on=date(2026, 3, 10))
    noon = timezone.make_aware(timezone.datetime(2026, 3, 10, 12))
    assert not Delivery.objects.all().stale(noon)
    assert Delivery.objects.all().stale(noon + timedelta(days=1)).count() == 1


def test_a_bank_slips_day_is_that_of_the_time_zone_that_is_active(sell):
    sell(status=SaleStatus.BILLET_PRINTED, billet_due_on=date(2026, 3, 10))
    at = timezone.datetime(2026, 3, 11, 1, tzinfo=timezone.get_default_timezone())  # 22:00 in São Paulo
    with timezone.override("America/Sao_Paulo"):
        assert not Delivery.objects.all().stale(at)
    assert Delivery.objects.all().stale(at)


def test_a_pix_code_is_stale_when_it_runs_out(sell):
    now = timezone.now()
    sell(status=SaleStatus.BILLET_PRINTED, pix_expires_at=now + timedelta(minutes=30))
    assert not Delivery.objects.all().stale(now)
    assert Delivery.objects.all().stale(now + timedelta(hours=1))


def test_an_approved_never_goes_stale(sell, clock):
    sell(billet_due_on=date(2020, 1, 1))
    clock.forward(days=400)
    assert not Delivery.objects.all().stale(timezone.now())


# --- who sees it


def test_a_stranger_sees_none_of_it(sell):
    delivery = sell()
    assert delivery in Delivery.objects.visible_to(delivery.owner.user)
    assert not Delivery.objects.visible_to(factories.make_seller().user)
    assert not Delivery.objects.visible_to(factories.make_staff())


# --- configurations


def test_a_new_event_for_a_configuration_that_we_disabled_is_held(receiver, config, sell):
    configuration_is(ConfigState.DISABLED)
    delivery = sell()
    assert delivery.state == State.HELD
    assert engine.drain() == 0


def test_removing_discards_what_is_held(config, sell):
    delivery = sell()
    config.switch_off()
    config.remove()
    delivery.refresh_from_db()
    assert delivery.state == State.DISCARDED


def test_switching_off_leaves_what_is_being_sent_to_its_worker(config, sell):
    from uuid import uuid4

    sell()
    leases.claim(uuid4(), 10)
    config.switch_off()
    assert Delivery.objects.get().state == State.SENDING
    assert not Delivery.objects.exclude(tries=F("attempts_made")).exists()
