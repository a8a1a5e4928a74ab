"""The main job in a browser: a sale changes its status in the admin, and its producer sees the post arrive."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from configurations.models import WebhookConfig
from deliveries import wake
from sales.statuses import SaleStatus
from tests import factories
from tests.deliveries.cluster_process import ClusterProcess
from tests.receiver import Receiver

from .screens import assert_fits

pytestmark = pytest.mark.django_db(transaction=True)


def log_in(page: Page, email: str) -> None:
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).not_to_have_url(re.compile("/login/"))


def add_configuration(page: Page, name: str, url: str) -> None:
    page.goto("/tools/webhook/configurations/")
    page.get_by_role("link", name="Add configuration").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("URL").fill(url)
    for group in ("Sales", "Money back"):
        page.get_by_label(f"All {group}").check()
    page.get_by_role("button", name="Add configuration").click()
    expect(page.get_by_text(name).first).to_be_visible()


def test_a_sale_refunded_in_the_admin_arrives_and_is_sent_again(
    page: Page, receiver: Receiver, browser, live_server
):
    wake.broker().purge_queue()
    producer, staff = factories.make_seller(), factories.make_staff()
    sale = factories.make_sale(factories.make_product(producer))
    with ClusterProcess():
        log_in(page, producer.user.email)
        add_configuration(page, "Members area", receiver.url)
        assert len(WebhookConfig.objects.get().events) == 9
        page.goto("/tools/webhook/history/")
        expect(page.get_by_text("No posts yet")).to_be_visible()

        admin = browser.new_context(base_url=live_server.url).new_page()
        log_in(admin, staff.email)
        admin.goto(f"/admin/sales/transaction/{sale.pk}/change/")
        admin.get_by_label("Status:").select_option(SaleStatus.REFUNDED)
        admin.get_by_role("button", name="Save", exact=True).click()
        expect(admin.get_by_text("was changed successfully")).to_be_visible()
        admin.context.close()

        [post] = receiver.wait_for(1, timeout=10)
        assert json.loads(post.body)["event"] == "PURCHASE_REFUNDED"

        page.reload()
        row = page.get_by_role("row").filter(has_text=sale.code)
        expect(row).to_contain_text("Delivered")
        expect(row).to_contain_text("200")
        row.get_by_role("link", name="Order refunded").click()
        expect(page.locator("#panel")).to_contain_text("PURCHASE_REFUNDED")
        page.get_by_role("link", name="Response").click()
        expect(page.locator("#panel pre").first).to_contain_text("ok")
        assert "/history/" in page.url

        page.locator("#panel").get_by_role("button", name="Reprocess").click()
        first, second = receiver.wait_for(2, timeout=10)
        assert first.body == second.body
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        expect(page.locator("#panel .steps li")).to_have_count(2, timeout=15_000)


def test_what_is_wrong_with_a_url_is_said_and_the_input_kept(page: Page):
    producer = factories.make_seller()
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/configurations/add/")
    page.get_by_label("Name").fill("Inside")
    page.get_by_label("URL").fill("http://192.168.1.1/admin")
    page.get_by_label("All Sales").check()
    page.get_by_role("button", name="Add configuration").click()
    expect(page.locator("#id_url_error")).to_contain_text("192.168.0.0/16")
    expect(page.get_by_label("Name")).to_have_value("Inside")
    expect(page.get_by_label("Order approved")).to_be_checked()
    assert not WebhookConfig.objects.exists()


def test_no_page_scrolls_sideways(page: Page):
    producer = factories.make_seller(name="A rather long name of a producer, with many words")
    product = factories.make_product(producer, name="Curso " + "muito " * 30 + "longo 漢字 🎓")
    factories.make_config(
        producer, name="N" * 100, url="https://" + "very-long-label." * 6 + "example.com/" + "p" * 300
    )
    sale = factories.make_sale(product, buyer_email="x" * 50 + "@example.com", buyer_name="R" * 120)
    delivery = sale.events.get().deliveries.get()
    log_in(page, producer.user.email)
    for path in (
        "/tools/webhook/configurations/",
        "/tools/webhook/configurations/add/",
        f"/tools/webhook/configurations/{delivery.config_id}/",
        f"/tools/webhook/configurations/{delivery.config_id}/remove/",
        f"/tools/webhook/configurations/{delivery.config_id}/secret/",
        f"/tools/webhook/configurations/{delivery.config_id}/secret/rotate/",
        "/tools/webhook/configurations/token/",
        "/tools/webhook/configurations/token/rotate/",
        "/tools/webhook/history/",
        f"/tools/webhook/history/?post={delivery.pk}",
        delivery.get_absolute_url(),
        "/tools/webhook/history/codes/",
        "/account/",
    ):
        assert_fits(page, path)
