"""Where hosts of all sorts are out of reach at once the fault is ours: we stop, and nobody else pays for it."""

import socket
from datetime import timedelta

import pytest
from django.core import mail

from configurations.models import State as ConfigState
from deliveries import disabling, engine, leases, outage
from deliveries.models import Delivery, DeliveryAttempt, EndpointHealth, Outage, OwnQueue, State
from deliveries.transport import Transport
from deliveries.vitals import outage_since
from tests import factories

pytestmark = pytest.mark.django_db


class Network:
    """All hosts lead to the receiver, but those that are `away`: no name server answers for them."""

    def __init__(self, port: int) -> None:
        self.port, self.away = port, set()
        self.transport = Transport(self.look_up)

    def look_up(self, host, port):
        if host in self.away:
            raise socket.gaierror(socket.EAI_AGAIN, "as told")
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", self.port))]

    def loses(self, *hosts: str) -> None:
        self.away |= set(hosts)
        self._forget()

    def is_back(self, *hosts: str) -> None:
        self.away -= set(hosts)
        self._forget()

    def _forget(self) -> None:
        self.transport.names.forget()
        self.transport.close()


HOSTS = [f"shop{n}.example" for n in range(8)]


@pytest.fixture(autouse=True)
def _nothing_was_seen(monkeypatch):
    monkeypatch.setattr(outage, "lately", outage._Lately())
    monkeypatch.setattr(outage, "ASK_AGAIN", 0)


@pytest.fixture
def network(receiver, monkeypatch):
    network = Network(receiver.port)
    monkeypatch.setattr(engine, "transport", lambda: network.transport)
    yield network
    network.transport.close()


@pytest.fixture
def shops(producer, network):
    """{host: its configuration}, each of a server of its own."""
    return {
        host: factories.make_config(producer, url=f"http://{host}:{network.port}/hook", name=host)
        for host in HOSTS
    }


@pytest.fixture
def lost(shops, network, product, receiver):
    """All took a post, and now none is in reach; a sale was made since."""
    factories.make_sale(product)
    assert engine.drain() == len(HOSTS)
    network.loses(*HOSTS)
    factories.make_sale(product)
    engine.drain()
    return network


def tries() -> set[int]:
    return set(Delivery.objects.exclude(state=State.DELIVERED).values_list("tries", flat=True))


# --- the rule


@pytest.mark.parametrize(
    ("took", "failing", "ours"),
    [
        (HOSTS, HOSTS, True),
        (HOSTS, HOSTS[:5], True),
        (HOSTS, HOSTS[:4], False),  # half, and fewer than five
        (HOSTS[:4], HOSTS[:4], False),
        ([*HOSTS, "a", "b"], HOSTS[:5], False),  # half of ten
        ([*HOSTS, "a"], HOSTS[:5], True),
        (HOSTS[:4], HOSTS, False),  # who took none lately says nothing
        ([], [], False),
    ],
)
def test_it_is_ours_where_five_hosts_and_over_half_of_those_that_took_a_post_fail(took, failing, ours):
    assert outage.is_ours(took, failing) is ours


# --- it begins


def test_where_all_are_out_of_reach_nothing_is_claimed_and_no_try_used_up(lost, product):
    assert outage.is_on()
    assert outage_since() is not None
    assert tries() == {0}
    factories.make_sale(product)
    assert engine.drain() == 0
    assert not leases.anything_to_do()
    assert set(EndpointHealth.objects.values_list("failures", flat=True)) == {0}
    assert not OwnQueue.objects.exists()


def test_what_failed_just_before_gets_its_try_back_also_where_it_was_the_last(shops, network, product):
    factories.make_sale(product)
    engine.drain()
    network.loses(*HOSTS[:4])
    factories.make_sale(product)
    engine.drain()
    assert not outage.is_on()
    failing = Delivery.objects.filter(state=State.WAITING)
    assert set(failing.values_list("tries", flat=True)) == {1}
    last = failing.first()
    Delivery.objects.filter(pk=last.pk).update(tries=5, state=State.FAILED)
    network.loses(*HOSTS)
    factories.make_sale(product)
    engine.drain()
    assert outage.is_on()
    last.refresh_from_db()
    assert (last.state, last.tries) == (State.WAITING, 4)
    assert set(
        Delivery.objects.filter(state=State.WAITING).exclude(pk=last.pk).values_list("tries", flat=True)
    ) == {0}


def test_servers_that_answer_with_errors_are_in_reach(shops, network, product, receiver):
    factories.make_sale(product)
    engine.drain()
    receiver.answers(503)
    factories.make_sale(product)
    engine.drain()
    assert not outage.is_on()


def test_one_server_that_many_configurations_post_to_is_one(producer, network, product):
    for n in range(8):
        factories.make_config(producer, url=f"http://shop.example:{network.port}/{n}")
    factories.make_sale(product)
    engine.drain()
    network.loses("shop.example")
    factories.make_sale(product)
    engine.drain()
    assert not outage.is_on()


def test_who_took_nothing_for_an_hour_says_nothing(shops, network, product, clock):
    factories.make_sale(product)
    engine.drain()
    clock.forward(minutes=61)
    network.loses(*HOSTS)
    factories.make_sale(product)
    engine.drain()
    assert not outage.is_on()


def test_two_workers_begin_it_once(lost, monkeypatch):
    since = Outage.objects.get().since
    monkeypatch.setattr(outage, "_hosts", lambda *_: (set(HOSTS), set(HOSTS)))
    assert outage._begin([], since + timedelta(seconds=1)).since == since


# --- while it lasts


def test_a_few_posts_are_tried_every_five_seconds(lost, receiver, clock):
    made = DeliveryAttempt.objects.count()
    clock.forward(seconds=5)
    assert leases.anything_to_do()
    assert 1 <= engine.drain() <= outage.PROBES
    assert engine.drain() == 0
    assert DeliveryAttempt.objects.count() <= made + outage.PROBES
    assert outage.is_on()
    assert tries() == {0}


def test_nobody_is_disabled_or_gets_a_mail_however_long_it_lasts(lost, shops, clock):
    mail.outbox.clear()
    for _ in range(8):
        clock.forward(days=1)
        engine.drain()
        disabling.look()
    assert {config.state for config in shops.values()} == {ConfigState.ON}
    for config in shops.values():
        config.refresh_from_db()
        assert config.state == ConfigState.ON
    assert mail.outbox == []


def test_staff_hear_of_it_once(lost):
    staff = factories.make_staff()
    disabling.look()
    disabling.look()
    [message] = mail.outbox
    assert message.to == [staff.email]
    assert "shop0.example" in message.body


def test_who_may_not_see_posts_hears_nothing(lost, django_user_model):
    factories.make_staff()
    django_user_model.objects.create_user("clerk", "clerk@example.com", is_staff=True)
    disabling.look()
    assert len(mail.outbox) == 1


def test_where_the_mail_server_is_away_too_it_is_tried_again(lost, monkeypatch):
    factories.make_staff()
    with monkeypatch.context() as patch:
        patch.setattr("deliveries.alarm.send", lambda on: (_ for _ in ()).throw(OSError("as told")))
        disabling.look()
    assert mail.outbox == []
    disabling.look()
    assert len(mail.outbox) == 1


# --- it ends


def test_the_first_answer_ends_it_and_all_goes_by_itself(lost, product, clock):
    factories.make_sale(product)
    lost.is_back(*HOSTS)
    clock.forward(seconds=5)
    engine.drain()
    assert not outage.is_on()
    engine.drain()
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}


def test_an_error_of_a_server_is_an_answer_too(lost, receiver, clock):
    lost.is_back(*HOSTS)
    receiver.answers(500)
    clock.forward(seconds=5)
    engine.drain()
    assert not outage.is_on()


def test_where_other_hosts_answer_it_was_not_ours(lost, producer, product, clock, shops):
    factories.make_config(producer, url=f"http://other.example:{lost.port}/hook")
    factories.make_sale(product)
    clock.forward(seconds=5)
    engine.drain()
    assert not outage.is_on()
    engine.drain()  # they fail again, now by themselves
    assert not outage.is_on()
    assert 1 in tries()


def test_where_nothing_waits_for_them_any_more_it_is_over(lost, clock):
    Delivery.objects.filter(state=State.WAITING).discard()
    clock.forward(seconds=5)
    engine.drain()
    assert not outage.is_on()


def test_the_owners_hear_nothing_of_it_for_a_while_after(lost, clock):
    lost.is_back(*HOSTS)
    clock.forward(minutes=20)
    engine.drain()
    assert not outage.is_on()
    assert outage.is_recent()
    clock.forward(minutes=11)
    assert not outage.is_recent()
