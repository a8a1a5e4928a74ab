"""Taking the History away, and what is left of an erased buyer, in a browser."""

import csv
import io

import pytest
from playwright.sync_api import Page, expect

from deliveries import engine
from sales import privacy
from tests import factories
from tests.receiver import Answer, Receiver

from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_what_the_filters_show_is_downloaded(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    product = factories.make_product(producer)
    receiver.answers(Answer(200), Answer(503))
    factories.make_sale(product, buyer_name="João Souza")
    engine.drain()
    factories.make_sale(product, buyer_name="Ana Lima")
    engine.drain()
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/history/?response=5xx")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert download.value.suggested_filename.startswith("history-20")
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert [row["Buyer"] for row in csv.DictReader(io.StringIO(text))] == ["Ana Lima"]


def test_the_post_of_an_erased_buyer_says_so(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    receiver.answers(Answer(200, b'{"welcome": "joao@example.com"}', {"Content-Type": "application/json"}))
    factories.make_sale(factories.make_product(producer), buyer_email="joao@example.com")
    engine.drain()
    privacy.redact("joao@example.com", by="a test")
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/history/")
    page.get_by_role("link", name="Order approved").click()
    panel = page.locator("#panel")
    expect(panel).to_contain_text("The buyer’s data were erased, with what was posted and what was answered.")
    for tab in ("Response", "Headers", "curl", "Payload"):
        panel.get_by_role("link", name=tab, exact=True).click()
        expect(panel.locator(".codebox")).to_contain_text("Erased, with the data of the buyer.")
    expect(page.get_by_role("button", name="Reprocess")).to_have_count(0)
    expect(page.locator("body")).not_to_contain_text("joao@example.com")
