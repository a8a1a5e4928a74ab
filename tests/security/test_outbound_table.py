"""The table of URLs that customers type: the form, the connection and `check_url` give the same verdict on each row.

Where namespaces can be had the posts are real ones, to real sockets, in a network where every address of the internet
is this machine and traps listen. On loopback the traps listen everywhere.
"""

import html
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from configurations import addresses
from configurations.models import WebhookConfig
from deliveries import engine
from deliveries.models import Delivery, DeliveryAttempt, Problem
from deliveries.transport import Transport
from tests import factories
from tests.outbound import ALLOWED, AT_CONNECT, AT_FORM, PORTS, ROWS, Row, addresses_of

HERE = Path(__file__).parent
SHARED = HERE.parents[2] / "shared" / "attacks" / "outbound.tsv"
HEADERS = {"User-Agent": "webhookhub/test"}


@pytest.fixture
def on_the_internet(settings):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    settings.DELIVERY_ALLOWED_PORTS = PORTS


def test_the_table_is_whole():
    assert (len(AT_FORM), len(AT_CONNECT), len(ALLOWED)) == (89, 13, 16)
    assert len({row.url for row in ROWS}) == len(ROWS)


@pytest.mark.skipif(not SHARED.exists(), reason="this copy has nothing beside it to compare with")
def test_the_copy_of_the_table_is_the_table():
    assert (HERE.parent / "data" / "outbound.tsv").read_bytes() == SHARED.read_bytes()


# --- With real sockets, where every address is this machine ----------------------------------------------


def in_a_namespace(*command: str) -> list[str]:
    user = () if os.geteuid() == 0 else ("--map-root-user",)
    return ["unshare", "--net", *user, *command]


def _can_have_one() -> bool:
    if not (sys.platform == "linux" and shutil.which("unshare") and shutil.which("ip")):
        return False
    tried = in_a_namespace("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo")
    link = in_a_namespace("ip", "link", "set", "lo", "up")
    return (
        subprocess.run(link, capture_output=True).returncode == 0
        and "Operation not permitted" not in subprocess.run(tried, capture_output=True, text=True).stderr
    )


@pytest.fixture(scope="module")
def came() -> dict[str, dict]:
    """{url: what came of it}"""
    if not _can_have_one():
        pytest.skip("no network namespace can be made here (unshare, ip)")
    ran = subprocess.run(
        in_a_namespace(sys.executable, "-m", "tests.security.every_address_is_here"),
        cwd=HERE.parents[1],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert ran.returncode == 0, ran.stderr
    return {result["url"]: result for result in json.loads(ran.stdout)}


@pytest.mark.parametrize("row", AT_FORM, ids=str)
def test_what_the_form_refuses_connects_to_nothing_and_the_command_says_why(came, row: Row):
    result = came[row.url]
    assert result["post"]["problem"] == result["by libc"]["problem"] == Problem.NOT_PERMITTED
    assert result["caught"] == result["caught by check"] == []
    assert result["check"] == {"code": 2, "allowed": False, "reason": row.reason}


@pytest.mark.parametrize("row", AT_CONNECT, ids=str)
def test_what_turns_out_to_be_inside_connects_to_nothing(came, row: Row):
    result = came[row.url]
    first, _, later = row.dns.partition(";")
    # A name that rebinds was outside at first: that connection went to the very address that was judged.
    assert result["caught"] == ([[first, 443]] if later else [])
    if not later:
        assert result["post"]["problem"] == Problem.NOT_PERMITTED
    assert result["caught by check"] == []
    assert result["check"] == {"code": 2, "allowed": False, "reason": row.reason}


@pytest.mark.parametrize("row", ALLOWED, ids=str)
def test_what_is_allowed_is_connected_to_at_the_address_that_was_judged(came, row: Row):
    result = came[row.url]
    target = addresses.parse(row.url)
    judged = addresses_of(row.dns) if row.dns else [target.host]
    assert result["caught"][0] == [judged[0], target.port]
    assert {address for address, _port in result["caught"] + result["caught by check"]} <= set(judged)
    assert result["post"]["problem"] not in ("", Problem.NOT_PERMITTED)  # the trap hung up
    assert (result["check"]["code"], result["check"]["allowed"], result["check"]["reason"]) == (1, True, "")


# --- With real sockets on loopback, everywhere ------------------------------------------------------------


LOOPBACK = [
    *("127.0.0.1", "127.255.255.254", "localhost", "app.localhost", "0.0.0.0", "2130706433", "0x7f000001"),
    *("0177.0.0.1", "127.1", "0", "0x7f.0.0.1", "１２７.０.０.１", "127。0。0。1", "127.0.0.1.", "[::1]"),
    *("%31%32%37.0.0.1", "127%2e0%2e0%2e1", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]"),
    *("example.com@127.0.0.1", "user:pass@127.0.0.1", "[::1%25lo]", "[::ffff:7f00:1]", "①②⑦.⓪.⓪.①"),
]  # fmt: skip


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """It listens on every IPv4 and IPv6 address of this machine. Nobody need accept: the kernel connects."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("host", LOOPBACK)
def test_no_spelling_of_loopback_reaches_what_listens_there(settings, trap, host):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    url = f"http://{host}:{trap.getsockname()[1]}/"
    transport = Transport()  # and the system's own resolver
    assert transport.post(1, url, HEADERS, b"{}").problem == Problem.NOT_PERMITTED
    assert transport.head(url, HEADERS)[0].problem == Problem.NOT_PERMITTED
    with pytest.raises(BlockingIOError):
        trap.accept()
    transport.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_it_would_have_been_reached(settings, trap, host):
    """Else the test above could not fail."""
    settings.DELIVERY_DEADLINE = 0.3
    transport = Transport()
    url = f"http://{host}:{trap.getsockname()[1]}/"
    assert transport.post(1, url, HEADERS, b"{}").problem == Problem.TIMEOUT
    trap.accept()[0].close()
    transport.close()


# --- The form -------------------------------------------------------------------------------------------


@pytest.fixture
def inside(client, producer):
    client.force_login(producer.user)
    return client


def typed(url: str) -> dict[str, object]:
    return {"url": url, "name": "x", "events": ["PURCHASE_APPROVED"], "scope": "all", "version": "2.0.0"}


def in_the_page(text: object) -> str:
    return html.escape(str(text))


@pytest.mark.parametrize("row", AT_FORM, ids=str)
def test_the_form_says_why_not_and_what_to_do(inside, on_the_internet, row: Row):
    with pytest.raises(addresses.Refused) as refused:
        addresses.check(row.url)
    assert refused.value.reason == row.reason
    answer = inside.post(reverse("configurations:add"), typed(row.url))
    page = answer.content.decode()
    assert answer.status_code == 422
    if row.reason != "length":  # whose own sentence the field has
        assert in_the_page(refused.value.advice) in page or "\0" in row.url
    if "<" in row.url:
        assert row.url not in page
    assert not WebhookConfig.objects.exists()
    as_typed = inside.post(reverse("configurations:check_url"), {"url": row.url}).content.decode()
    assert in_the_page(refused.value.advice) in as_typed


@pytest.mark.parametrize("row", [*AT_CONNECT, *ALLOWED], ids=str)
def test_the_form_takes_the_rest_without_a_look_up(inside, on_the_internet, monkeypatch, row: Row):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: pytest.fail("it was looked up"))
    answer = inside.post(reverse("configurations:add"), typed(row.url))
    assert answer.status_code == 302, answer.content.decode()
    kept = WebhookConfig.objects.get().url
    assert kept == addresses.check(row.url)
    assert kept.isascii()
    assert urlsplit(kept).hostname == addresses.parse(row.url).host


def can_be_kept(row: Row) -> bool:
    """PostgreSQL holds neither a NUL nor more than the column."""
    return "\0" not in row.url and len(row.url) <= addresses.MAX_LENGTH


def test_urls_that_got_past_the_form_are_refused_when_they_are_posted_to(
    product, on_the_internet, monkeypatch
):
    rows = [row for row in AT_FORM if can_be_kept(row)]
    configs = [factories.make_config(product.owner, events=["PURCHASE_APPROVED"]) for _row in rows]
    for config, row in zip(configs, rows, strict=True):
        WebhookConfig.objects.filter(pk=config.pk).update(url=row.url)
    factories.make_sale(product)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was tried"))
    engine.forget_transport()
    engine.drain()
    tried = {attempt.url: attempt for attempt in DeliveryAttempt.objects.all()}
    assert {row.url for row in rows} == tried.keys()
    assert {attempt.problem for attempt in tried.values()} == {Problem.NOT_PERMITTED}
    assert not Delivery.objects.filter(state="delivered").exists()
    engine.forget_transport()


# --- The allow-list -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page", ["configurations:add", "docs_tab:addresses", "admin:configurations_webhookconfig_add"]
)
def test_the_pages_say_which_private_networks_are_reached(client, producer, settings, page):
    staff = factories.make_staff()
    client.force_login(staff if page.startswith("admin:") else producer.user)
    path = reverse(page, args=["2.0.0"] if page.startswith("docs_tab:") else [])
    note = "From here posts also reach these private networks: 10.1.0.0/16, fd00:1::/32."
    settings.DELIVERY_ALLOWED_NETWORKS = []
    assert "these private networks" not in client.get(path).content.decode()
    settings.DELIVERY_ALLOWED_NETWORKS = [ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")]
    assert note in client.get(path).content.decode()


def test_the_ports_are_these_unless_set_otherwise():
    """In a process of its own: the tests' settings take whatever port is free."""
    code = "from webhookhub import settings; print(settings.DELIVERY_ALLOWED_PORTS, settings.DELIVERY_ALLOWED_NETWORKS)"
    unset = {name: value for name, value in os.environ.items() if not name.startswith("DELIVERY_")}
    keys = {"SECRET_KEY": "x" * 50, "FIELD_ENCRYPTION_KEY": "k", "DEBUG": "False"}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE.parents[1], env=unset | keys, capture_output=True, text=True
    )  # fmt: skip
    assert ran.stdout == "[80, 443, 3000, 5678, 8080, 8443] []\n", ran.stderr
