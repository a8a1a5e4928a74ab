"""A server that fails as a whole costs little and nobody a try; once it works, what waited goes by itself."""

from datetime import timedelta

import pytest

from configurations.models import State as ConfigState
from deliveries import breaker, disabling, engine, leases, tasks
from deliveries.choices import Lane
from deliveries.circuit import Phase
from deliveries.models import Delivery, OwnQueue, State
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db


def drain_after(clock, **span) -> int:
    clock.forward(**span)
    return engine.drain()


def tries_of(config) -> list[int]:
    return list(config.deliveries.order_by("pk").values_list("tries", flat=True))


def states_of(config) -> set[str]:
    return set(config.deliveries.values_list("state", flat=True))


@pytest.fixture
def queue(config):
    """`queue()`: the own queue of the configuration as it stands, None where it has none."""
    return lambda: OwnQueue.objects.filter(pk=config.pk).first()


@pytest.fixture
def broken(receiver, config, sell):
    """A server that failed five posts and stays so."""
    receiver.answers(500)
    for _ in range(5):
        sell()
    assert engine.drain() == 5
    return config


# --- It opens


def test_after_five_failures_its_posts_wait_and_nothing_goes(receiver, broken, queue, sell):
    assert queue().circuit == Phase.OPEN
    late = [sell() for _ in range(3)]
    assert engine.drain() == 0
    assert not leases.anything_to_do()
    assert len(receiver.posts) == 5
    assert states_of(broken) == {State.WAITING}
    for delivery in late:
        delivery.refresh_from_db()
        assert (delivery.tries, delivery.attempts_made) == (0, 0)


def test_nor_does_what_waits_by_its_own_schedule(receiver, broken, clock):
    queue = OwnQueue.objects.filter(pk=broken.pk)
    clock.forward(minutes=10)
    far = queue.get().probe_at + timedelta(minutes=20)
    queue.update(probe_at=far)
    assert engine.drain() == 0


def test_what_was_in_flight_when_it_opened_uses_up_no_try(receiver, config, product, queue):
    receiver.answers(Answer(500, delay=0.05))
    factories.make_sales(product, 40)
    assert 5 <= engine.drain() <= 30  # what was claimed and had not begun goes back
    assert queue().circuit == Phase.OPEN
    assert sorted(tries_of(config), reverse=True) == [1] * 5 + [0] * 35
    assert states_of(config) == {State.WAITING}


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_is_the_fault_of_a_post_opens_nothing(receiver, config, sell, queue, status):
    receiver.answers(status)
    for _ in range(8):
        sell()
    assert engine.drain() == 8
    assert queue() is None


def test_one_sale_that_it_cannot_bear_keeps_the_others_from_nothing(receiver, config, sell, queue, clock):
    receiver.answers(500)
    sell()
    sell()
    for _ in range(4):
        drain_after(clock, hours=20)
    assert queue() is None


def test_while_all_is_well_nothing_is_written_for_it(config, sell, queue):
    for _ in range(8):
        sell()
    engine.drain()
    assert queue() is None


# --- Probes


def test_one_post_after_each_wait_another_each_time_and_no_try_is_used_up(receiver, broken, clock, sell):
    before = tries_of(broken)
    assert drain_after(clock, seconds=7) == 0
    assert drain_after(clock, seconds=6) == 1
    assert engine.drain() == 0
    assert drain_after(clock, seconds=15) == 0
    for _ in range(3):
        assert drain_after(clock, seconds=75) == 1
    assert len(set(receiver.webhook_ids()[5:])) == 4
    assert tries_of(broken) == before


def test_an_approved_is_tried_first(receiver, broken, clock, sell):
    Delivery.objects.update(priority=3)
    slip, approved = sell(status=SaleStatus.BILLET_PRINTED), sell()
    assert slip.priority > approved.priority
    assert drain_after(clock, seconds=13) == 1
    assert receiver.webhook_ids()[-1] == approved.webhook_id


def test_no_two_workers_make_the_same(broken, clock):
    clock.forward(seconds=13)
    assert len(breaker.probes_due()) == 1
    assert breaker.probes_due() == []


def test_the_probe_of_a_dead_worker_is_made_up_for(broken, clock):
    clock.forward(seconds=13)
    breaker.probes_due()
    clock.forward(seconds=30)
    assert len(breaker.probes_due()) == 1


def test_a_probe_that_is_answered_with_the_fault_of_its_post_uses_up_no_try(receiver, broken, clock, queue):
    receiver.answers(422)
    before = tries_of(broken)
    assert drain_after(clock, seconds=13) == 1
    assert tries_of(broken) == before
    assert queue().circuit == Phase.OPEN


def test_of_another_url_a_probe_goes_at_once(receiver, broken, clock, queue):
    broken.url = receiver.url + "/other"
    broken.save()
    receiver.answers(200)
    engine.drain()
    assert receiver.posts[5].path == "/hook/other"
    assert queue().circuit != Phase.OPEN


def test_probes_count_as_tries_of_the_server_and_disable_it_in_the_end(receiver, broken, clock):
    for _ in range(11):
        assert drain_after(clock, hours=12) == 1
    broken.refresh_from_db()
    assert broken.state == ConfigState.DISABLED
    assert states_of(broken) == {State.HELD}
    assert not OwnQueue.objects.shut().exists()


# --- It works again


def test_once_it_works_all_goes_by_itself_and_nothing_has_failed(receiver, broken, clock, sell, queue):
    waiting = [sell() for _ in range(3)]
    receiver.answers(200)
    clock.forward(seconds=13)
    engine.drain()
    for _ in range(20):
        if states_of(broken) == {State.DELIVERED}:
            break
        drain_after(clock, seconds=1)
    assert states_of(broken) == {State.DELIVERED}
    assert len(receiver.posts) == 5 + 5 + len(waiting)
    assert drain_after(clock, seconds=40) == 0
    tasks.sweep()
    engine.drain()
    assert queue() is None


def test_it_is_released_slowly_at_first(receiver, broken, product, clock):
    factories.make_sales(product, 100)
    receiver.answers(200)
    clock.forward(seconds=13)
    assert 1 <= engine.drain(1) <= 20
    assert Delivery.objects.filter(state=State.WAITING).count() > 50


def test_two_failures_in_a_row_open_it_again_and_use_up_no_more_than_their_own_tries(
    receiver, broken, product, clock, queue
):
    factories.make_sales(product, 50)
    receiver.answers(200, 500)
    clock.forward(seconds=13)
    engine.drain()
    assert queue().circuit == Phase.OPEN
    assert engine.drain() == 0
    assert State.FAILED not in states_of(broken)
    assert sum(tries_of(broken)) <= 5 + 1 + 2


def test_a_configuration_that_a_probe_of_the_hour_enabled_is_released_slowly_too(
    receiver, config, sell, clock, queue
):
    for _ in range(3):
        sell()
    assert config.disable("server")
    drain_after(clock, hours=1)
    assert queue().circuit == Phase.RELEASING


# --- What its server asks for


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_it_is_left_alone(receiver, config, sell, clock, queue, status):
    receiver.answers(Answer(status, headers={"Retry-After": "600"}), 200)
    sell()
    assert engine.drain() == 1
    for _ in range(3):
        sell()
    assert queue().paused_by == status
    assert drain_after(clock, seconds=595) == 0
    clock.forward(seconds=6)
    engine.drain()
    for _ in range(10):
        drain_after(clock, seconds=1)
    assert states_of(config) == {State.DELIVERED}


# --- Send now


def test_send_now_is_a_probe_of_that_very_post(receiver, broken, sell, queue):
    sell()
    chosen = sell()
    assert chosen.send_now() is True
    assert chosen.lane == Lane.OWN
    assert engine.drain() == 1
    assert receiver.webhook_ids()[-1] == chosen.webhook_id
    chosen.refresh_from_db()
    assert (chosen.state, chosen.tries, chosen.attempts_made) == (State.WAITING, 0, 1)


def test_so_is_reprocess(receiver, broken, sell):
    chosen = sell()
    Delivery.objects.filter(pk=chosen.pk).update(state=State.FAILED, tries=5)
    assert chosen.reprocess() is True
    assert engine.drain() == 1
    assert receiver.webhook_ids()[-1] == chosen.webhook_id


def test_where_all_is_well_it_is_none(config, sell):
    assert sell().send_now() is False


# --- Off, disabled, removed


def test_who_switches_it_off_and_on_begins_anew(receiver, broken, queue):
    assert broken.switch_off()
    assert queue().circuit == Phase.CLOSED
    assert broken.enable()
    receiver.answers(200)
    Delivery.objects.all().release()
    assert engine.drain() == 5


def test_what_cannot_be_judged_is_recorded_all_the_same(receiver, config, sell, monkeypatch):
    receiver.answers(500)
    delivery = sell()
    monkeypatch.setattr(breaker, "_note", None)
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.WAITING, 1)


def test_the_run_of_failures_is_kept_beside_the_health(receiver, config, sell):
    receiver.answers(500)
    sell()
    sell()
    engine.drain()
    health = config.health
    assert health.run == 2
    assert len(health.run_sales.splitlines()) == 2
    disabling.forget_failures(health)
    assert (health.run, health.run_sales) == (0, "")
