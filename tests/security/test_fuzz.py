"""Every form and every parameter of every page, with whatever hypothesis makes up: never a 500, never a row too many.

What a page can be asked is read from the page: the fields of its forms with their values, and the parameters of its
links. FUZZ_EXAMPLES=5000 tries that many requests for each role; without it there are few, and the same each time.
"""

import os
import re
from collections import defaultdict
from html import unescape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deliveries.models import Delivery
from tests import factories
from tests.security.every_address import EVERY, Address, Rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("unlogged")]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
quick = settings(
    max_examples=EXAMPLES or 60,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# They end the session, or send a mail or a post for each request.
LEFT_OUT = {"account_logout", "admin:logout", "deliveries:test", "view_as", "view_as_leave"}
# What pages take beside what they show: parameters of parts, of what other pages link to, of the admin's lists.
ALSO = [
    "q",
    "next",
    "page",
    "p",
    "o",
    "e",
    "all",
    "before",
    "after",
    "tab",
    "post",
    "at",
    "since",
    "from",
    "to",
    "id",
]
TRICKY = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e999",
        "9" * 19,
        "9" * 400,
        "NaN",
        "Infinity",
        "١٢",
        "²",
        "0x10",
        "1_000",
        "+1",
    ),
    *(
        "2026-02-30",
        "0001-01-01",
        "9999-12-31",
        "0000-00-00",
        "2026-11-23T15:52:10Z",
        "9999-12-31T23:59:59-23:59",
    ),
    *(
        "0001-01-01T00:00:00+23:59",
        "24:00",
        "today",
        "null",
        "None",
        "true",
        "[]",
        "{}",
        "[[[[",
        '{"a":1}',
        "a,b",
    ),
    *(
        "\0",
        "a\0b",
        "\r\nSet-Cookie: a=b",
        "\u202e",
        "\ud7ff\ufffd",
        "🎓" * 50,
        "x" * 3000,
        "%",
        "%00",
        "_",
        "\\",
    ),
    *(
        "'",
        '"',
        "' OR 1=1 --",
        "<script>",
        "{{7*7}}",
        "../../etc/passwd",
        "//evil.example",
        "javascript:alert(1)",
    ),
    *("__all__", "pk__in", "1,2,3", "1|2", "gAAAA", "eyJhIjoxfQ==", "MTIz", "a" * 64, "Z" * 64, "all", "-pk"),
]
value = st.one_of(
    st.sampled_from(TRICKY),
    st.integers().map(str),
    st.text(max_size=40),
    st.datetimes().map(str),
    st.dates().map(str),
    st.decimals().map(str),
    st.uuids().map(str),
)


class Fields(HTMLParser):
    """{name: values that the page itself would send}, and the parameters of its links to itself."""

    def __init__(self, page: str, path: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.asked: dict[str, list[str]] = defaultdict(list)
        self._path, self._select = path, ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "option" and self._select:
            self.sent[self._select].append(of.get("value", ""))
        if tag == "select":
            self._select = of.get("name", "")
        if name := of.get("name"):
            self.sent[name].append(of.get("value", ""))
        for target in (of.get("href"), of.get("hx-get")):
            parts = urlsplit(unescape(target or ""))
            if parts.path in ("", self._path):
                for name, asked in parse_qsl(parts.query, keep_blank_values=True):
                    self.asked[name].append(asked)

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""


class Pages:
    """The pages of one role, with what each can be asked."""

    def __init__(self, client: Client, rows: Rows, addresses: list[Address]) -> None:
        self.client, self.rows = client, rows
        self.paths = {str(address): rows.path(address) for address in addresses}
        self.cookies = {name: morsel.value for name, morsel in client.cookies.items()}
        self._fields: dict[str, Fields] = {}

    def fields(self, name: str) -> Fields:
        if name not in self._fields:
            answer = self.request("get", name, {})
            is_page = answer.headers.get("Content-Type", "").startswith("text/html") and not answer.streaming
            self._fields[name] = Fields(answer.content.decode() if is_page else "", self.paths[name])
        return self._fields[name]

    def request(self, method: str, name: str, asked: dict[str, Any]) -> Any:
        """What is answered; what the request wrote is taken back. A page that raises fails the test."""
        self.client.cookies.load(self.cookies)
        path = self.paths[name]
        with transaction.atomic():
            if method == "get":
                answer = self.client.get(f"{path}?{urlencode(asked, doseq=True)}")
            else:
                answer = self.client.post(path, asked)
            if answer.streaming:
                b"".join(answer.streaming_content)
            transaction.set_rollback(True)
        return answer


@st.composite
def asked_of(draw: st.DrawFn, fields: dict[str, list[str]]) -> dict[str, list[str]]:
    """As the page would send it, with some values changed, some sent twice, and some left out."""
    known = sorted(fields)
    asked = {}
    for name in draw(st.sets(st.sampled_from([*known, *ALSO]), max_size=6)):
        if fields.get(name) and draw(st.booleans()):
            asked[name] = [draw(st.sampled_from(fields[name]))]
        else:
            asked[name] = draw(st.lists(value, min_size=1, max_size=2))
    if known and draw(st.booleans()):  # all else as it stands there
        asked = {name: fields[name][:1] for name in known} | asked
    asked.pop("csrfmiddlewaretoken", None)
    return asked


def never_a_500(pages: Pages, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(pages.paths)))
    method = data.draw(st.sampled_from(["get", "post"]))
    fields = pages.fields(name)
    asked = data.draw(asked_of(fields.sent | fields.asked if method == "get" else fields.sent))
    answer = pages.request(method, name, asked)
    assert answer.status_code in (200, 204, 302, 400, 403, 404, 405, 422, 429), (method, name, asked)
    if answer.status_code == 302:
        there = urlsplit(answer.url)
        assert (there.scheme, there.netloc) == ("", ""), (answer.url, name, asked)
    assert "\n" not in str(answer.headers.get("Location", ""))


def addresses_for(*, staff: bool) -> list[Address]:
    return [a for a in EVERY if a.is_admins == staff and a.name not in LEFT_OUT]


@pytest.fixture
def rows() -> Rows:
    return Rows.make()


def client_of(role: str, rows: Rows) -> Client:
    client = Client()
    if role == "producer":
        client.force_login(rows.producer.user)
    elif role == "staff":
        client.force_login(factories.make_staff())
    return client


@pytest.mark.parametrize("role", ["nobody", "producer", "staff"])
def test_no_request_is_answered_by_500(rows, role):
    pages = Pages(client_of(role, rows), rows, addresses_for(staff=role == "staff"))
    there = Delivery.objects.count()

    @quick
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        never_a_500(pages, data)

    holds()
    assert Delivery.objects.count() == there


@pytest.mark.parametrize("role", ["producer", "staff"])
def test_every_parameter_takes_what_is_tricky(rows, role):
    """Not by chance: each parameter that a page shows is asked for with a few values that break parsers."""
    pages = Pages(client_of(role, rows), rows, addresses_for(staff=role == "staff"))
    turn = 0
    for name in pages.paths:
        for parameter in sorted(
            {re.sub(r"-\d+-", "-0-", field) for field in pages.fields(name).asked} | {"q"}
        ):
            for tricky in (TRICKY[turn * 7 % len(TRICKY)],):
                turn += 1
                answer = pages.request("get", name, {parameter: tricky})
                assert answer.status_code < 500, (name, parameter, tricky)


@pytest.mark.parametrize("year", ["9" * 19, "9999"])
def test_a_date_that_cannot_be_is_no_500_in_a_list_of_the_admin(client, rows, year):
    client.force_login(factories.make_staff())
    for asked in (
        {"year": year},
        {"year": year, "month": "12"},
        {"year": "2026", "month": year},
        {"day": year},
    ):
        query = {f"created_at__{part}": value for part, value in asked.items()}
        answer = client.get("/admin/deliveries/delivery/", query)
        assert answer.status_code in (200, 302), query
        answer = client.get("/admin/configurations/webhookconfig/export/", query)
        assert answer.status_code in (200, 302), query


@pytest.mark.parametrize("value", [" ", "nobody", "²", "9" * 400, "-1"])
@pytest.mark.parametrize(
    ("page", "field"),
    [
        ("sales_transaction", "affiliate"),
        ("sales_product", "owner"),
        ("sales_seller", "user"),
        ("configurations_webhookconfig", "owner"),
    ],
)
def test_a_choice_that_is_no_row_is_no_500_in_a_form_of_the_admin(client, page, field, value):
    client.force_login(factories.make_staff())
    address = reverse(f"admin:{page}_add")
    assert client.get(address, {field: value}).status_code == 200
    assert client.post(address, {field: value}).status_code == 200
