"""While a configuration is disabled by us, one held post an hour is tried, and whatever is accepted enables it."""

import pytest

from configurations.models import Reason
from configurations.models import State as ConfigState
from deliveries import disabling, engine, retries
from deliveries.models import State
from sales.statuses import SaleStatus
from tests import factories

from .test_disabling import a_result, drain_after

pytestmark = pytest.mark.django_db


@pytest.fixture
def disabled(receiver, config, sell, clock):
    """Disabled for its server, with an approved and two others held, the oldest a bank slip."""
    slip = sell(status=SaleStatus.BILLET_PRINTED)
    approved, refunded = sell(), sell(status=SaleStatus.REFUNDED)
    assert config.disable(Reason.SERVER)
    for delivery in (slip, approved, refunded):
        delivery.refresh_from_db()
        assert delivery.state == State.HELD
    return config, approved


def test_one_held_post_an_hour_is_tried_approved_first(receiver, disabled, clock):
    config, approved = disabled
    receiver.answers(503)
    assert drain_after(clock, minutes=59) == 0
    assert disabling.a_probe_is_due() is False
    clock.forward(minutes=1)
    assert disabling.a_probe_is_due() is True
    assert engine.drain() == 1
    approved.refresh_from_db()
    assert (approved.state, approved.tries, approved.attempts_made) == (State.HELD, 0, 1)
    assert drain_after(clock, minutes=59) == 0
    assert drain_after(clock, minutes=1) == 1
    config.refresh_from_db()
    assert config.state == ConfigState.DISABLED


def test_no_two_workers_probe_at_once(disabled, clock):
    clock.forward(hours=1)
    assert len(disabling.probes_due()) == 1
    assert disabling.probes_due() == []


def test_the_least_tried_of_the_approved_is_the_next_probe(receiver, disabled, sell, clock):
    _config, _approved = disabled
    other = sell()
    receiver.answers(503)
    drain_after(clock, hours=1)
    clock.forward(hours=1)
    assert disabling.probes_due() == [other.pk]


def test_a_probe_that_is_accepted_enables_it_and_sends_what_is_held(receiver, disabled, clock):
    config, _approved = disabled
    assert drain_after(clock, hours=1) == 3
    config.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.ON, "")
    assert set(config.deliveries.values_list("state", flat=True)) == {State.DELIVERED}
    assert config.health.next_probe_at is None


def test_what_helps_nobody_any_more_stays_held_when_a_probe_enables_it(receiver, disabled, product, clock):
    config, _approved = disabled
    factories.make_cart(product)
    cart = config.deliveries.get(event__cart__isnull=False)
    clock.forward(hours=25)
    engine.drain()
    config.refresh_from_db()
    cart.refresh_from_db()
    assert config.state == ConfigState.ON
    assert cart.state == State.HELD


def test_a_cart_that_has_gone_stale_is_no_probe(config, product, clock):
    assert config.disable(Reason.SERVER)
    factories.make_cart(product)
    clock.forward(hours=25)
    assert disabling.probes_due() == []


def test_a_post_that_is_held_later_is_tried_at_once(config, sell, clock):
    assert config.disable(Reason.SERVER)
    clock.forward(days=1)
    assert not disabling.a_probe_is_due()
    sell()
    assert engine.drain() == 1
    config.refresh_from_db()
    assert config.state == ConfigState.ON


def test_after_a_410_nothing_is_probed(config, sell, clock):
    sell()
    assert config.disable(Reason.GONE)
    assert drain_after(clock, days=1) == 0


def test_after_a_410_a_success_of_a_post_in_flight_enables_nothing(config, sell):
    delivery = sell()
    assert config.disable(Reason.GONE)
    result = a_result(delivery, 200)
    result.next = retries.Next(delivered=True)
    disabling.after_attempts([result])
    config.refresh_from_db()
    assert config.state == ConfigState.DISABLED


def test_what_its_owner_switched_off_is_not_probed(config, sell, clock):
    sell()
    assert config.disable(Reason.SERVER)
    assert config.switch_off()
    assert drain_after(clock, days=1) == 0
    config.health.refresh_from_db()
    assert config.health.next_probe_at is None


def test_a_probe_that_finds_the_address_gone_for_good_is_the_last(receiver, disabled, clock):
    receiver.answers(410)
    assert drain_after(clock, hours=1) == 1
    assert drain_after(clock, hours=1) == 1
    assert drain_after(clock, days=1) == 0


def test_a_probe_time_from_before_the_clock_was_set_back_is_due(disabled, clock):
    clock.forward(hours=-3)
    assert len(disabling.probes_due()) == 1


def test_what_its_owner_switched_off_while_a_probe_was_on_its_way_stays_off(config, sell, clock, monkeypatch):
    assert config.disable(Reason.SERVER)
    sell()
    locked = disabling._locked

    def owner_is_quicker(configs):
        rows = locked(configs)
        config.switch_off()
        return rows

    monkeypatch.setattr(disabling, "_locked", owner_is_quicker)
    assert drain_after(clock, hours=1) == 1
    config.refresh_from_db()
    assert config.state == ConfigState.OFF
