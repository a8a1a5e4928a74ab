"""A host that staff hold: nothing is posted there, no try is spent, and its release sends what waited."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.utils import timezone

from configurations.models import Reason
from deliveries import engine, hosts, leases, mails, testing, wake
from deliveries.models import Delivery, HeldHost, State
from tests import factories
from tests.receiver import Receiver

pytestmark = pytest.mark.django_db
HELD = "127.0.0.1"


@pytest.fixture
def operator(db):
    return factories.make_staff()


@pytest.fixture
def elsewhere(producer, receiver):
    """Another configuration, to the same server by another name, which is another host."""
    return factories.make_config(producer, url=receiver.url.replace("127.0.0.1", "localhost"))


def paths_posted(receiver: Receiver) -> list[str]:
    return [post.headers["host"].partition(":")[0] for post in receiver.posts]


def state_of(delivery: Delivery) -> tuple[str, int, int]:
    delivery.refresh_from_db()
    return delivery.state, delivery.tries, delivery.attempts_made


def test_a_held_host_gets_nothing_and_other_hosts_do(receiver, sell, elsewhere, operator):
    hosts.hold(HELD, "Its owner asked us to wait.", operator)
    delivery = sell()
    assert engine.drain() == 1
    assert paths_posted(receiver) == ["localhost"]
    assert state_of(delivery) == (State.WAITING, 0, 0)


def test_released_it_gets_what_waited_at_once_with_tries_intact(receiver, sell, operator):
    receiver.answers(503, 200)
    delivery = sell()
    engine.drain()
    assert state_of(delivery) == (State.WAITING, 1, 1)  # the next try is ahead
    hosts.hold(HELD, "Down.", operator)
    Delivery.objects.update(next_try_at=None)
    assert engine.drain() == 0
    assert state_of(delivery) == (State.WAITING, 1, 1)
    Delivery.objects.update(next_try_at=timezone.now() + timedelta(hours=1))
    assert hosts.release(HELD) == 1
    assert engine.drain() == 1
    assert state_of(delivery) == (State.DELIVERED, 2, 2)


def test_what_waits_elsewhere_keeps_its_time_when_a_host_is_released(sell, elsewhere, operator):
    sell()
    later = timezone.now() + timedelta(hours=1)
    Delivery.objects.update(next_try_at=later)
    hosts.hold(HELD, "Down.", operator)
    hosts.release(HELD)
    assert Delivery.objects.get(config=elsewhere).next_try_at == later


def test_the_clock_does_not_wake_the_worker_for_a_held_host(sell, operator, elsewhere):
    hosts.hold(HELD, "Down.", operator)
    sell()
    engine.drain()
    assert Delivery.objects.due().exists()
    assert leases.anything_to_do() is False
    hosts.release(HELD)
    assert leases.anything_to_do() is True


def test_its_release_wakes_the_worker(sell, operator, monkeypatch, django_capture_on_commit_callbacks):
    woken = []
    monkeypatch.setattr(wake, "wake", lambda: woken.append(1))
    sell()
    hosts.hold(HELD, "Down.", operator)
    with django_capture_on_commit_callbacks(execute=True):
        hosts.release(HELD)
    assert woken == [1]


def test_no_probe_goes_to_a_held_host(receiver, config, sell, clock, operator):
    sell()
    config.disable(Reason.SERVER)
    clock.forward(hours=2)
    hosts.hold(HELD, "Down.", operator)
    assert leases.anything_to_do() is False
    assert engine.drain() == 0
    hosts.release(HELD)
    assert leases.anything_to_do() is True
    assert engine.drain() == 1


def test_no_probe_that_was_chosen_before_goes_to_a_host_held_since(config, sell, operator):
    delivery = sell()
    config.disable(Reason.SERVER)
    hosts.hold(HELD, "Down.", operator)
    assert leases.claim_probes(delivery.event_id, [delivery.pk]) == []


def test_no_test_goes_to_a_held_host(receiver, config, operator, clean_queue):
    post = testing.start(config, testing.events_for(config)[0])
    hosts.hold(HELD, "Its hosting moves.", operator)
    testing.send(post.pk)
    with pytest.raises(testing.NotPossible, match=r"We pause posts to .*: Its hosting moves"):
        testing.start(config, testing.events_for(config)[0])
    assert receiver.posts == []


def test_a_configuration_switched_off_meanwhile_keeps_its_posts_held(receiver, config, sell, operator):
    delivery = sell()
    hosts.hold(HELD, "Down.", operator)
    config.switch_off()
    hosts.release(HELD)
    assert engine.drain() == 0
    assert state_of(delivery) == (State.HELD, 0, 0)


def test_a_stray_of_a_held_host_is_settled_and_keeps_nobody_awake(config, sell, operator, elsewhere):
    delivery = sell()
    hosts.hold(HELD, "Down.", operator)
    config.switch_off()
    Delivery.objects.filter(pk=delivery.pk).update(state=State.WAITING)
    engine.drain()
    assert state_of(delivery) == (State.HELD, 0, 0)
    assert leases.anything_to_do() is False


def test_what_is_claimed_at_that_moment_ends_as_it_began(receiver, sell, operator):
    delivery = sell()
    [claimed] = leases.claim(delivery.event_id, 10)
    hosts.hold(HELD, "Down.", operator)
    assert leases.renew(delivery.event_id) == 1
    assert claimed.pk == delivery.pk


def test_a_host_is_its_whole_name(receiver, sell, operator):
    for host in ("0.0.1", "127.0.0.10", "example.com"):
        hosts.hold(host, "Another.", operator)
    sell()
    assert engine.drain() == 1


def test_nothing_is_joined_where_no_host_is_held(sell, django_assert_num_queries):
    delivery = sell()
    Delivery.objects.update(state=State.DISCARDED)
    # Savepoint, the holds, the claim, release; PostgreSQL is told how to read besides.
    with django_assert_num_queries(2 + 2 + (connection.vendor == "postgresql")) as asked:
        leases.claim(delivery.event_id, 10)
    claim = next(q["sql"] for q in asked.captured_queries if "deliveries_delivery" in q["sql"])
    assert "host" not in claim


def test_the_owner_is_not_told_that_buyers_wait_for_a_server_that_we_hold(
    receiver, sell, clock, operator, mailoutbox
):
    receiver.answers(500)
    sell()
    engine.drain()
    clock.forward(minutes=20)
    hosts.hold(HELD, "Down.", operator)
    assert mails.send_owed() == 0
    hosts.release(HELD)
    assert mails.send_owed() == 1


def test_of_two_who_hold_or_release_the_second_hears_of_the_first(operator):
    hosts.hold(HELD, "Down.", operator)
    with pytest.raises(hosts.NotPossible):
        hosts.hold(HELD, "Again.", operator)
    hosts.release(HELD)
    with pytest.raises(hosts.NotPossible):
        hosts.release(HELD)
    assert not HeldHost.objects.exists()
    noted = LogEntry.objects.filter(content_type__model="heldhost").order_by("pk")
    assert [entry.additional_data["fact"] for entry in noted] == ["host_held", "host_released"]
