"""Set up on the account page, asked for at the next sign-in; on a phone too. Nothing of it offends the policy."""

import re
import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from playwright.sync_api import expect

from tests.factories import PASSWORD

from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)


def code_of(secret: str, *, later: int = 0) -> str:
    """The code of now, or of so many half minutes later."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_second_factor_is_set_up_and_asked_for(page, producer, width):
    cache.clear()
    page.set_viewport_size({"width": width, "height": 900})
    log_in(page, producer.user.email)
    page.goto("/account/")
    page.get_by_role("link", name="Set it up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()

    drawn = page.get_by_role("img", name="The key as a QR code").bounding_box()
    assert 150 < drawn["width"] < width
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    secret = page.locator("#key").inner_text()
    expect(page.get_by_label("Code", exact=True)).to_be_focused()
    page.get_by_label("Code", exact=True).fill(code_of(secret))
    page.get_by_role("button", name="Switch it on").click()

    codes = page.locator("#codes li")
    expect(codes).to_have_count(10)
    assert all(re.fullmatch(r"\d{8}", code) for code in codes.all_inner_texts())
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("heading", name="Second factor On")).to_be_visible()

    page.goto("/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    log_in(page, producer.user.email)
    page.get_by_label("Code", exact=True).fill(code_of(secret, later=1))
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page).to_have_url(re.compile("/configurations/"))
    cache.clear()
