"""What every answer says of itself: each address of the site for each role, and what is answered without a page."""

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.security import production
from tests.security.every_address import EVERY, Rows

pytestmark = pytest.mark.django_db

POLICY = {
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
    "font-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
}  # fmt: skip
SAID = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
}
ROLES = {
    "anonymous": lambda rows: None,
    "producer": lambda rows: rows.producer.user,
    "affiliate": lambda rows: rows.affiliate.user,
    "another producer": lambda rows: factories.make_seller().user,
    "support": lambda rows: factories.make_staff("support"),
    "operations": lambda rows: factories.make_staff("operations"),
    "staff": lambda rows: factories.make_staff(),
}


@pytest.fixture(autouse=True)
def _in_production(settings, monkeypatch):
    production.put_on(settings, monkeypatch)
    cache.clear()


def missing(answer, *, kept: bool = False) -> list[str]:
    """What an answer does not say and should; `kept`: it may be stored, as a static file may."""
    said = answer.headers
    wrong = [f"{name}: {said.get(name)}" for name, value in SAID.items() if said.get(name) != value]
    policy = {part.strip() for part in said.get("Content-Security-Policy", "").split(";")}
    wrong += [f"policy: {policy ^ POLICY}"] if policy != POLICY else []
    if "camera=()" not in said.get("Permissions-Policy", ""):
        wrong.append("Permissions-Policy")
    if not kept and not {"no-store", "private"} <= set(said.get("Cache-Control", "").split(", ")):
        wrong.append(f"Cache-Control: {said.get('Cache-Control')}")
    for name, cookie in answer.cookies.items():
        if not (
            cookie["secure"] and cookie["httponly"] and cookie["samesite"] == "Lax" and cookie["path"] == "/"
        ):
            wrong.append(f"cookie {cookie.OutputString()}")
        if name.startswith("__Host-") == bool(cookie["domain"]):
            wrong.append(f"cookie of a domain: {name}")
    return wrong


@pytest.mark.parametrize("role", ROLES)
def test_every_address_for_every_role(role):
    rows = Rows.make()
    user, wrong = ROLES[role](rows), {}
    client = Client(raise_request_exception=False)
    if user:
        client.force_login(user)
    for address in EVERY:
        answer = client.get(rows.path(address), secure=True)
        if problems := missing(answer):
            wrong[address.name, answer.status_code] = problems
    assert wrong == {}


@pytest.mark.parametrize("path", ["", "tools/webhook/history/", "static/webhookhub.css", "nowhere"])
def test_plain_http_is_led_to_tls_with_all_headers(path):
    answer = Client().get(f"/{path}")
    assert (answer.status_code, answer.url) == (301, f"https://testserver/{path}")
    # HSTS is said over TLS only: browsers do not believe it otherwise.
    assert [problem for problem in missing(answer) if not problem.startswith("Strict-Transport")] == []


def test_a_static_file_has_them_too_and_may_be_kept():
    answer = Client().get("/static/webhookhub.css", secure=True)
    assert answer.status_code == 200
    assert missing(answer, kept=True) == []
    assert "max-age" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(
    "path", ["/static/nothing.css", "/nowhere/", "/admin/nowhere/", "/static/../settings.py"]
)
def test_what_is_not_there(path):
    assert missing(Client().get(path, secure=True)) == []


def test_a_host_that_is_not_ours():
    answer = Client(headers={"host": "evil.example"}).get("/accounts/login/", secure=True)
    assert answer.status_code == 400
    assert missing(answer) == []


def test_a_form_without_its_token():
    answer = Client(enforce_csrf_checks=True).post(reverse("account_login"), secure=True)
    assert answer.status_code == 403
    assert missing(answer) == []


def test_a_failure_of_our_own(monkeypatch, producer):
    client = Client(raise_request_exception=False)
    client.force_login(producer.user)
    monkeypatch.setattr("sales.views.AccountForm", None)
    answer = client.get(reverse("account"), secure=True)
    assert answer.status_code == 500
    assert missing(answer) == []


def test_a_request_that_is_too_large(settings, producer):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    client = Client(raise_request_exception=False)
    client.force_login(producer.user)
    answer = client.post(reverse("account"), {"name": "x" * 200}, secure=True)
    assert answer.status_code == 400
    assert missing(answer) == []


def test_a_download_and_a_part_of_a_page(producer):
    client = Client()
    client.force_login(producer.user)
    export = client.get(reverse("deliveries:export"), secure=True)
    assert "attachment" in export.headers["Content-Disposition"]
    assert missing(export) == []
    assert missing(client.get(reverse("deliveries:live"), headers={"HX-Request": "true"}, secure=True)) == []
    ended = Client().get(reverse("deliveries:live"), headers={"HX-Request": "true"}, secure=True)
    assert ended.status_code == 204
    assert missing(ended) == []


def test_cookies_are_of_this_host_alone_and_no_script_reads_them(producer):
    client = Client()
    client.get(reverse("account_login"), secure=True)
    answer = client.post(
        reverse("account_login"), {"login": producer.email, "password": factories.PASSWORD}, secure=True
    )
    assert missing(answer) == []
    language = client.post("/language/", {"language": "es", "next": "/"}, secure=True)
    assert missing(language) == []
    assert set(client.cookies) - {"messages"} == {"__Host-csrf", "__Host-session", "__Host-language"}
    assert django_settings.SESSION_COOKIE_AGE == 14 * 24 * 3600


def test_on_plain_http_for_a_try_nothing_asks_for_tls(settings, monkeypatch):
    tried = production.read(monkeypatch, DEBUG="True")
    assert not any(
        tried[name] for name in ("SECURE_SSL_REDIRECT", "SECURE_HSTS_SECONDS", "SESSION_COOKIE_SECURE")
    )
    assert tried["SESSION_COOKIE_NAME"] == "session"
