"""The check of a URL agrees with the form and with the transport, and says at which step it ends."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from configurations import addresses
from deliveries.transport import Transport
from deliveries.url_check import Check, Kind, check
from tests.outbound import ALLOWED, AT_CONNECT, AT_FORM, PORTS, ROWS, NameServer, Row
from tests.raw_server import Line, RawServer
from tests.receiver import Answer

from .test_outbound import Connects

HOST = "receiver.example.net"


def kinds(found: Check) -> dict[str, Kind]:
    return {step.name: step.kind for step in found.steps}


def step(found: Check, name: str):
    return next(step for step in found.steps if step.name == name)


# --- The address ------------------------------------------------------------------------------------------


class TestOnTheInternet:
    """The table of URLs, with what the name server says of each."""

    @pytest.fixture(autouse=True)
    def _settings(self, settings, monkeypatch):
        settings.DELIVERY_ALLOWED_NETWORKS = []
        settings.DELIVERY_ALLOWED_PORTS = PORTS
        self.connects = Connects(monkeypatch)

    def looked_up(self, row: Row) -> Check:
        return check(row.url, transport=Transport(NameServer.of(row)))

    @pytest.mark.parametrize("row", ROWS, ids=str)
    def test_the_address_alone_gets_the_verdict_of_the_form(self, row: Row):
        found = check(row.url, connect=False)
        expected = (False, row.reason) if row.verdict == "refuse_at_form" else (True, "")
        assert (found.allowed, found.reason) == expected
        assert found.ok == found.allowed
        assert len(found.steps) == 1
        assert not self.connects

    @pytest.mark.parametrize("row", AT_FORM, ids=str)
    def test_what_the_form_refuses_is_not_looked_up(self, row: Row):
        names = NameServer({})
        found = check(row.url, transport=Transport(names))
        assert (found.allowed, found.reason) == (False, row.reason)
        assert not names.asked
        assert found.steps[0].says

    @pytest.mark.parametrize("row", [row for row in AT_CONNECT if ";" not in row.dns], ids=str)
    def test_a_name_that_leads_inside_is_refused_for_the_reason_of_its_address(self, row: Row):
        found = self.looked_up(row)
        assert (found.allowed, found.reason, found.ok) == (False, row.reason, False)
        assert kinds(found) == {
            "permitted": Kind.OK,
            "found": Kind.FAILED,
            "connected": Kind.NOT_DONE,
            "certificate": Kind.NOT_DONE,
            "answer": Kind.NOT_DONE,
        }
        assert not self.connects

    @pytest.mark.parametrize("row", ALLOWED, ids=str)
    def test_what_is_allowed_is_connected_to(self, row: Row):
        found = self.looked_up(row)
        assert (found.allowed, found.reason) == (True, "")
        assert kinds(found)["found"] == Kind.OK
        assert kinds(found)["connected"] == Kind.FAILED  # here everything refuses
        assert self.connects

    def test_every_address_of_a_name_is_judged(self):
        names = NameServer({"mixed.example.com": "93.184.216.34,10.0.0.1"})
        found = step(check("https://mixed.example.com/", transport=Transport(names)), "found")
        assert found.facts["addresses"] == [
            {"address": "93.184.216.34", "reason": ""},
            {"address": "10.0.0.1", "reason": "private"},
        ]
        assert "10.0.0.1" in found.says
        assert found.advice == "One address that is not permitted refuses them all."

    def test_a_name_that_does_not_exist_is_said_so(self):
        found = check("https://nowhere.example.com/", transport=Transport(NameServer({})))
        assert (found.allowed, found.ok) == (True, False)
        assert "nowhere.example.com does not exist" in step(found, "found").says
        assert step(found, "found").advice

    def test_it_shows_the_url_as_it_would_be_kept(self):
        assert check(" HTTPS://Bücher.example.com:443/a#b", connect=False).url == (
            addresses.check("https://xn--bcher-kva.example.com/a")
        )


# --- The answer -------------------------------------------------------------------------------------------


def test_it_asks_once_by_head_and_posts_nothing(receiver):
    found = check(receiver.url)
    assert found.ok
    [post] = receiver.posts
    assert (post.method, post.body) == ("HEAD", b"")
    assert "content-length" not in post.headers
    assert not {"webhook-id", "webhook-signature", "x-hotmart-hottok"} & set(post.headers)
    assert kinds(found) == {
        "permitted": Kind.OK,
        "found": Kind.OK,
        "connected": Kind.OK,
        "certificate": Kind.LOOK,  # http
        "answer": Kind.OK,
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.OK),
        (204, Kind.OK),
        (405, Kind.OK),
        (501, Kind.OK),
        (404, Kind.LOOK),
        (401, Kind.LOOK),
        (410, Kind.FAILED),
        (308, Kind.FAILED),
        (302, Kind.FAILED),
        (500, Kind.FAILED),
        (503, Kind.FAILED),
    ],
)
def test_what_a_status_means_for_a_post(receiver, status, kind):
    receiver.answers(Answer(status, headers={"Location": "https://example.com/new"}))
    found = step(check(receiver.url), "answer")
    assert (found.kind, found.facts["status"]) == (kind, status)
    assert str(status) in found.says
    assert bool(found.advice) == (kind != Kind.OK)


def test_a_redirect_says_where_to(receiver):
    receiver.answers(Answer(301, headers={"Location": "https://example.com/new"}))
    assert "https://example.com/new" in step(check(receiver.url), "answer").says


def test_no_answer_fails_at_the_last_step_with_how_long_it_took(settings, receiver):
    settings.DELIVERY_DEADLINE = 0.5
    receiver.answers(Answer(200, delay=5))
    found = check(receiver.url)
    assert kinds(found)["connected"] == Kind.OK
    answer = step(found, "answer")
    assert answer.kind == Kind.FAILED
    assert 400 <= answer.ms <= 2000
    assert step(found, "connected").ms < 400


def test_nothing_listens_there(receiver):
    with RawServer(lambda line: None) as server:
        pass
    found = check(f"http://127.0.0.1:{server.port}/")
    assert kinds(found)["connected"] == Kind.FAILED
    assert step(found, "connected").says == f"Nothing listens on 127.0.0.1:{server.port}."
    assert kinds(found)["answer"] == Kind.NOT_DONE


# --- The certificate --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def looked_at(authority, settings, tmp_path):
    """`looked_at(certificate)`: the check of a server at HOST that shows it."""
    settings.DELIVERY_CA_FILE = str(tmp_path / "authority.pem")
    authority.cert_pem.write_to_path(settings.DELIVERY_CA_FILE)

    def look(certificate: trustme.LeafCert) -> Check:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)

        def serve(line: Line) -> None:
            if line.request():
                line.say("HTTP/1.1 200 X\r\nContent-Length: 12\r\n\r\n")

        with RawServer(serve, context) as server:
            transport = Transport(NameServer({HOST: "127.0.0.1"}))
            return check(f"https://{HOST}:{server.port}/hook", transport=transport)

    return look


def test_a_good_certificate_is_named_with_its_hosts_its_end_and_its_issuer(authority, looked_at):
    ends = datetime(2030, 5, 1, tzinfo=UTC)
    found = looked_at(authority.issue_cert(HOST, "www.example.net", not_after=ends))
    assert found.ok
    certificate = step(found, "certificate")
    assert certificate.kind == Kind.OK
    assert certificate.facts["names"] == f"{HOST}, www.example.net"
    assert certificate.facts["until"] == ends
    assert "trustme" in certificate.facts["issuer"]
    assert "May 1, 2030" in certificate.says


def test_a_certificate_that_ends_soon_is_pointed_out(authority, looked_at):
    soon = datetime.now(UTC) + timedelta(days=3)
    found = looked_at(authority.issue_cert(HOST, not_after=soon))
    assert step(found, "certificate").kind == Kind.LOOK
    assert found.ok


def test_a_certificate_that_has_ended_fails_at_its_step(authority, looked_at):
    past = datetime(2024, 5, 1, tzinfo=UTC)
    found = looked_at(authority.issue_cert(HOST, not_before=datetime(2023, 5, 1, tzinfo=UTC), not_after=past))
    certificate = step(found, "certificate")
    assert (certificate.kind, certificate.facts["problem"]) == (Kind.FAILED, "tls_expired")
    assert "2024-05-01" in certificate.says
    assert kinds(found)["answer"] == Kind.NOT_DONE
    assert kinds(found)["connected"] == Kind.OK


def test_a_certificate_of_another_host_names_its_hosts(authority, looked_at):
    certificate = step(looked_at(authority.issue_cert("example.org")), "certificate")
    assert certificate.facts["problem"] == "tls_wrong_host"
    assert "example.org" in certificate.says


def test_an_authority_that_nobody_knows_fails(looked_at):
    assert step(looked_at(trustme.CA().issue_cert(HOST)), "certificate").facts["problem"] == "tls_untrusted"
