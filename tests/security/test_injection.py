"""What a request says of where to go, who we are, what a file is called and what to look for is not believed."""

import re
from urllib.parse import quote, urlsplit

import pytest
from django.db import transaction
from django.urls import reverse

from configurations.models import WebhookConfig
from deliveries.models import Delivery, State
from sales.models import Seller
from tests import factories
from tests.security.every_address import EVERY, Rows

pytestmark = pytest.mark.django_db

ELSEWHERE = [
    "https://evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "https:evil.example",
    "http:///evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    " //evil.example/",
    "/%09/evil.example/",
    "\t//evil.example/",
    "/\n/evil.example/",
    "https://evil.example\r\nSet-Cookie: a=b",
    "//evil.example\\@testserver/",
]


@pytest.fixture
def rows() -> Rows:
    return Rows.make()


def leads_here(answer) -> bool:
    location = answer.headers.get("Location", answer.headers.get("HX-Redirect", "/"))
    parts = urlsplit(location)
    return (parts.scheme, parts.netloc) in (("", ""), ("http", "testserver")) and not re.match(
        r"[/\\]{2}", location
    )


# --- Open redirects ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ELSEWHERE)
def test_no_next_leads_elsewhere(client, rows, there):
    login = {"login": rows.producer.email, "password": factories.PASSWORD, "next": there}
    assert leads_here(client.post(f"{reverse('account_login')}?next={quote(there)}", login))
    assert leads_here(client.get(f"{reverse('account_login')}?next={quote(there)}"))  # who is in already
    doors = {
        "set_language": {"language": "es"},
        "deliveries:reprocess": {},
        "legacy_posts:send": {"config": rows.config.pk, "version": "2.0.0"},
        "configurations:disable": {},
        "deliveries:enable": {},
        "account_reauthenticate": {"password": factories.PASSWORD},
        "account_logout": {},
    }
    Delivery.objects.update(state=State.FAILED)
    for name, form in doors.items():
        path = rows.path(next(address for address in EVERY if address.name == name))
        with transaction.atomic():
            answer = client.post(
                f"{path}?next={quote(there)}", form | {"next": there}, headers={"Referer": there}
            )
            assert leads_here(answer), name
            transaction.set_rollback(True)


def test_a_page_of_ours_is_gone_to(client, rows):
    """Else the test above could not fail."""
    there = reverse("deliveries:history")
    login = {"login": rows.producer.email, "password": factories.PASSWORD, "next": there}
    assert client.post(reverse("account_login"), login).url == there
    answer = client.post(reverse("set_language"), {"language": "es", "next": there})
    assert answer.url == there


@pytest.mark.parametrize("there", ["https://evil.example/x", "javascript:alert(1)"])
def test_the_page_that_refuses_a_change_leads_back_into_the_site(client, rows, there):
    staff = factories.make_staff()
    client.force_login(staff)
    client.post(reverse("view_as", args=[rows.producer.pk]))
    answer = client.post(reverse("configurations:disable", args=[rows.config.pk]), headers={"Referer": there})
    assert answer.status_code == 403
    assert there not in answer.content.decode()


# --- Who we are: the Host header, and those that proxies set ----------------------------------------------

CLAIMS = {
    "X-Forwarded-Host": "evil.example",
    "X-Host": "evil.example",
    "X-Forwarded-Server": "evil.example",
    "Forwarded": "host=evil.example;proto=https",
    "X-Forwarded-Proto": "https",
    "X-Original-URL": "/admin/",
    "X-Rewrite-URL": "/admin/",
    "X-HTTP-Method-Override": "DELETE",
    "X-Forwarded-Prefix": "/evil.example",
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Port": "1",
}


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "testserver:80@evil.example",
        "testserver.evil.example",
        "evil.example:443",
        "a b",
        "[::1",
    ],
)
def test_another_host_is_answered_by_400(client, host):
    for path in (reverse("account_login"), reverse("home"), "/admin/", "/nothing/", "/static/nothing.css"):
        assert client.get(path, headers={"Host": host}).status_code in (400, 404)
        assert "evil" not in client.get(path, headers={"Host": host}).headers.get("Location", "")
    assert client.get(reverse("account_login"), headers={"Host": host}).status_code == 400


def test_what_a_visitor_claims_changes_no_page(client):
    """So that no cache can be made to hold a page for all that one of them chose."""

    def page(**headers: str) -> tuple[int, str, str]:
        answer = client.get(reverse("account_login"), headers=headers)
        text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", answer.content.decode())
        same = {
            name: said for name, said in answer.headers.items() if name not in ("X-Request-ID", "Expires")
        }
        return answer.status_code, re.sub(r"nonce-[\w=+/-]+", "", str(sorted(same.items()))), text

    plain = page()
    for name, value in CLAIMS.items():
        assert page(**{name: value}) == plain, name


def test_no_cache_holds_a_page_of_somebody(client, rows):
    client.force_login(rows.producer.user)
    for name in ("configurations:list", "deliveries:history", "account", "docs_tab:index", "home"):
        answer = client.get(reverse(name))
        assert "no-store" in answer.headers["Cache-Control"], name
        assert "private" in answer.headers["Cache-Control"], name
        assert "Cookie" in answer.headers.get("Vary", ""), name


# --- Files: their names, and where they lie ---------------------------------------------------------------

NAME = re.compile(r'attachment; filename="[A-Za-z0-9][A-Za-z0-9._-]*"')


def test_a_download_has_a_plain_name(client, rows):
    seen = 0
    Seller.objects.filter(pk=rows.producer.pk).update(name='../../a"; filename="b.exe\r\nX: y')
    rows.config.name = '"\r\nSet-Cookie: a=b/../../etc'
    rows.config.save()
    client.force_login(rows.producer.user)
    for address in EVERY:
        answer = client.get(rows.path(address)) if not address.is_admins else None
        if answer is not None and (disposition := answer.headers.get("Content-Disposition")):
            seen += 1
            assert NAME.fullmatch(disposition), (address, disposition)
        if address.name == "account_logout":
            client.force_login(rows.producer.user)
    assert seen >= 5


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../../webhookhub/settings.py",
            "..%2f..%2fwebhookhub%2fsettings.py",
            "....//settings.py",
            "%2e%2e/.env",
        ),
        *("/etc/passwd", "receiver.py%00.txt", "..\\..\\.env", "receiver.py/../../verify.py", "__init__.py"),
    ],
)
def test_no_file_but_ours_is_read(client, rows, path):
    client.force_login(rows.producer.user)
    for base in ("/tools/webhook/documentation/receivers/", "/static/", "/static/vendor/", "/"):
        assert client.get(base + path).status_code in (404, 400), base


# --- Parameters that are sent twice, or that no form has --------------------------------------------------


def test_what_a_form_has_not_is_not_taken(client, rows):
    """Mass assignment: an owner cannot write what the form does not show."""
    other = factories.make_seller()
    secret = rows.config.secret
    client.force_login(rows.producer.user)
    form = {
        "name": "New", "url": "https://example.com/new", "events": ["PURCHASE_APPROVED"], "scope": "all",
        "version": "2.0.0", "owner": other.pk, "owner_id": other.pk, "secret": "mine", "state": "removed", "pk": 1,
        "id": 999, "disabled_because": "gone", "created_at": "2000-01-01", "is_staff": "on", "host": "evil.example",
    }  # fmt: skip
    assert client.post(reverse("configurations:edit", args=[rows.config.pk]), form).status_code == 302
    config = WebhookConfig.objects.get()
    assert (config.pk, config.owner, config.name) == (rows.config.pk, rows.producer, "New")
    assert (config.secret, config.state, config.host) == (secret, "on", "example.com")
    client.post(
        reverse("account"),
        {
            "language": "es",
            "time_zone": "UTC",
            "email": "a@evil.example",
            "code": "X",
            "is_staff": "on",
            "user": 1,
        },
    )
    seller = Seller.objects.get(pk=rows.producer.pk)
    assert (seller.email, seller.code, seller.user_id) == (
        rows.producer.email,
        rows.producer.code,
        rows.producer.user_id,
    )
    assert not seller.user.is_staff


def test_of_a_parameter_that_is_sent_twice_one_counts_everywhere(client, rows):
    """What is counted is what is done: the page and the sending cannot be told different things."""
    other = Rows.make()
    client.force_login(rows.producer.user)
    Delivery.objects.update(state=State.FAILED)
    for twice in (
        f"config={rows.config.pk}&config={other.config.pk}",
        f"config={other.config.pk}&config={rows.config.pk}",
    ):
        client.post(f"{reverse('deliveries:reprocess_all')}?{twice}&status=failed", {"at": "now"})
    assert other.delivery.__class__.objects.get(pk=other.delivery.pk).state == State.FAILED
    product = factories.make_product(other.producer)
    form = {"url": "https://example.com/", "events": ["PURCHASE_APPROVED"], "scope": ["all", "only"],
            "product": [product.pk], "version": "2.0.0"}  # fmt: skip
    assert client.post(reverse("configurations:add"), form).status_code == 422, "another's product is none"


# --- Searches ---------------------------------------------------------------------------------------------

WILD = [
    "%",
    "_",
    "%%",
    "HP%",
    "_________",
    "' OR '1'='1",
    "') OR 1=1 --",
    "\\",
    "*",
    "?",
    "[a-z]",
    "'; DROP TABLE x; --",
]


@pytest.mark.parametrize("text", WILD)
def test_a_search_takes_what_is_typed_as_it_is(client, rows, text):
    client.force_login(rows.producer.user)
    for name in ("deliveries:history", "legacy_posts:sent", "legacy_posts:pending", "legacy_posts:all"):
        page = client.get(reverse(name), {"q": text}).content.decode()
        assert rows.sale.code not in page, name
        assert rows.sent.transaction_code not in page, name
        assert rows.pending.transaction_code not in page, name
    assert client.get(reverse("deliveries:find_sale"), {"code": text}).status_code in (200, 302, 404)
    client.force_login(factories.make_staff())
    for model in ("deliveries_delivery", "sales_transaction", "sales_seller", "configurations_webhookconfig"):
        answer = client.get(reverse(f"admin:{model}_changelist"), {"q": text})
        assert answer.status_code == 200
        assert answer.context["cl"].queryset.count() == 0, model
    assert rows.sale.code not in client.get(reverse("staff:search"), {"q": text}).content.decode()
    assert client.get(reverse("staff:hosts"), {"q": text}).status_code == 200


def test_a_search_finds_what_is_there(client, rows):
    """Else the test above could not fail."""
    client.force_login(rows.producer.user)
    assert rows.sale.code in client.get(reverse("deliveries:history"), {"q": rows.sale.code}).content.decode()
    client.force_login(factories.make_staff())
    answer = client.get(reverse("admin:sales_transaction_changelist"), {"q": rows.sale.code})
    assert answer.context["cl"].queryset.count() == 1
