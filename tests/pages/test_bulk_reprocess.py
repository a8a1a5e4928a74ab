"""A bulk reprocess in a browser: asked for in the History, watched, paused, gone on with, stopped."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from deliveries import wake
from deliveries.models import BulkReprocess, Delivery, State
from tests import factories
from tests.deliveries.cluster_process import ClusterProcess
from tests.receiver import Answer, Receiver

from .screens import assert_fits
from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)
POSTS = 130


@pytest.fixture
def producer(receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    factories.make_sales(factories.make_product(producer), POSTS)
    Delivery.objects.update(
        state=State.FAILED, tries=5, last_status=404, created_at=timezone.now(), finished_at=timezone.now()
    )
    wake.broker().purge_queue()
    return producer


def start(page: Page) -> None:
    page.goto("/tools/webhook/history/?status=failed")
    page.get_by_role("link", name=f"Send all {POSTS}").click()
    expect(page.get_by_role("heading", name=f"Send {POSTS} posts?")).to_be_visible()
    expect(page.get_by_text("They go behind all that is new")).to_be_visible()
    page.get_by_role("button", name=f"Send {POSTS} posts").click()
    expect(page.get_by_role("heading", name=f"Reprocess {POSTS} posts")).to_be_visible()


def sent() -> int:
    return Delivery.objects.filter(state=State.DELIVERED).count()


def test_it_is_watched_paused_gone_on_with_and_ends(page: Page, receiver: Receiver, producer):
    receiver.answers(Answer(delay=0.9))  # 16 at once by two workers: all of it takes seven seconds
    log_in(page, producer.user.email)
    start(page)
    expect(page.get_by_text(f"0 of {POSTS} posts sent")).to_be_visible()
    with ClusterProcess():
        expect(page.get_by_text(re.compile(rf"^[1-9]\d* of {POSTS} posts sent"))).to_be_visible()  # by itself
        page.get_by_role("button", name="Pause").click()
        expect(page.get_by_text("Nothing more of it is sent until you go on")).to_be_visible()
        page.goto("/tools/webhook/history/")
        expect(page.get_by_text(f"Reprocess of {POSTS} posts paused")).to_be_visible()
        page.locator("#bulks").get_by_role("link", name="Show").click()
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_text("Nothing of it is left to send")).to_be_visible(timeout=60_000)
        expect(page.get_by_text(f"{POSTS} of {POSTS} posts sent")).to_be_visible()
    assert sent() == POSTS == len(set(receiver.webhook_ids()))
    page.get_by_role("link", name="See its posts").click()
    expect(page.get_by_role("row").filter(has_text="Delivered").first).to_be_visible()


def test_it_is_stopped_and_the_rest_is_as_it_was(page: Page, receiver: Receiver, producer):
    log_in(page, producer.user.email)
    start(page)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("It was stopped for good")).to_be_visible()
    assert Delivery.objects.filter(state=State.FAILED, tries=5).count() == POSTS
    page.get_by_role("link", name="All bulk reprocesses").click()
    expect(page.get_by_role("list").filter(has_text="Status: Failed")).to_contain_text("Stopped")
    assert BulkReprocess.objects.count() == 1


def test_its_pages_do_not_scroll_sideways(page: Page, producer):
    log_in(page, producer.user.email)
    start(page)
    started = BulkReprocess.objects.get()
    BulkReprocess.objects.update(asked_for="Product: " + "muito" * 60, total=1_234_567)
    for path in (started.get_absolute_url(), "/tools/webhook/history/bulk/", "/tools/webhook/history/"):
        assert_fits(page, path)
