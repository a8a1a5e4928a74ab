"""Texts that would run, in a browser: nothing does, on any page that shows them.

tests/security/test_texts_are_shown.py looks through more pages, without a browser.
"""

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, Page

from tests import factories
from tests.security import hostile
from tests.security.test_texts_are_shown import lists_and_details

from .test_main_job import log_in

pytestmark = pytest.mark.django_db(transaction=True)

# Beyond what the fixture hears of: an attempt to run a script is an error of the policy in the console.
INJECTED = "() => [window.hacked, document.querySelectorAll('[data-hostile], [srcdoc], base, iframe, svg[onload]').length]"


@pytest.fixture
def watched(page: Page) -> Page:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    yield page
    assert dialogs == []


def visit(page: Page, paths: list[str]) -> None:
    for path in paths:
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 200, path
        hacked, injected = page.evaluate(INJECTED)
        assert (hacked, injected) == (None, 0), path
        assert page.url.endswith(path.rpartition("/")[2].partition("#")[0]), "it leads nowhere else"


def test_nothing_runs_on_the_sellers_pages(watched: Page):
    rows = hostile.make()
    log_in(watched, rows.owner.user.email)
    whole_pages = [path for path in lists_and_details(rows) if "/panel/" not in path and "/part/" not in path]
    visit(watched, whole_pages[:30] + whole_pages[-5:])


def test_nothing_runs_on_the_staffs_pages(watched: Page):
    rows = hostile.make(hostile.TEXTS[:12])
    log_in(watched, factories.make_staff().email)
    post = rows.posts[5]
    lists = ("sales_seller", "sales_product", "sales_transaction", "configurations_webhookconfig")
    more = (
        "deliveries_delivery",
        "deliveries_deliveryattempt",
        "legacy_posts_legacypost",
        "auditlog_logentry",
    )
    visit(
        watched,
        [
            reverse("admin:index"),
            *(reverse(f"admin:{name}_changelist") for name in lists + more),
            reverse("admin:deliveries_delivery_change", args=[post.pk]),
            reverse("admin:deliveries_deliveryattempt_change", args=[post.attempts.get().pk]),
            reverse("admin:configurations_webhookconfig_change", args=[post.config_id]),
            reverse("admin:legacy_posts_legacypost_change", args=[rows.sent[3].pk]),
            reverse("staff:timeline", args=[post.event.transaction_code]),
            reverse("staff:host", args=[rows.host]),
        ],
    )


def test_a_script_that_did_get_in_would_not_run(browser: Browser, live_server):
    """The policy alone: the wall behind the wall."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    page.goto(reverse("account_login"))
    add = "s => { const e = document.createElement('script'); e.textContent = s; document.body.append(e); }"
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate(add, "window.hacked = 1")
    assert page.evaluate("window.hacked") is None
    context.close()
