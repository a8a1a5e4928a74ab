"""The Documentation tab in a browser: filter, links to a parameter, copy, version switch, room."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from configurations.events import EventType
from configurations.models import Version
from deliveries.models import Audience
from docs_tab import posts, tables
from tests import factories

from .screens import DESK, PHONE, TABLET, assert_fits

pytestmark = pytest.mark.django_db(transaction=True)
APPROVED = f"/tools/webhook/documentation/{Version.V2}/{EventType.APPROVED}/"


@pytest.fixture
def reader(page: Page) -> Page:
    producer = factories.make_seller()
    page.goto("/accounts/login/")
    page.get_by_label("Email").fill(producer.user.email)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).not_to_have_url(re.compile("/login/"))
    return page


def test_the_tab_leads_to_the_parameters_and_the_filter_narrows_them(reader):
    reader.get_by_role("link", name="Documentation").click()
    expect(reader.get_by_role("heading", name="Order approved")).to_be_visible()
    total = len(tables.rows(Version.V2, EventType.APPROVED))
    rows = reader.locator("#parameter-rows > tr:visible")
    expect(rows).to_have_count(total)

    reader.keyboard.press("/")
    expect(reader.get_by_label("Filter the parameters")).to_be_focused()
    reader.keyboard.type("pix_code")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("data.purchase.payment.pix_code")
    expect(reader.locator("#parameter-count")).to_have_text(f"1 of {total} parameters")
    reader.keyboard.type(" nothing like it")
    expect(reader.get_by_text("No parameter matches.")).to_be_visible()
    reader.get_by_label("Filter the parameters").fill("")
    expect(rows).to_have_count(total)


def test_what_the_filter_finds_is_what_it_finds_without_script(reader):
    for wanted in ("price", "iso 4217", "milliseconds"):
        reader.goto(f"{APPROVED}?q={wanted}")
        on_server = reader.locator("#parameter-rows > tr").count()
        reader.goto(APPROVED)
        reader.get_by_label("Filter the parameters").fill(wanted)
        expect(reader.locator("#parameter-rows > tr:visible")).to_have_count(on_server)


def test_each_parameter_has_a_link_to_it(reader):
    reader.goto(APPROVED)
    reader.get_by_role("link", name="data.purchase.transaction", exact=True).click()
    expect(reader).to_have_url(re.compile(r"#p-data\.purchase\.transaction$"))
    reader.reload()
    expect(reader.locator("tr:target")).to_contain_text("data.purchase.transaction")
    expect(reader.locator("tr:target")).to_be_in_viewport()


def test_the_copy_button_takes_the_very_bytes(reader):
    reader.goto(APPROVED)
    reader.locator("#sample").get_by_role("button", name="Copy").click()
    expect(reader.locator("#live")).to_have_text("Copied")
    body = posts.copy_for(Version.V2, EventType.APPROVED, Audience.PRODUCER).body.decode()
    copied = reader.evaluate("navigator.clipboard.readText()")
    assert copied == body
    assert json.loads(copied)["event"] == EventType.APPROVED


def test_the_version_switch_keeps_the_place(reader):
    reader.goto(f"/tools/webhook/documentation/{Version.V2}/{EventType.REFUNDED}/?copy=both#sample")
    switch = reader.get_by_role("navigation", name="Version")
    for version in reversed(Version.values):
        switch.get_by_role("link", name=re.compile(re.escape(version))).click()
        expect(reader).to_have_url(re.compile(rf"/{version}/{EventType.REFUNDED}/\?copy=both#sample$"))
        expect(reader.get_by_role("heading", name="Order refunded")).to_be_visible()
        expect(reader.locator("#sample tr.differs").first).to_be_visible()


def test_on_a_phone_the_contents_open_and_lead_on(reader):
    reader.set_viewport_size({"width": 390, "height": 844})
    reader.goto(APPROVED)
    contents = reader.get_by_role("navigation", name="Contents")
    expect(contents).to_be_hidden()
    reader.get_by_role("button", name="Contents").click()
    contents.get_by_role("link", name="Success and retries").click()
    expect(reader.get_by_role("heading", name="When we try again")).to_be_visible()


def test_no_page_of_it_scrolls_sideways(reader):
    paths = [
        f"{version}/{place}"
        for version in Version.values
        for place in (
            f"{EventType.COMPLETE}/",
            f"{EventType.COMPLETE}/?copy=both",
            f"{EventType.CART_ABANDONED}/?copy=affiliate",
            f"{EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE}/",
            "signature/?language=php",
            "success/",
            "addresses/",
        )
    ]
    for path in paths:
        assert_fits(reader, f"/tools/webhook/documentation/{path}", (DESK, TABLET, PHONE))
