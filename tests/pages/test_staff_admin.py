"""The staff admin in a browser: the first page with its charts, the search, and a host that is held and released."""

import re
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect

from configurations.models import Reason
from deliveries import engine, hosts
from deliveries.models import Delivery, State
from tests import factories
from tests.deliveries.staff import make_tries
from tests.receiver import Receiver

from .screens import assert_fits
from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _fresh_counts():
    cache.clear()


@pytest.fixture
def staff(page: Page) -> Page:
    """Logged in as a member of staff."""
    log_in(page, factories.make_staff().email)
    return page


def make_a_day() -> None:
    config = factories.make_config(name="Members", url="https://hooks.example.com/a")
    now = timezone.now()
    make_tries(config, 200, 200, 200, 503, "timeout", at=now)
    make_tries(config, 200, at=now - timedelta(hours=3))
    factories.make_config(url="https://gone.example.com/a").disable(Reason.GONE)


def heights(page: Page, bars: str) -> list[float]:
    return [box["height"] for bar in page.locator(bars).all() if (box := bar.bounding_box())]


def test_the_first_page_shows_the_day_in_charts_and_each_bar_leads_to_its_tries(staff: Page):
    make_a_day()
    staff.goto("/admin/")
    accepted = heights(staff, ".broad .bars rect.ok")
    assert len(accepted) == 2
    assert max(accepted) > 20
    assert accepted[1] > 2 * accepted[0]  # three times as many
    for kind in ("wait", "bad"):
        [height] = heights(staff, f".broad .bars rect.{kind}")
        assert height > 5
    assert min(heights(staff, ".broad .bars rect.share")) > 20
    expect(staff.locator(".tile", has_text="Tries accepted")).to_contain_text("66.6")
    staff.get_by_text("The numbers as a table").click()
    expect(staff.locator("details tbody tr").first).to_contain_text("60")
    staff.locator(".broad a[aria-label$='3 accepted, 1 refused, 1 without an answer']").click()
    expect(staff.locator("#result_list tbody tr")).to_have_count(5)


def test_a_code_in_the_search_leads_to_the_sales_timeline(staff: Page):
    producer = factories.make_seller()
    factories.make_config(producer, name="Members area")
    sale = factories.make_sale(factories.make_product(producer))
    staff.goto("/admin/sales/product/")  # from any page
    staff.get_by_label("Search everything").fill(sale.code)
    staff.keyboard.press("Enter")
    expect(staff).to_have_url(f"/admin/timeline/{sale.code}/")
    expect(staff.locator(".event .lines > li")).to_contain_text("Members area")
    expect(staff.locator(".event .lines > li")).to_contain_text("It matched")
    staff.get_by_role("link", name="See the post").click()
    expect(staff).to_have_url(re.compile("/admin/deliveries/delivery/"))
    staff.get_by_label("Search everything").fill("HP99")
    staff.get_by_role("button", name="Search").first.click()
    expect(staff.get_by_text("Nothing was found for “HP99”")).to_be_visible()
    expect(staff.get_by_label("Search everything")).to_have_value("HP99")


def test_a_host_is_held_and_released(staff: Page, receiver: Receiver):
    producer = factories.make_seller()
    factories.make_config(producer, url=receiver.url)
    staff.goto("/admin/hosts/")
    staff.get_by_role("link", name="127.0.0.1").click()
    staff.get_by_role("link", name="Hold…").click()
    staff.get_by_label("Reason").fill("Its hosting moves tonight.")
    staff.get_by_role("button", name="Hold it").click()
    expect(staff.locator(".held-box")).to_contain_text("Its hosting moves tonight.")
    factories.make_sale(factories.make_product(producer))
    assert engine.drain() == 0
    staff.goto("/admin/")
    expect(staff.locator(".held-box")).to_contain_text("127.0.0.1")
    staff.locator(".held-box").get_by_role("link", name="127.0.0.1").click()
    staff.get_by_role("link", name="Release…").click()
    staff.get_by_role("button", name="Release it").click()
    expect(staff.get_by_text("127.0.0.1 is released: 1 post that waited is sent now.")).to_be_visible()
    assert engine.drain() == 1
    receiver.wait_for(1)
    assert Delivery.objects.get().state == State.DELIVERED


def test_the_pages_fit_the_screen(staff: Page):
    make_a_day()
    long = "a-very-long-name-of-a-host-that-somebody-thought-of.customers.platform.example"
    config = factories.make_config(name="N" * 100, url=f"https://{long}/a")
    make_tries(config, 404, 404)
    hosts.hold(long, "W" * 300, factories.make_staff())
    sale = factories.make_sale(
        factories.make_product(config.owner, name="Curso " + "muito " * 20),
        buyer_email="x" * 50 + "@example.com",
    )
    for path in (
        "/admin/",
        "/admin/hosts/",
        f"/admin/hosts/{long}/",
        f"/admin/hosts/{long}/release/",
        "/admin/hosts/hooks.example.com/hold/",
        f"/admin/timeline/{sale.code}/",
        "/admin/search/?q=" + "9" * 60,
    ):
        assert_fits(staff, path)
