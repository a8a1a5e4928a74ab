"""A configuration is disabled when its URL or server is at fault, never by an evening's outage, and comes back."""

import socket
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from configurations.models import Reason, WebhookConfig
from configurations.models import State as ConfigState
from deliveries import disabling, engine, names
from deliveries.models import Delivery, EndpointHealth, Problem, State
from deliveries.results import Result
from deliveries.transport import Outcome, Transport
from tests import factories

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 24, 20, tzinfo=UTC)
SERVED = "served"  # in place of a problem: a 2xx


def seen(*tries: tuple[str, str | int]) -> EndpointHealth:
    """The health after tries at these times ("20 s", "5 min", "3 h", "2 d" after the start), each with its outcome."""
    units = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
    health = EndpointHealth()
    for after, outcome in tries:
        number, unit = after.split()
        at = START + timedelta(**{units[unit]: float(number)})
        if outcome == SERVED:
            disabling.note_success(health, at)
        elif isinstance(outcome, int):
            disabling.note_failure(health, at, outcome, "", "")
        else:
            disabling.note_failure(health, at, None, outcome, "")
    return health


def a_result(delivery: Delivery, outcome: str | int, detail: str = "") -> Result:
    """As the engine gives it after a failure, now."""
    status, problem = (outcome, "") if isinstance(outcome, int) else (None, outcome)
    now = timezone.now()
    came = Outcome(now, status, problem, detail)
    return Result(delivery, delivery.config.url, [], came, at=now)


@pytest.fixture
def judged():
    """`judged(delivery, outcome)`: what `disabling` makes of a failed post."""

    def judged(delivery: Delivery, outcome: str | int, detail: str = "") -> None:
        disabling.after_attempts([a_result(delivery, outcome, detail)])

    return judged


@pytest.fixture
def resolver(config, receiver, monkeypatch):
    """The name server of the configuration's host: it leads to the receiver until it `says(error)`."""

    class Resolver:
        error = 0

        def says(self, error: int) -> None:
            self.error = error
            transport.names.forget()
            transport.close()  # an open connection asks no name server

        def look_up(self, host: str, port: int) -> names.Found:
            if self.error:
                raise socket.gaierror(self.error, "as told")
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    config.url = f"http://shop.example:{receiver.port}/hook"
    config.save()
    resolver = Resolver()
    transport = Transport(resolver.look_up)
    monkeypatch.setattr(engine, "transport", lambda: transport)
    yield resolver
    transport.close()


def times(count: int, until: str, outcome: str | int, since: str = "0 h") -> list[tuple[str, str | int]]:
    """`count` tries, evenly from one time to the other; both in the same unit."""
    (first, unit), last = since.split(), float(until.split()[0])
    step = (last - float(first)) / (count - 1)
    return [(f"{float(first) + n * step} {unit}", outcome) for n in range(count)]


# --- the rules


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        # The URL never worked.
        ([("0 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("49 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("50 s", Problem.DNS)], Reason.NO_SUCH_HOST),
        ([("0 s", Problem.NOT_PERMITTED), ("50 s", Problem.NOT_PERMITTED)], Reason.NOT_PERMITTED),
        ([("0 s", Problem.TLS_WRONG_HOST), ("50 s", Problem.TLS_WRONG_HOST)], Reason.WRONG_CERTIFICATE),
        # Two kinds of the URL's fault are one run, named after what it ended with.
        ([("0 s", Problem.DNS), ("60 s", Problem.NOT_PERMITTED)], Reason.NOT_PERMITTED),
        # Any other outcome in between ends the run.
        ([("0 s", Problem.DNS), ("30 s", Problem.DNS_SILENT), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", 500), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", Problem.REFUSED), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", 410), ("60 s", Problem.DNS)], None),
        # What passes by itself is no fault of the URL.
        ([("0 s", Problem.DNS_SILENT), ("60 s", Problem.DNS_SILENT)], None),
        ([("0 s", Problem.TLS_EXPIRED), ("60 s", Problem.TLS_EXPIRED)], None),
        ([("0 s", Problem.TLS_UNTRUSTED), ("60 s", Problem.TLS_UNTRUSTED)], None),
        ([("0 s", 404), ("60 s", 404)], None),
        # It worked once.
        ([("0 h", SERVED), *times(5, "24.9 h", Problem.DNS, "1 h")], None),
        ([("0 h", SERVED), *times(5, "25 h", Problem.DNS, "1 h")], Reason.NO_SUCH_HOST),
        ([("0 h", SERVED), ("1 h", Problem.DNS), ("20 h", 503), ("26 h", Problem.DNS)], None),
        ([("0 h", SERVED), ("1 h", Problem.DNS), ("20 h", SERVED), ("26 h", Problem.DNS)], None),
        # Gone.
        ([("0 s", 410)], None),
        ([("0 s", 410), ("0 s", 410), ("59 s", 410)], None),
        ([("0 s", 410), ("60 s", 410)], Reason.GONE),
        ([("0 s", SERVED), ("1 s", 410), ("61 s", 410)], Reason.GONE),
        ([("0 s", 410), ("30 s", SERVED), ("60 s", 410)], None),
        ([("0 s", 410), ("30 s", 404), ("60 s", 410)], None),
        # The server.
        (times(200, "4.9 d", 500, "0 d"), None),
        (times(9, "6 d", 500, "0 d"), None),
        (times(10, "5 d", 500, "0 d"), Reason.SERVER),
        (times(10, "5 d", Problem.TIMEOUT, "0 d"), Reason.SERVER),
        (times(10, "5 d", 302, "0 d"), Reason.SERVER),
        ([*times(5, "1 d", 500, "0 d"), ("2 d", SERVED), *times(10, "6.9 d", 500, "2 d")], None),
        # Faults of the URL are also tries at a server that accepts nothing.
        ([*times(5, "2 d", Problem.DNS, "0 d"), ("3 d", 500), *times(5, "5 d", 404, "4 d")], Reason.SERVER),
        # An evening's outage after quiet weeks: what counts is how long it fails, not when it last worked.
        ([("0 d", SERVED), *times(50, "30.5 d", Problem.REFUSED, "30 d")], None),
        # And what ended with a success condemns nobody.
        ([("0 s", 410), ("60 s", 410), ("61 s", SERVED)], None),
        ([], None),
    ],
)
def test_the_rules(tries, expected):
    assert disabling.verdict(seen(*tries)) == expected


# --- with the engine


def drain_after(clock, **span):
    clock.forward(**span)
    return engine.drain()


def test_the_second_410_disables_a_minute_later_and_holds_what_waits(receiver, config, sell, clock):
    receiver.answers(410)
    first, other = sell(), sell()
    engine.drain()
    config.refresh_from_db()
    assert config.state == ConfigState.ON  # two at once are one

    drain_after(clock, seconds=20)
    config.refresh_from_db()
    assert config.state == ConfigState.ON

    drain_after(clock, minutes=6)
    config.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.DISABLED, Reason.GONE)
    assert set(Delivery.objects.filter(pk__in=[first.pk, other.pk]).values_list("state", flat=True)) == {
        State.HELD
    }
    assert sell().state == State.HELD


def test_a_410_between_successes_disables_nothing(receiver, config, sell, clock):
    receiver.answers(410, 200)
    sell()
    engine.drain()
    drain_after(clock, minutes=1)
    receiver.answers(410)
    sell()
    engine.drain()
    config.refresh_from_db()
    assert config.state == ConfigState.ON


def test_an_evenings_outage_disables_nothing(receiver, config, sell, clock):
    sell()
    engine.drain()
    receiver.answers(503)
    for _ in range(4):
        for _ in range(5):
            sell()
        drain_after(clock, hours=1)
    receiver.answers(200)
    drain_after(clock, hours=14)
    config.refresh_from_db()
    assert config.state == ConfigState.ON
    assert config.health.failures == 0


def test_five_days_without_a_success_disable_it_after_ten_tries(receiver, config, sell, clock):
    receiver.answers(500)
    for _ in range(2):
        sell()
        for hours in (0, 1, 1, 2, 14):
            drain_after(clock, hours=hours)
    clock.forward(days=5)
    config.refresh_from_db()
    assert (config.state, config.health.failures) == (ConfigState.ON, 10)  # silence condemns nobody

    waiting = sell()
    engine.drain()
    config.refresh_from_db()
    waiting.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.DISABLED, Reason.SERVER)
    assert config.disabled_detail == "500"
    assert waiting.state == State.HELD


def test_a_host_that_never_existed_disables_it_on_two_tries_50_seconds_apart(config, resolver, sell, clock):
    resolver.says(socket.EAI_NONAME)
    delivery = sell()
    engine.drain()
    drain_after(clock, seconds=20)
    config.refresh_from_db()
    assert (config.state, config.health.failures) == (ConfigState.ON, 2)

    drain_after(clock, minutes=6)
    config.refresh_from_db()
    delivery.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.DISABLED, Reason.NO_SUCH_HOST)
    assert config.disabled_detail == "shop.example"
    assert delivery.state == State.HELD


def test_a_host_that_vanished_disables_it_after_a_day(config, resolver, sell, clock):
    sell()
    engine.drain()
    assert config.deliveries.get().state == State.DELIVERED

    resolver.says(socket.EAI_NONAME)
    sell()
    for hours in (0, 1, 1, 2, 14):
        drain_after(clock, hours=hours)
    sell()
    drain_after(clock, hours=5)
    config.refresh_from_db()
    assert config.state == ConfigState.ON
    drain_after(clock, hours=2)
    config.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.DISABLED, Reason.NO_SUCH_HOST)


def test_a_name_server_that_fails_is_no_fault_of_the_url(config, resolver, sell, clock):
    resolver.says(socket.EAI_AGAIN)
    sell()
    for hours in (0, 1, 1, 2, 14):
        drain_after(clock, hours=hours)
    config.refresh_from_db()
    assert (config.state, config.health.failures, config.health.fault) == (ConfigState.ON, 5, "")


def test_an_address_that_is_not_permitted_disables_it(receiver, config, sell, clock, settings):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    sell()
    engine.drain()
    drain_after(clock, minutes=1)
    config.refresh_from_db()
    assert (config.state, config.disabled_because) == (ConfigState.DISABLED, Reason.NOT_PERMITTED)
    assert receiver.posts == []


def test_our_own_problems_count_for_nothing(config, sell, judged):
    judged(sell(), Problem.OURS)
    assert not EndpointHealth.objects.filter(config=config).exists()


def test_a_new_url_starts_anew(config, sell, clock, judged):
    delivery = sell()
    judged(delivery, Problem.DNS)
    clock.forward(minutes=5)
    WebhookConfig.objects.filter(pk=config.pk).update(url="https://other.example/hook")
    judged(delivery, Problem.DNS)  # it went to the old one
    config.refresh_from_db()
    assert config.state == ConfigState.ON

    delivery.config.refresh_from_db()
    judged(delivery, Problem.DNS)
    config.refresh_from_db()
    assert config.state == ConfigState.ON
    assert (config.health.url, config.health.failures) == ("https://other.example/hook", 1)


def test_whoever_enables_it_gets_a_fresh_start(receiver, config, sell, clock):
    receiver.answers(410)
    sell()
    engine.drain()
    drain_after(clock, minutes=6)
    config.refresh_from_db()
    assert config.enable()
    sell()
    engine.drain()
    config.refresh_from_db()
    assert config.state == ConfigState.ON


def test_the_questions_of_a_batch_do_not_grow_with_it(producer, product, django_assert_num_queries):
    def batch(size):
        configs = [factories.make_config(producer) for _ in range(size)]
        sale = factories.make_sale(product)
        return [
            a_result(Delivery.objects.select_related("config").get(config=config, event__sale=sale), 500)
            for config in configs
        ]

    for size in (2, 30):
        results = batch(size)
        disabling.after_attempts(results)
        with django_assert_num_queries(4):  # savepoint, select, upsert, release
            disabling.after_attempts(results)
    assert set(EndpointHealth.objects.values_list("failures", flat=True)) >= {2}
