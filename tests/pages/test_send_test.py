"""Send a test, in a browser: from the form and from the list, with a worker and without."""

import json

import pytest
from playwright.sync_api import Page, expect

from configurations.models import State, WebhookConfig
from deliveries import wake
from deliveries.models import Delivery, SamplePost
from tests import factories
from tests.deliveries.cluster_process import ClusterProcess
from tests.pages.test_main_job import log_in
from tests.receiver import Answer, Receiver

from .screens import assert_fits

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def empty_queue(transactional_db):
    wake.broker().purge_queue()


def test_a_new_configuration_is_tested_and_what_came_of_it_appears(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    receiver.answers(Answer(404, b"nothing here"), Answer(200, b"thank you"))
    with ClusterProcess():
        log_in(page, producer.user.email)
        page.goto("/tools/webhook/configurations/add/")
        page.get_by_label("Name").fill("Members area")
        page.get_by_label("URL").fill(receiver.url)
        page.get_by_label("Order refunded").check()
        page.get_by_role("button", name="Save and send a test").click()
        expect(page.get_by_role("heading", name="Send a test to “Members area”")).to_be_visible()
        expect(page.get_by_label("Order refunded")).to_be_checked()
        page.get_by_role("button", name="Send the test").click()

        expect(page.locator("#result")).to_contain_text("(404)", timeout=10_000)
        expect(page.locator("#result")).to_contain_text("Who can fix it:")
        expect(page.locator("#result")).to_contain_text("nothing here")
        [post] = receiver.wait_for(1)
        assert json.loads(post.body)["event"] == "PURCHASE_REFUNDED"

        page.get_by_role("button", name="Send it again").click()
        expect(page.locator("#result")).to_contain_text("thank you", timeout=10_000)
        expect(page.locator("#result")).to_contain_text("Delivered")
        expect(page.locator("#result")).to_contain_text("PURCHASE_REFUNDED")

        page.goto("/tools/webhook/history/")
        expect(page.get_by_text("No posts yet")).to_be_visible()
        assert not Delivery.objects.exists()
        page.goto("/tools/webhook/tests/")
        expect(page.get_by_role("listitem").filter(has_text="Order refunded")).to_have_count(2)


def test_a_good_test_of_what_we_disabled_leads_to_sending_what_is_held(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    product = factories.make_product(producer)
    config = factories.make_config(producer, name="Course", url=receiver.url)
    WebhookConfig.objects.update(state=State.DISABLED)
    factories.make_sales(product, 3)
    with ClusterProcess():
        log_in(page, producer.user.email)
        page.goto("/tools/webhook/configurations/")
        page.get_by_role("link", name="Test Course").click()
        page.get_by_role("button", name="Send the test").click()
        page.get_by_role("button", name="Enable and send 3").click(timeout=10_000)
        page.get_by_role("button", name="Enable", exact=True).click()
        assert len(receiver.wait_for(4, timeout=15)) == 4
    config.refresh_from_db()
    assert config.state == State.ON


def test_without_a_worker_the_page_says_so(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    config = factories.make_config(producer, url=receiver.url)
    log_in(page, producer.user.email)
    page.goto(f"/tools/webhook/configurations/{config.pk}/test/")
    page.get_by_role("button", name="Send the test").click()
    expect(page.locator("#result")).to_contain_text("On its way")
    expect(page.locator("#result")).to_contain_text("busy or not running", timeout=15_000)
    assert receiver.posts == []
    page.get_by_role("link", name="Look again").click()
    expect(page.locator("#result")).to_contain_text("busy or not running")


def test_no_page_of_the_tests_scrolls_sideways(page: Page):
    producer = factories.make_seller()
    config = factories.make_config(
        producer, name="N" * 100, url="https://" + "long-label." * 9 + "example.com/" + "p" * 300
    )
    facts = {
        "config": config,
        "owner": producer,
        "url": config.url,
        "version": "2.0.0",
        "audience": "producer",
    }
    post = SamplePost.objects.create(type="PURCHASE_APPROVED", body=json.dumps({"id": "x" * 300}), **facts)
    log_in(page, producer.user.email)
    for path in (
        "/tools/webhook/configurations/",
        f"/tools/webhook/configurations/{config.pk}/test/",
        post.get_absolute_url(),
        "/tools/webhook/tests/",
    ):
        assert_fits(page, path)
