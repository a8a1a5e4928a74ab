"""The posts of a former system in a browser: the tabs, sending what it left pending, and seeing it arrive."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from deliveries import engine
from legacy_posts.models import LegacyPost
from tests import factories
from tests.receiver import Receiver

from .screens import DESK, PHONE, SMALL_PHONE, TABLET, assert_fits
from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)
PAYLOAD = '{ "event":"PURCHASE_APPROVED",  "name": "João 漢字 🎓"}'


def pending(producer, receiver, count=1, **facts):
    facts = {
        "kind": "pending",
        "url": receiver.url,
        "host": urlsplit(receiver.url).hostname,
        "tries": 0,
    } | facts
    return factories.make_legacy_posts(producer, count, payload=PAYLOAD, **facts)


def test_a_pending_post_is_sent_and_seen_in_the_history(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/history/")
    expect(page.get_by_role("link", name="Pending Posts")).to_have_count(0)
    [post] = pending(producer, receiver)
    factories.make_legacy_post(producer, status=200)
    page.reload()
    page.get_by_role("link", name="Pending Posts").click()
    page.get_by_role("link", name="Order approved").click()
    panel = page.locator("#panel")
    expect(panel).to_contain_text("It goes to Members area, which has the same URL")
    expect(panel).to_contain_text("João 漢字 🎓")
    panel.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".messages")).to_contain_text("The post is on its way to “Members area”.")
    expect(page.locator("#rows > tr")).to_have_count(1)  # the list is there still, with the post beside it
    engine.drain()
    [got] = receiver.wait_for(1)
    assert got.body == PAYLOAD.encode()
    page.reload()
    expect(page.locator("#panel")).to_contain_text("Its status now: Delivered.")
    page.locator("#panel").get_by_role("link", name="See it in the History").click()
    expect(page.get_by_role("heading", name="Order approved")).to_be_visible()
    expect(page.locator("#panel")).to_contain_text(post.transaction_code)
    expect(page.locator("#panel")).to_contain_text("Received")
    page.get_by_role("link", name="Pending Posts").click()
    expect(page.get_by_text("All done.")).to_be_visible()


def test_all_pending_posts_are_sent_after_a_question(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    pending(producer, receiver, 4)
    pending(producer, receiver, 2, url="https://gone.example.com/in", host="gone.example.com")
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/pending/")
    page.get_by_role("link", name="Send all 6…").click()
    expect(page.get_by_role("heading", name="Send 4 posts?")).to_be_visible()
    page.get_by_label("Configuration for https://gone.example.com/in").select_option(label="Members area")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".messages")).to_contain_text("6 posts are on their way.")
    engine.drain()
    receiver.wait_for(6)
    assert not LegacyPost.objects.to_send().exists()


def test_old_posts_are_filtered_and_opened_by_keyboard_and_come_with_new_ones(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    factories.make_sale(factories.make_product(producer))
    factories.make_legacy_posts(producer, 3, status=500)
    factories.make_legacy_post(producer, event="PURCHASE_REFUNDED", status=200)
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/sent/")
    page.locator("summary", has_text="Event").click()
    page.get_by_role("link", name="Order refunded").first.click()
    expect(page.locator("#rows > tr")).to_have_count(1)
    page.locator("#rows a.title").press("Enter")
    expect(page.locator("#panel")).to_contain_text("from the former system, imported on")
    page.get_by_role("link", name="Response").last.click()
    expect(page.locator("#panel")).to_contain_text("kept no answer")
    page.get_by_role("link", name="Close").click()
    expect(page.locator("#panel")).to_be_empty()
    page.get_by_role("link", name="Clear", exact=True).click()
    page.locator("body").press("j")
    expect(page.locator("#rows > tr").first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_empty()
    page.get_by_role("link", name="History").click()
    page.get_by_role("link", name="With the posts of the former system").click()
    expect(page.locator("#rows > tr")).to_have_count(5)
    expect(page.locator("#rows .tag")).to_have_count(4)
    expect(page.locator("#rows > tr").first).not_to_contain_text("former system")


def test_the_pages_fit_the_screen(page: Page, receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="N" * 100, url="https://a.example.com/" + "x" * 300)
    long = {
        "product_name": "Curso " + "muito " * 40,
        "buyer_email": "x" * 50 + "@example.com",
        "url": "https://" + "very-long-host." * 5 + "example.com/" + "p" * 900,
        "host": "very-long-host." * 5 + "example.com",
    }
    sent = factories.make_legacy_post(producer, status=500, problem="w" * 300, response="y" * 4000, **long)
    [waiting] = pending(producer, receiver, **long)
    factories.make_legacy_post(producer, kind="pending", payload="", format="other")
    log_in(page, producer.user.email)
    for path in (
        "sent/",
        "pending/",
        f"sent/?post={sent.pk}",
        f"sent/{sent.pk}/?tab=response",
        f"pending/{waiting.pk}/",
        f"pending/{waiting.pk}/send/",
        "pending/send/",
        "all/",
        "sent/?q=nothing",
    ):
        assert_fits(page, f"/tools/webhook/{path}", (DESK, TABLET, PHONE, SMALL_PHONE))
