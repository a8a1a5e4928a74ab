"""What strangers write is shown as text: every page that shows it is looked through for markup that came of it.

In a browser: tests/pages/test_hostile.py.
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from django.urls import reverse

from tests import factories
from tests.security import hostile
from tests.security.every_address import EVERY, Rows

pytestmark = pytest.mark.django_db

LINKS = {"href", "src", "action", "formaction", "data", "poster", "background", "srcset", "cite", "longdesc"}
RUN_BY_HTMX = {"hx-get", "hx-post", "hx-put", "hx-delete", "hx-patch"}
EXPECTED_ELSEWHERE = ("https://webhookhub.example", "mailto:")


class Looked(HTMLParser):
    """`wrong`: elements and attributes that no page of ours has."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith(("on", "hx-on")) or name in ("data-hostile", "srcdoc", "style"):
                self.wrong.append(f"<{tag} {name}={value!r}>")
            if name in LINKS | RUN_BY_HTMX and not _is_ours(value or ""):
                self.wrong.append(f"<{tag} {name}={value!r}>")
        if tag in ("iframe", "object", "embed", "base", "math"):
            self.wrong.append(f"<{tag}>")
        of = dict(attrs)
        if tag == "meta" and of.get("http-equiv"):
            self.wrong.append(f"<meta {of}>")
        if tag == "script" and not of.get("src") and of.get("type") != "application/json":
            self.wrong.append("<script> without a file")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _is_ours(link: str) -> bool:
    parts = urlsplit(link.strip())
    return (parts.scheme, parts.netloc) == ("", "") or link.startswith(EXPECTED_ELSEWHERE)


@pytest.fixture
def rows() -> hostile.Hostile:
    return hostile.make()


def lists_and_details(rows: hostile.Hostile) -> Iterator[str]:
    """The seller's pages that show what strangers wrote; of each post several, so that each field has each text."""
    for name in ("configurations:list", "deliveries:history", "deliveries:tests", "deliveries:bulks"):
        yield reverse(name)
    for name in ("legacy_posts:sent", "legacy_posts:pending", "legacy_posts:all", "account"):
        yield reverse(name)
    history = reverse("deliveries:history")
    for n, post in enumerate(rows.posts):
        tab = ("payload", "response", "headers", "curl")[n % 4]
        if n % 5 == 0:
            yield f"{history}?post={post.pk}&tab={tab}"
        yield f"{reverse('deliveries:panel', args=[post.pk])}?tab={tab}&raw={n % 2 or ''}"
        yield f"{reverse('deliveries:panel', args=[post.pk])}?tab={('response', 'headers')[n // 2 % 2]}"
        if n % 5 == 0:
            yield reverse("deliveries:timeline", args=[post.event.transaction_code])
            yield reverse("configurations:edit", args=[post.config_id])
            yield reverse("configurations:remove", args=[post.config_id])
            yield reverse("deliveries:test", args=[post.config_id])
            yield reverse("deliveries:backfill", args=[post.config_id])
            yield reverse("deliveries:bulk", args=[rows.bulks[n].pk])
            yield reverse("legacy_posts:sent_post", args=[rows.sent[n].pk])
        if n % 2:
            yield reverse("deliveries:test_part", args=[rows.tests[n].pk])
            yield reverse("legacy_posts:sent_panel", args=[rows.sent[n].pk])
            yield reverse("legacy_posts:pending_panel", args=[rows.pending[n].pk])
    for n, text in enumerate(hostile.TEXTS):  # what is typed comes back in the page
        asked = quote(text)
        if n % 2:
            yield f"{history}?q={asked}&status={asked}&from={asked}&config={asked}"
        else:
            yield f"{reverse('legacy_posts:sent')}?q={asked}"
    yield f"{reverse('docs_tab:event', args=['2.0.0', 'PURCHASE_APPROVED'])}?q={quote(hostile.TEXTS[1])}"


def staffs_pages(rows: hostile.Hostile) -> Iterator[str]:
    made = Rows.make()
    for address in EVERY:
        if address.name.startswith("admin:") and address.model and address.kind == "changelist":
            yield made.path(address)
    for n in (0, 7, 13):
        post = rows.posts[n]
        pages = {
            "deliveries_delivery": post.pk, "deliveries_event": post.event_id,
            "deliveries_deliveryattempt": post.attempts.get().pk, "configurations_webhookconfig": post.config_id,
            "sales_transaction": post.event.sale_id, "sales_product": post.event.product_id,
            "legacy_posts_legacypost": rows.sent[n].pk, "legacy_posts_legacyimport": rows.sent[n].source_id,
            "deliveries_bulkreprocess": rows.bulks[n].pk,
        }  # fmt: skip
        for model, pk in pages.items():
            yield reverse(f"admin:{model}_change", args=[pk])
        yield reverse("staff:timeline", args=[post.event.transaction_code])
    for n in (0, 1, 3, 9):
        yield f"{reverse('staff:search')}?q={quote(hostile.TEXTS[n])}"
        yield f"{reverse('staff:hosts')}?q={quote(hostile.TEXTS[n])}"
    yield reverse("admin:sales_seller_change", args=[rows.owner.pk])
    yield reverse("admin:sales_seller_delete", args=[rows.owner.pk])
    yield reverse("staff:host", args=[rows.host])
    yield reverse("staff:release", args=[rows.host])
    yield reverse("admin:index")


def looked_through(client: Any, pages: Iterator[str]) -> tuple[dict[str, list[str]], str]:
    """{page: what is wrong with it}, and all text of all pages."""
    wrong, text = {}, []
    for path in pages:
        answer = client.get(path)
        assert answer.status_code == 200, path
        page = answer.content.decode()
        looked = Looked(page)
        if looked.wrong:
            wrong[path] = looked.wrong
        text += looked.text
    return wrong, "".join(text)


def test_the_sellers_pages_show_it_as_text(client, rows):
    client.force_login(rows.owner.user)
    wrong, text = looked_through(client, lists_and_details(rows))
    assert wrong == {}
    for shown in hostile.TEXTS[:15]:  # the rest holds characters that are shown by signs
        assert shown in text


def test_the_affiliates_pages_show_it_as_text(client, rows):
    factories.make_config(rows.affiliate)
    client.force_login(rows.affiliate.user)
    pages = [reverse("deliveries:timeline", args=[post.event.transaction_code]) for post in rows.posts[::4]]
    wrong, _text = looked_through(client, iter(pages))
    assert wrong == {}


def test_the_staffs_pages_show_it_as_text(client, rows):
    client.force_login(factories.make_staff())
    wrong, text = looked_through(client, staffs_pages(rows))
    assert wrong == {}
    assert hostile.TEXTS[0] in text


def test_the_texts_would_be_found():
    """Else the tests above could not fail."""
    for text in hostile.TEXTS:
        if "<" in text and not text.startswith(("&lt;", "data:", "\u2028")):
            assert Looked(f"<p>{text}</p>").wrong or Looked(f'<a title="{text}">').wrong, text


def test_a_download_is_no_page(client, rows):
    """What strangers wrote leaves as a file, with a type that no browser runs."""
    client.force_login(rows.owner.user)
    for name in ("deliveries:export", "legacy_posts:sent_export", "legacy_posts:pending_export"):
        answer = client.get(reverse(name))
        assert answer.headers["Content-Type"].startswith(("text/csv", "application/x-ndjson", "text/html"))
        if not answer.headers["Content-Type"].startswith("text/html"):
            assert answer.headers["Content-Disposition"].startswith("attachment;")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
