"""A server that fails, in a browser: its owner reads that the posts wait, tries one, and sees them go again."""

import os
import re

import pytest
from playwright.sync_api import Page, expect

from deliveries import engine
from deliveries.models import Delivery, OwnQueue, State
from tests import factories
from tests.receiver import Receiver

from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def producer(receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url)
    receiver.answers(503)
    factories.make_sales(factories.make_product(producer), 6)
    engine.drain()
    yield producer
    engine.forget_transport()


def shot(page: Page, name: str) -> None:
    """For the eye, where somebody asks for it."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_its_posts_wait_until_one_that_is_sent_now_is_accepted(page: Page, receiver: Receiver, producer):
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/configurations/")
    expect(page.get_by_text("Server fails")).to_be_visible()
    expect(page.get_by_text("6 posts wait together since").first).to_be_visible()
    shot(page, "list")
    page.set_viewport_size({"width": 390, "height": 844})
    shot(page, "list-390")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(Delivery.objects.latest("pk").get_absolute_url())
    shot(page, "post")
    page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("to see whether it works again").first).to_be_visible()
    shot(page, "sent")
    receiver.answers(200)
    engine.drain(2)
    page.goto("/tools/webhook/configurations/")
    expect(page.get_by_text(re.compile("Server fails"))).to_have_count(0)
    shot(page, "released")
    assert Delivery.objects.filter(state=State.DELIVERED).exists()
    assert not OwnQueue.objects.shut().exists()
