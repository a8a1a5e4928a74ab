"""docs/deployment/nginx.conf, as it is, in front of the pages as their unit starts them, with production's settings."""

import http.client
import json
import re
import socket
import ssl
from urllib.parse import urlencode

import pytest
from auditlog.models import LogEntry
from django.conf import global_settings

from tests import factories
from tests.deliveries.cluster_process import wait_until

from .front import NAME, Nginx, free_port, gunicorn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("front")]

OURS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("front")


@pytest.fixture(scope="module")
def nginx(folder, django_db_setup):
    """Its patience is a second where production's is ten."""
    patience = {
        "client_header_timeout 10s": "client_header_timeout 1s",
        "client_body_timeout   10s": "client_body_timeout 1s",
    }
    with gunicorn(folder) as port, Nginx(folder / "nginx", port, **patience) as running:
        yield running


def has_our_headers(answer, but=()) -> None:
    for name, value in OURS.items():
        if name not in but:
            assert answer.every(name) == [value], name  # once, not once by each of the two
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Server"] == "nginx"  # and no version


def test_plain_http_leads_to_https_under_our_name(nginx):
    client = http.client.HTTPConnection("127.0.0.1", nginx.http, timeout=30)
    client.request("GET", "/tools/webhook/?q=1", headers={"Host": NAME})
    answer = client.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{NAME}/tools/webhook/?q=1")


def test_another_name_gets_no_answer(nginx):
    client = http.client.HTTPConnection("127.0.0.1", nginx.http, timeout=30)
    client.request("GET", "/", headers={"Host": "evil.example"})
    with pytest.raises(http.client.RemoteDisconnected):
        client.getresponse()
    with pytest.raises(ssl.SSLError), nginx.connection(name="evil.example"):
        pass


def test_our_name_in_the_handshake_and_another_in_the_request_gets_none_either(nginx):
    with nginx.connection() as encrypted:
        encrypted.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        assert b" 200 " not in encrypted.recv(4096)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(("version", "is_spoken"), [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)])
def test_tls_is_1_2_or_newer(nginx, version, is_spoken):
    nginx.tls.minimum_version = ssl.TLSVersion.TLSv1
    before = nginx.tls.maximum_version
    nginx.tls.maximum_version = ssl.TLSVersion[version]
    nginx.tls.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        if is_spoken:
            assert nginx.ask("GET", "/accounts/login/").status == 200
        else:
            with pytest.raises(ssl.SSLError):
                nginx.ask("GET", "/accounts/login/")
    finally:
        nginx.tls.maximum_version = before


def test_a_page_has_hsts_and_the_other_headers_once(nginx):
    answer = nginx.ask("GET", "/accounts/login/")
    assert answer.status == 200
    has_our_headers(answer)
    assert "no-store" in answer.headers["Cache-Control"]


class Visitor:
    """Keeps its cookies, as a browser does, and comes from one address."""

    def __init__(self, nginx: Nginx, source: str, **headers: str) -> None:
        self.nginx, self.source, self.headers = nginx, source, headers
        self.cookies: dict[str, str] = {}
        self.seen: list[str] = []  # all Set-Cookie headers

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str):
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        about = self.headers | headers | {"Cookie": cookies}
        answer = self.nginx.ask(method, path, body, source=self.source, **about)
        for cookie in answer.every("Set-Cookie"):
            self.seen.append(cookie)
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def fill_in(self, path: str, **fields: str):
        page = self.ask("GET", path)
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)[1].decode()
        form = urlencode({"csrfmiddlewaretoken": token} | fields).encode()
        about = {"Content_Type": "application/x-www-form-urlencoded", "Referer": f"https://{NAME}{path}"}
        return self.ask("POST", path, form, **about)

    def sign_in(self):
        seller = factories.make_seller()
        seller.user.set_password("correct horse battery")  # by production's hasher
        seller.user.save()
        answer = self.fill_in("/accounts/login/", login=seller.user.email, password="correct horse battery")
        assert answer.status == 302, answer.body[-500:]
        return seller


@pytest.fixture
def production_hashes(settings):
    """The tests' own are of a kind that production does not take."""
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS


@pytest.mark.usefixtures("production_hashes")
def test_one_signs_in_and_the_cookies_are_for_https_and_this_host_alone(nginx):
    visitor = Visitor(nginx, "127.0.0.3")
    visitor.sign_in()
    assert set(visitor.cookies) >= {"__Host-session", "__Host-csrf"}
    for cookie in visitor.seen:
        assert "; Secure" in cookie
        assert "; Path=/" in cookie
        assert "SameSite=Lax" in cookie
        assert "Domain" not in cookie
    sessions = [cookie for cookie in visitor.seen if cookie.startswith("__Host-session")]
    assert sessions
    assert all("HttpOnly" in cookie for cookie in sessions)


@pytest.mark.usefixtures("production_hashes")
def test_the_pages_see_the_client_s_address_and_not_what_it_says_of_itself(nginx):
    visitor = Visitor(
        nginx, "127.0.0.9", X_Forwarded_For="6.6.6.6", Forwarded="for=6.6.6.6", X_Real_IP="6.6.6.6"
    )
    seller = visitor.sign_in()
    answer = visitor.fill_in("/account/", name="Ana Beatriz", language="es", time_zone="Europe/Lisbon")
    assert answer.status == 302, answer.body[-500:]
    entry = LogEntry.objects.get_for_object(seller).order_by("-pk").first()
    assert (entry.actor, entry.remote_addr) == (seller.user, "127.0.0.9")


def test_who_asks_for_too_much_is_slowed_down_alone(nginx):
    seen = [nginx.ask("GET", "/accounts/login/", source="127.0.0.8") for _ in range(40)]
    refused = [answer for answer in seen if answer.status == 429]
    assert refused
    has_our_headers(refused[0])
    assert b"try again in a minute" in refused[0].body
    assert nginx.ask("GET", "/accounts/login/", source="127.0.0.7").status == 200


def test_a_body_above_the_limit_is_refused_before_it_is_read(nginx):
    with nginx.connection() as encrypted:
        head = f"POST /tools/webhook/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100000000\r\n\r\n"
        encrypted.sendall(head.encode())
        response = http.client.HTTPResponse(encrypted)
        response.begin()
        assert response.status == 413
        assert response.headers["Strict-Transport-Security"] == OURS["Strict-Transport-Security"]
    assert nginx.ask("POST", "/accounts/login/", b"x" * 70_000).status == 413  # a form needs less


def test_who_does_not_end_his_headers_is_cut_off(nginx):
    with nginx.connection() as encrypted:
        encrypted.settimeout(30)
        encrypted.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\nX-Slow: ".encode())
        answer = encrypted.recv(4096)  # no answer, or that it took too long; and no waiting for the rest
        assert answer == b"" or b" 408 " in answer


def test_who_sends_half_a_body_is_cut_off(nginx):
    with nginx.connection() as encrypted:
        encrypted.settimeout(60)
        encrypted.sendall(
            f"POST /accounts/login/ HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100\r\n\r\nhalf".encode()
        )
        answer = encrypted.recv(65536)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")


def test_static_files_are_compressed_and_kept_for_long(nginx):
    page = nginx.ask("GET", "/accounts/login/", source="127.0.0.6").body.decode()
    path = re.search(r'href="(/static/[^"]+\.css)"', page)[1]
    answer = nginx.ask("GET", path, Accept_Encoding="gzip")
    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_probes_and_metrics_are_for_the_monitors_alone(nginx):
    for path in ("/healthz", "/readyz", "/metrics"):
        answer = nginx.ask("GET", path, source="127.0.0.5", Authorization="Bearer scrape-me")
        assert answer.status == 403
        has_our_headers(answer)
    assert nginx.ask("GET", "/healthz").status == 200
    assert nginx.ask("GET", "/readyz?without=wake_up").status == 200
    assert b"webhookhub_due_posts" in nginx.ask("GET", "/metrics", Authorization="Bearer scrape-me").body


def test_one_id_finds_a_request_in_both_logs_and_neither_holds_more_than_it_should(nginx, folder):
    path = "/accounts/password/reset/key/1-c0ffee-beefbeef/"
    answer = nginx.ask("GET", f"{path}?email=buyer@example.com", source="127.0.0.4", X_Request_ID="f" * 32)
    request_id = answer.headers["X-Request-ID"]
    assert request_id != "f" * 32  # the client's own
    logs = folder / "nginx" / "access.log", folder / "gunicorn.log"
    # A line is written once the answer has gone out.
    wait_until(lambda: all(request_id in log.read_text() for log in logs), "not both logs name the request")
    front, back = ([json.loads(line) for line in log.read_text().splitlines()] for log in logs)
    [seen] = [line for line in front if line["request_id"] == request_id]
    assert seen["client"] == "127.0.0.4"
    assert [line["route"] for line in back if line.get("request_id") == request_id] == [
        "account_reset_password_from_key"
    ]
    both = json.dumps(front + back)
    assert "c0ffee" not in both
    assert "buyer@" not in both


def test_while_the_pages_are_away_nginx_says_so_with_sane_headers(tmp_path):
    with Nginx(tmp_path / "nginx", free_port()) as alone:
        answer = alone.ask("GET", "/accounts/login/")
        assert answer.status == 502
        has_our_headers(answer)
        assert answer.headers["Cache-Control"] == "no-store"
        assert b"No sale is lost by it" in answer.body
        assert not socket.create_connection(("127.0.0.1", alone.http), timeout=5).close()
