"""The staff admin in a browser: filters from a search, questions before actions, files, viewing as a seller."""

import re

import pytest
from playwright.sync_api import Page, expect

from configurations.models import WebhookConfig
from tests import factories

from .screens import assert_fits
from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ana():
    seller = factories.make_seller(name="Ana Souza")
    config = factories.make_config(seller, name="Members")
    factories.make_sale(factories.make_product(seller))
    config.switch_off()
    config.enable()
    return seller


def test_a_list_is_filtered_by_an_owner_found_as_one_types(page: Page, ana):
    other = factories.make_config(name="Somebody else's")
    log_in(page, factories.make_staff("support").email)
    page.goto("/admin/configurations/webhookconfig/")
    expect(page.get_by_text(other.name)).to_be_visible()
    page.locator(".pick .select2-selection").first.click()
    page.locator(".select2-search__field").fill("ana")
    page.get_by_role("option", name="Ana Souza").click()
    page.wait_for_url(re.compile("owner__id__exact"))
    expect(page.get_by_role("link", name="Members")).to_be_visible()
    expect(page.get_by_text(other.name)).to_have_count(0)
    page.get_by_role("link", name="Clear", exact=True).click()
    expect(page.get_by_text(other.name)).to_be_visible()


def test_an_action_asks_and_enter_takes_one_back(page: Page, ana):
    log_in(page, factories.make_staff("operations").email)
    page.goto("/admin/configurations/webhookconfig/?state=on")
    for confirm in (False, True):
        page.locator("#action-toggle").check()
        page.locator("select[name=action]").select_option("disable")
        page.get_by_role("button", name="Go").click()
        expect(page.get_by_role("heading", name="Switch off 1 configuration?")).to_be_visible()
        expect(page.get_by_role("link", name="Cancel")).to_be_focused()
        if confirm:
            page.get_by_role("button", name="Switch off").click()
            expect(page.get_by_text("1 configuration was switched off.")).to_be_visible()
        else:
            page.keyboard.press("Enter")
            page.wait_for_url(re.compile(r"\?state=on"))
            assert WebhookConfig.objects.get().state == "on"
    assert WebhookConfig.objects.get().state == "off"


def test_a_file_is_previewed_and_imported(page: Page, ana, tmp_path):
    file = tmp_path / "some.csv"
    file.write_text(
        f"owner,name,url,events\n{ana.code},Members,https://new.example.com/in,PURCHASE_APPROVED\n"
    )
    log_in(page, factories.make_staff("operations").email)
    page.goto("/admin/configurations/webhookconfig/")
    page.get_by_role("link", name="Import", exact=True).click()
    page.locator("input[type=file]").set_input_files(file)
    page.locator("select[name=format]").select_option(label="csv")
    page.get_by_role("button", name="See what would change").click()
    expect(page.locator("ins", has_text="new.example.com")).to_be_visible()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("Import finished")).to_be_visible()
    page.goto("/admin/auditlog/logentry/")
    expect(page.get_by_text("A file was imported: 0 new, 1 changed")).to_be_visible()


def test_staff_look_at_a_sellers_pages_and_leave(page: Page, ana):
    log_in(page, factories.make_staff("support").email)
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"/admin/sales/seller/{ana.pk}/change/")
    page.get_by_role("button", name="View as this seller").click()
    bar = page.get_by_text("You see what Ana Souza sees.")
    for path in ("configurations/", "history/", "documentation/", "tests/"):
        page.goto(f"/tools/webhook/{path}")
        expect(bar).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"/tools/webhook/configurations/{ana.configurations.get().pk}/changes/")
    expect(page.get_by_text("webhookhub").first).to_be_attached()
    expect(bar).to_be_in_viewport()
    page.get_by_role("button", name="Leave").click()
    page.wait_for_url(re.compile(f"/admin/sales/seller/{ana.pk}/change/"))


def test_the_pages_of_staff_complain_of_nothing_and_do_not_scroll_sideways(page: Page, ana):
    """The console is watched by the page itself."""
    config = ana.configurations.get()
    log_in(page, factories.make_staff().email)
    for path in (
        "auditlog/logentry/",
        "auditlog/logentry/?q=Ana",
        f"configurations/webhookconfig/{config.pk}/history/",
        f"configurations/webhookconfig/{config.pk}/change/",
        "configurations/webhookconfig/import/",
        "configurations/webhookconfig/export/",
        "sales/transaction/",
        "sales/transaction/import/",
        "sales/transaction/export/",
        "deliveries/delivery/",
        f"sales/seller/{ana.pk}/change/",
        "auth/user/",
        "auth/group/",
    ):
        assert_fits(page, f"/admin/{path}")
