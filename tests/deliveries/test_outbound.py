"""Where posts may lead: the wall is in the transport, whatever the form let through."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from configurations.addresses import _RANGES
from deliveries.models import Problem
from deliveries.transport import Outcome, Transport
from tests.outbound import ALLOWED, AT_CONNECT, AT_FORM, PORTS, NameServer, Row, addresses_of

HEADERS = {"User-Agent": "webhookhub/test"}


class Connects(list):
    """The addresses that sockets were connected to; nothing leaves the machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def connect(sock: socket.socket, address: tuple) -> None:
            self.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def connects(monkeypatch) -> Connects:
    return Connects(monkeypatch)


@pytest.fixture(autouse=True)
def on_the_internet(settings):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    settings.DELIVERY_ALLOWED_PORTS = PORTS


def post(names: NameServer, url: str) -> Outcome:
    transport = Transport(names)
    try:
        return transport.post(1, url, HEADERS, b"{}")
    finally:
        transport.close()


@pytest.mark.parametrize("row", AT_FORM, ids=str)
def test_a_url_that_was_written_past_the_form_is_refused_before_any_look_up(row: Row, connects):
    names = NameServer({})
    outcome = post(names, row.url)
    assert outcome.problem == Problem.NOT_PERMITTED
    assert outcome.detail
    assert outcome.status is None
    assert not names.asked
    assert not connects


@pytest.mark.parametrize("row", [row for row in AT_CONNECT if ";" not in row.dns], ids=str)
def test_one_bad_address_refuses_the_whole_answer(row: Row, connects):
    outcome = post(NameServer.of(row), row.url)
    assert outcome.problem == Problem.NOT_PERMITTED
    assert not connects
    found = outcome.detail.partition(" ")[0]
    assert any(found in ip for ip in addresses_of(row.dns))


@pytest.mark.parametrize("row", ALLOWED, ids=str)
def test_the_socket_goes_to_exactly_the_addresses_that_were_judged(row: Row, connects):
    outcome = post(NameServer.of(row), row.url)
    expected = addresses_of(row.dns) if row.dns else [row.url.partition("://")[2].strip("/[]")]
    assert [address[0] for address in connects] == expected
    assert {address[1] for address in connects} <= set(PORTS)
    assert outcome.problem == Problem.REFUSED


def test_a_name_that_turns_to_an_inner_address_is_refused_at_the_next_connection(connects):
    row = next(row for row in AT_CONNECT if ";" in row.dns)
    names = NameServer.of(row)
    transport = Transport(names)
    assert transport.post(1, row.url, HEADERS, b"{}").problem == Problem.REFUSED
    transport.names.forget()
    outcome = transport.post(1, row.url, HEADERS, b"{}")
    assert outcome.problem == Problem.NOT_PERMITTED
    assert outcome.detail == "127.0.0.1 (127.0.0.0/8)"
    assert [address[0] for address in connects] == ["93.184.216.34"]
    assert names.asked.total() == 2


def test_a_kept_answer_is_judged_again_at_every_connection(settings, connects):
    settings.DELIVERY_ALLOWED_NETWORKS = [ip_network("10.0.0.0/8")]
    transport = Transport(NameServer({"inside.example.com": "10.1.2.3"}))
    assert transport.post(1, "http://inside.example.com/", HEADERS, b"{}").problem == Problem.REFUSED
    settings.DELIVERY_ALLOWED_NETWORKS = []
    assert transport.post(1, "http://inside.example.com/", HEADERS, b"{}").problem == Problem.NOT_PERMITTED
    assert len(connects) == 1


def test_the_same_address_many_times_is_tried_once(connects):
    post(NameServer({"many.example.com": "93.184.216.34*40"}), "https://many.example.com/")
    assert connects == [("93.184.216.34", 443)]


def test_an_ipv6_answer_keeps_its_port_flow_and_scope(connects):
    post(NameServer({"six.example.com": "2606:4700:4700::1111"}), "https://six.example.com:8443/")
    assert connects == [("2606:4700:4700::1111", 8443, 0, 0)]


SPELT_AS = [
    "{n}",
    "{n:#x}",
    "0{n:o}",
    "{a}.{low}",
    "{a:#x}.{b}.0{c:o}.{d}",
    "{a}.{b}.{c}.{d}",
    "[::ffff:{a}.{b}.{c}.{d}]",
]


@given(st.integers(0, 2**32 - 1), st.sampled_from(SPELT_AS))
def test_no_spelling_of_a_number_ends_in_a_connect_to_a_refused_network(number, spelling):
    a, b, c, d = number.to_bytes(4, "big")
    host = spelling.format(n=number, a=a, b=b, c=c, d=d, low=number & 0xFFFFFF)
    with pytest.MonkeyPatch.context() as monkeypatch:
        connects = Connects(monkeypatch)
        with override_settings(DELIVERY_ALLOWED_NETWORKS=[], DELIVERY_ALLOWED_PORTS=PORTS):
            post(socket.getaddrinfo, f"http://{host}/")  # even libc, which takes all of them
    for address in connects:
        assert not any(ip_address(address[0]) in network for network, *_ in _RANGES)
