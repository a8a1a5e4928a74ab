"""Secret and token in a browser: shown, copied, rotated."""

import re

import pytest
from playwright.sync_api import Page, expect

from configurations.models import Token, WebhookConfig
from tests import factories

from .test_main_job import add_configuration, log_in

pytestmark = pytest.mark.django_db(transaction=True)


def copied(page: Page) -> str:
    expect(page.locator("#live")).to_have_text("Copied")
    return page.evaluate("navigator.clipboard.readText()")


def test_the_secret_is_copied_after_adding_and_later_shown_for_the_password(page: Page):
    producer = factories.make_seller()
    log_in(page, producer.user.email)
    add_configuration(page, "Members area", "https://members.example.com/hook")
    config = WebhookConfig.objects.get()
    page.get_by_role("button", name="Copy Signing secret").click()
    assert copied(page) == config.secret

    page.goto(config.get_absolute_url())
    expect(page.locator("body")).not_to_contain_text(config.secret)
    page.get_by_role("link", name="Show or rotate Signing secret").click()
    page.get_by_label("Password", exact=True).fill("not the password")
    page.get_by_role("button", name="Show", exact=True).last.click()
    expect(page.locator("#id_password_error")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_role("button", name="Show", exact=True).last.click()
    page.get_by_role("button", name="Copy").click()
    assert copied(page) == config.secret

    page.get_by_role("link", name="Rotate the secret").click()
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_text("There is a new secret.")).to_be_visible()
    expect(page.get_by_text(re.compile("the secret from before the rotation signs too"))).to_be_visible()


def test_a_rotation_of_the_token_is_set_to_a_time_and_called_off(page: Page):
    producer = factories.make_seller()
    token = Token.of(producer)
    log_in(page, producer.user.email)
    page.goto("/tools/webhook/configurations/token/rotate/")
    at = page.evaluate("new Date(Date.now() + 24 * 3600e3).toISOString().slice(0, 16)")
    page.get_by_label("Time", exact=True).fill(at)
    page.get_by_label("Password", exact=True).fill(factories.PASSWORD)
    page.get_by_role("button", name="Rotate").click()
    expect(page.get_by_text("The rotation is set.")).to_be_visible()
    page.get_by_role("button", name="Show", exact=True).click()
    token.refresh_from_db()
    page.get_by_role("button", name="Copy Next token").click()
    assert copied(page) == token.next_value
    page.get_by_role("button", name="Call off the rotation").click()
    expect(page.get_by_text("The rotation was called off")).to_be_visible()
    before = token.value
    token.refresh_from_db()
    assert (token.value, token.next_value) == (before, None)
