"""TLS: what is trusted, and how a failure is named."""

import socket
import ssl
from datetime import UTC, datetime

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured

from deliveries.models import Problem
from deliveries.transport import Outcome, Transport
from tests.outbound import NameServer
from tests.raw_server import Line, RawServer, Serve

HEADERS = {"User-Agent": "webhookhub/test"}
HOST = "receiver.example.net"
NAMES = {HOST: "127.0.0.1"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority, settings, tmp_path):
    settings.DELIVERY_CA_FILE = str(tmp_path / "authority.pem")
    authority.cert_pem.write_to_path(settings.DELIVERY_CA_FILE)


def shows(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def echo(line: Line) -> None:
    while request := line.request():
        line.answer(body=request[1]["host"])


def post(tls: ssl.SSLContext | None, serve: Serve = echo) -> tuple[Outcome, int]:
    """The outcome of a post to HOST, and the port that it went to."""
    with RawServer(serve, tls) as server:
        transport = Transport(NameServer(NAMES))
        try:
            return transport.post(1, f"https://{HOST}:{server.port}/hook", HEADERS, b"{}"), server.port
        finally:
            transport.close()


def test_three_posts_take_one_look_up_and_one_connection_and_ask_for_the_name(authority):
    asked_for = []
    context = shows(authority.issue_cert(HOST))
    context.sni_callback = lambda _sock, name, _context: asked_for.append(name)
    names = NameServer(NAMES)
    transport = Transport(names)
    with RawServer(echo, context) as server:
        url = f"https://{HOST}:{server.port}/hook"
        outcomes = [transport.post(1, url, HEADERS, b"{}") for _ in range(3)]
        assert [outcome.status for outcome in outcomes] == [200] * 3
        assert {outcome.body.decode() for outcome in outcomes} == {f"{HOST}:{server.port}"}
        assert server.connections == 1
    assert names.asked.total() == 1
    assert asked_for == [HOST]
    transport.close()


def test_a_certificate_that_ended_is_named_with_its_last_day(authority):
    ended = authority.issue_cert(
        HOST, not_before=datetime(2023, 5, 1, tzinfo=UTC), not_after=datetime(2024, 5, 1, tzinfo=UTC)
    )
    outcome, _ = post(shows(ended))
    assert (outcome.status, outcome.problem, outcome.detail) == (None, Problem.TLS_EXPIRED, "2024-05-01")


def test_a_certificate_for_another_host_is_named_with_its_names(authority):
    outcome, _ = post(shows(authority.issue_cert("example.org", "www.example.org")))
    assert outcome.problem == Problem.TLS_WRONG_HOST
    assert outcome.detail == "example.org, www.example.org"


def test_an_address_that_the_certificate_does_not_name_is_a_wrong_host_too(authority):
    with RawServer(echo, shows(authority.issue_cert("example.org"))) as server:
        outcome = Transport().post(1, server.url, HEADERS, b"{}")
    assert (outcome.problem, outcome.detail) == (Problem.TLS_WRONG_HOST, "example.org")


def test_an_address_that_the_certificate_names_is_taken(authority):
    with RawServer(echo, shows(authority.issue_cert("127.0.0.1"))) as server:
        assert Transport().post(1, server.url, HEADERS, b"{}").status == 200


def test_an_authority_that_nobody_knows_is_not_trusted():
    outcome, _ = post(shows(trustme.CA().issue_cert(HOST)))
    assert outcome.problem == Problem.TLS_UNTRUSTED
    assert "certificate" in outcome.detail


def test_the_usual_authorities_are_trusted_beside_our_own(settings):
    transport = Transport()
    with_ours = transport.pools._tls.cert_store_stats()["x509_ca"]
    settings.DELIVERY_CA_FILE = ""
    usual = Transport().pools._tls.cert_store_stats()["x509_ca"]
    assert with_ours == usual + 1 > 50


def test_nothing_of_the_post_is_shown_to_a_server_that_is_not_trusted():
    heard = []

    def listen(line: Line) -> None:
        heard.append(line.sock.recv(1))

    post(shows(trustme.CA().issue_cert(HOST)), listen)
    assert heard in ([], [b""])


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated")
def test_a_server_that_speaks_tls_1_1_only_is_refused(authority):
    context = shows(authority.issue_cert(HOST))
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    outcome, _ = post(context)
    assert (outcome.problem, outcome.detail) == (Problem.TLS, "no TLS 1.2 or newer")


def test_plain_http_behind_https_is_named():
    outcome, _ = post(None, lambda line: line.say("HTTP/1.1 400 Bad Request\r\n\r\n"))
    assert (outcome.problem, outcome.detail) == (Problem.TLS, "what answers there does not speak TLS")


def test_hanging_up_in_the_handshake_is_named():
    def hang_up(line: Line) -> None:
        line.sock.recv(1)

    outcome, _ = post(None, hang_up)
    assert outcome.problem in (Problem.TLS, Problem.RESET)
    assert outcome.detail


def test_a_handshake_that_drips_ends_at_the_deadline(settings):
    settings.DELIVERY_DEADLINE = 0.5
    outcome, _ = post(None, lambda line: line.drip(b"\x16\x03\x03\x40\x00\x02" + bytes(1000)))
    assert outcome.problem == Problem.TLS
    assert 0.5 <= outcome.took.total_seconds() < 5


def test_an_answer_that_drips_through_tls_ends_at_the_deadline(authority, settings):
    settings.DELIVERY_DEADLINE = 0.5

    def serve(line: Line) -> None:
        line.request()
        line.drip("HTTP/1.1 200 OK" + "x" * 1000)

    outcome, _ = post(shows(authority.issue_cert(HOST)), serve)
    assert outcome.problem == Problem.TIMEOUT
    assert 0.5 <= outcome.took.total_seconds() < 5


def test_an_authority_file_that_cannot_be_read_is_said_so(settings, tmp_path):
    settings.DELIVERY_CA_FILE = str(tmp_path / "missing.pem")
    with pytest.raises(ImproperlyConfigured, match=r"missing\.pem"):
        Transport()


def test_nothing_is_taken_from_the_environment_for_https_either(authority, monkeypatch, tmp_path):
    """A proxy, a .netrc in the home folder, another file of authorities, a file for the keys of the session."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NETRC", raising=False)
        (tmp_path / ".netrc").write_text(
            f"machine {HOST} login me password secret\ndefault login me password s\n"
        )
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            monkeypatch.setenv(name, str(tmp_path / "missing.pem"))
        heard = []

        def serve(line: Line) -> None:
            path, headers, _body = line.request()
            heard.append((path, headers))
            line.answer()

        outcome, _ = post(shows(authority.issue_cert(HOST)), serve)
        assert outcome.status == 200
        ((path, headers),) = heard
        assert path == "/hook"
        assert not headers.keys() & {"authorization", "proxy-authorization", "cookie"}
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_a_redirect_to_plain_http_or_inside_is_not_followed(authority):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.setblocking(False)
        there = f"http://127.0.0.1:{trap.getsockname()[1]}/latest/meta-data/"

        def serve(line: Line) -> None:
            line.request()
            line.answer(307, headers=f"Location: {there}\r\nRefresh: 0;url={there}\r\n")

        outcome, _ = post(shows(authority.issue_cert(HOST)), serve)
        assert outcome.status == 307
        with pytest.raises(BlockingIOError):
            trap.accept()
