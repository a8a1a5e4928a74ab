"""Why nothing was posted for a sale, and sending it after all, in a browser."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from configurations.events import EventType
from configurations.models import WebhookConfig
from deliveries import engine
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Receiver

from .screens import assert_fits
from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_sale_that_nobody_was_told_of_is_explained_and_sent(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area", url=receiver.url, events=[EventType.REFUNDED])
    sale = factories.make_sale(factories.make_product(producer))
    log_in(page, producer.user.email)
    page.goto(f"/tools/webhook/history/?q={sale.code}")
    page.get_by_role("link", name="Why was nothing posted?").click()
    expect(page).to_have_url(f"/tools/webhook/history/sale/{sale.code}/")
    row = page.locator(".verdicts > li")
    expect(row).to_contain_text("Members area")
    expect(row).to_contain_text("The configuration does not ask for this event.")
    page.get_by_role("button", name="Send it").click()
    expect(page.locator(".messages")).to_contain_text("is on its way to “Members area”")
    engine.drain()
    [post] = receiver.wait_for(1)
    assert sale.code.encode() in post.body
    expect(row).to_contain_text("Delivered", timeout=15_000)  # by itself
    expect(page.get_by_role("button", name="Send it")).to_have_count(0)
    page.get_by_role("link", name="See the post").click()
    page.get_by_role("link", name="Why was it sent, or not?").click()
    expect(row).to_contain_text("It was sent later, on request.")


def test_a_new_configuration_is_sent_the_sales_of_the_last_days(page: Page, receiver: Receiver):
    producer = factories.make_seller()
    product = factories.make_product(producer)
    factories.make_sales(product, 3)
    refunded = factories.make_sale(product)
    refunded.status = SaleStatus.REFUNDED
    refunded.save()
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/configurations/add/")
    page.get_by_label("Name").fill("Members area")
    page.get_by_label("URL").fill(receiver.url)
    page.get_by_label("All Money back").check()
    page.get_by_label("Order approved").check()
    page.get_by_role("button", name="Add configuration").click()
    page.get_by_role("link", name="Choose which to send…").click()
    expect(page.get_by_label("Order approved 3")).to_be_checked()
    expect(page.get_by_label("Order refunded 1")).to_be_checked()
    expect(page.get_by_label("Order approved 1")).not_to_be_checked()
    page.get_by_role("button", name="Send what is ticked").click()
    expect(page.locator(".messages")).to_contain_text("4 posts of the past are on their way")
    engine.drain()
    receiver.wait_for(4)
    assert WebhookConfig.objects.get().deliveries.count() == 4


def test_the_pages_fit_the_screen(page: Page):
    producer, affiliate = factories.make_seller(), factories.make_seller(name="A. Affiliate")
    product = factories.make_product(producer, name="Curso " + "muito " * 20 + "longo 漢字 🎓")
    factories.make_config(producer, name="N" * 100)
    factories.make_config(producer, name="Off", state="off")
    factories.make_config(producer, name="Only refunds", events=[EventType.REFUNDED])
    factories.make_config(producer, name="Another course", product=factories.make_product(producer))
    factories.make_config(producer, name="Disabled").disable("gone")
    gone = factories.make_config(producer, name="Gone")
    long_ago = timezone.now() - timedelta(days=9)
    WebhookConfig.objects.update(created_at=long_ago, state_changed_at=long_ago)
    gone.remove()
    WebhookConfig.objects.filter(pk=gone.pk).update(state_changed_at=long_ago)
    sale = factories.make_sale(product, affiliate=affiliate, buyer_email="x" * 50 + "@example.com")
    sale.status = SaleStatus.REFUNDED
    sale.save()
    silent = factories.make_sale(product, status=SaleStatus.STARTED)
    late = factories.make_config(producer, name="Added later")
    log_in(page, producer.user.email)
    for path in (
        f"/tools/webhook/history/sale/{sale.code}/",
        f"/tools/webhook/history/sale/{silent.code}/",
        "/tools/webhook/history/sale/",
        f"/tools/webhook/configurations/{late.pk}/send-earlier/",
    ):
        assert_fits(page, path)
