"""Where the time of a post went: which phases are kept, and what is shown of them."""

import socket
import time

import pytest
import trustme
from django.core.cache import cache
from django.urls import reverse

from deliveries import engine
from deliveries.models import DeliveryAttempt, Problem
from deliveries.phases import WORDS
from deliveries.transport import Outcome, Transport
from tests import factories
from tests.outbound import NameServer
from tests.raw_server import Line, RawServer
from tests.receiver import Answer

from .test_transport_tls import HEADERS, HOST, NAMES, echo, shows

SLOW = 0.15  # seconds


@pytest.fixture
def authority(settings, tmp_path) -> trustme.CA:
    authority = trustme.CA()
    settings.DELIVERY_CA_FILE = str(tmp_path / "authority.pem")
    authority.cert_pem.write_to_path(settings.DELIVERY_CA_FILE)
    return authority


def known(outcome: Outcome) -> dict[str, int]:
    """The phases that happened; together they are never more than the post took."""
    found = {name: ms for name in WORDS if (ms := getattr(outcome.phases, name)) is not None}
    assert sum(found.values()) <= outcome.took.total_seconds() * 1000
    return found


def post(url: str, lookup=None) -> Outcome:
    transport = Transport(lookup) if lookup else Transport()
    try:
        return transport.post(1, url, HEADERS, b"{}")
    finally:
        transport.close()


def test_a_slow_first_byte_is_waiting(receiver):
    receiver.answers(Answer(delay=SLOW))
    outcome = post(receiver.url)
    phases = known(outcome)
    assert list(phases) == ["name_ms", "connect_ms", "wait_ms", "answer_ms"]
    assert phases["wait_ms"] >= SLOW * 1000 - 1
    assert phases["answer_ms"] < SLOW * 1000
    assert outcome.took.total_seconds() * 1000 - sum(phases.values()) < 50


def test_a_slow_body_is_the_answer():
    def serve(line: Line) -> None:
        line.request()
        line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
        time.sleep(SLOW)
        line.say(b"k")

    with RawServer(serve) as server:
        phases = known(post(server.url))
    assert phases["answer_ms"] >= SLOW * 1000 - 10
    assert phases["wait_ms"] < SLOW * 1000


def test_tls_has_its_own_phase_and_a_kept_connection_only_waits(authority):
    transport = Transport(NameServer(NAMES))
    with RawServer(echo, shows(authority.issue_cert(HOST))) as server:
        first, second = (
            known(transport.post(1, f"https://{HOST}:{server.port}/", HEADERS, b"{}")) for _ in range(2)
        )
        transport.close()
    assert list(first) == list(WORDS)
    assert list(second) == ["wait_ms", "answer_ms"]


def test_a_bad_certificate_ends_in_tls(authority):
    with RawServer(echo, shows(authority.issue_cert("example.org"))) as server:
        outcome = post(f"https://{HOST}:{server.port}/", NameServer(NAMES))
    assert outcome.problem == Problem.TLS_WRONG_HOST
    assert list(known(outcome)) == ["name_ms", "connect_ms", "tls_ms"]


def test_a_kept_connection_that_closed_counts_only_what_the_new_one_took():
    def serve(line: Line) -> None:
        line.request()
        line.answer()
        if line.number == 1 and line.request():
            time.sleep(SLOW)

    transport = Transport()
    with RawServer(serve) as server:
        transport.post(1, server.url, HEADERS, b"{}")
        again = transport.post(1, server.url, HEADERS, b"{}")
        transport.close()
        assert server.connections == 2
    phases = known(again)
    assert list(phases) == ["name_ms", "connect_ms", "wait_ms", "answer_ms"]
    assert again.took.total_seconds() >= SLOW
    assert sum(phases.values()) < SLOW * 1000


def test_what_is_refused_ends_in_connect():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = post(f"http://127.0.0.1:{port}/")
    assert outcome.problem == Problem.REFUSED
    assert list(known(outcome)) == ["name_ms", "connect_ms"]


def test_a_name_that_is_not_there_ends_in_the_look_up():
    def lookup(host, port):
        time.sleep(SLOW)
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    outcome = post("http://gone.example.net/", lookup)
    assert outcome.problem == Problem.DNS
    phases = known(outcome)
    assert list(phases) == ["name_ms"]
    assert phases["name_ms"] >= SLOW * 1000 - 1


def test_an_address_that_is_not_permitted_is_never_dialled():
    outcome = post("http://inner.example.net/", NameServer({"inner.example.net": "10.0.0.1"}))
    assert outcome.problem == Problem.NOT_PERMITTED
    assert list(known(outcome)) == ["name_ms"]


def test_an_answer_that_does_not_come_is_all_waiting(receiver, settings):
    settings.DELIVERY_DEADLINE = 0.3
    receiver.answers(Answer(delay=2))
    outcome = post(receiver.url)
    assert outcome.problem == Problem.TIMEOUT
    phases = known(outcome)
    assert list(phases) == ["name_ms", "connect_ms", "wait_ms"]
    assert sum(phases.values()) >= 290
    assert phases["wait_ms"] == max(phases.values())


def test_a_post_that_could_not_begin_has_no_phases():
    assert known(post("ftp://example.org/")) == {}


# What is shown of them


def test_an_attempt_keeps_them_and_its_page_shows_them(client, producer, sell, receiver):
    receiver.answers(Answer(delay=SLOW))
    post = sell()
    engine.drain()
    attempt = post.attempts.get()
    assert attempt.wait_ms >= SLOW * 1000 - 1
    assert attempt.connect_ms is not None
    assert attempt.tls_ms is None
    client.force_login(producer.user)
    page = client.get(reverse("deliveries:detail", args=[post.pk])).content.decode()
    assert 'class="p-wait"' in page
    assert f"{attempt.wait_ms} ms" in page
    assert "kept connection" not in page
    client.force_login(factories.make_staff())
    change = reverse("admin:deliveries_deliveryattempt_change", args=[attempt.pk])
    assert f"waiting {attempt.wait_ms} ms" in client.get(change).content.decode()


def test_a_kept_connection_says_so_and_an_older_attempt_shows_nothing(client, producer, sell):
    post = sell()
    engine.drain()
    client.force_login(producer.user)
    detail = reverse("deliveries:detail", args=[post.pk])
    only = dict.fromkeys(WORDS) | {"wait_ms": 140, "answer_ms": 1}
    DeliveryAttempt.objects.filter(delivery=post).update(**only)
    page = client.get(detail).content.decode()
    assert "kept connection" in page
    assert 'class="p-name"' not in page
    DeliveryAttempt.objects.filter(delivery=post).update(**dict.fromkeys(WORDS))
    assert 'class="phases"' not in client.get(detail).content.decode()


def test_staff_see_the_mean_of_each_phase_of_a_host(client, sell, config):
    cache.clear()
    posts = [sell(), sell()]
    engine.drain()
    host = config.host
    facts = dict.fromkeys(WORDS)
    for post, ms in zip(posts, ({"connect_ms": 30, "wait_ms": 100}, {"wait_ms": 200}), strict=True):
        DeliveryAttempt.objects.filter(delivery=post).update(**facts | ms)
    client.force_login(factories.make_staff())
    assert "connect 30 ms · waiting 150 ms" in client.get(f"/admin/hosts/{host}/").content.decode()
