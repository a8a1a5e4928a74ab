"""What is held on one buyer, told and erased: in the rows of sales, and by whoever hears the signals."""

from urllib.parse import urlencode

import pytest
from auditlog.models import LogEntry

from sales import audit, privacy
from sales.models import Transaction
from sales.privacy import Buyer, Held
from sales.signals import buyer_asked, buyer_redacted, subscription_changed, transaction_status_changed
from tests import factories

pytestmark = pytest.mark.django_db

EMAIL, NAME, DOCUMENT, PHONE = "Joao.Souza@example.com", "João Souza", "52998224725", "987651234"
FACTS = {
    "buyer_name": NAME,
    "buyer_email": EMAIL,
    "buyer_document": DOCUMENT,
    "buyer_phone_code": "11",
    "buyer_phone": PHONE,
    "buyer_phone_record": "33334444",
    "buyer_country": "Brasil",
    "buyer_zipcode": "30140071",
    "buyer_address": "Rua da Bahia",
    "buyer_city": "Belo Horizonte",
    "billet_barcode": "03399.63290 64000.000006",
    "pix_code": "00020126580014br.gov.bcb.pix",
}


@pytest.fixture
def heard():
    """What the signals were sent with; each receiver answers with the rows of an app of its own."""
    heard = []

    def asked(buyer, **_):
        heard.append(buyer)
        return [Held("other.row", 2, [{"email": buyer.email}] * 2, "Two are not sent any more.")]

    def redacted(buyer, by, **_):
        heard.append((buyer, by))
        return {"other.row": 2 if len(heard) == 1 else 0}

    buyer_asked.connect(asked)
    buyer_redacted.connect(redacted)
    yield heard
    buyer_asked.disconnect(asked)
    buyer_redacted.disconnect(redacted)


def test_all_that_tells_of_the_buyer_goes_and_the_sale_stays(product):
    sale = factories.make_sale(product, **FACTS, src="mail:joao.souza@example.com", sck="may")
    before = Transaction.objects.filter(pk=sale.pk).values("price", "status", "updated_at", "code").get()
    other = factories.make_sale(product, buyer_name=NAME)

    counts = privacy.redact("joao.souza@EXAMPLE.com ", by="a test")

    assert counts["sales.transaction"] == 1
    sale.refresh_from_db()
    pseudonym = Buyer.of(EMAIL).pseudonym
    assert (sale.buyer_name, sale.buyer_email) == (privacy.NAME, pseudonym)
    kept = {name for name in privacy.SALE_FACTS if getattr(sale, name)}
    assert kept == {"buyer_name", "buyer_email"}
    assert (sale.src, sale.sck, sale.buyer_country) == ("", "may", "Brasil")
    assert Transaction.objects.filter(pk=sale.pk).values(*before).get() == before
    other.refresh_from_db()
    assert other.buyer_name == NAME


def test_a_cart_and_a_subscription_are_erased_too(product):
    cart = factories.make_cart(product, buyer_name=NAME, buyer_email=EMAIL, buyer_phone=PHONE)
    plan = factories.make_plan(product)
    subscription = factories.make_subscription(plan, name=NAME, email=EMAIL.upper(), cell=PHONE)

    counts = privacy.redact(EMAIL, by="a test")

    assert (counts["sales.abandonedcart"], counts["sales.subscription"]) == (1, 1)
    cart.refresh_from_db()
    subscription.refresh_from_db()
    assert cart.buyer_email == subscription.email == Buyer.of(EMAIL).pseudonym
    assert (cart.buyer_name, cart.buyer_phone, subscription.cell) == (privacy.NAME, "", "")


def test_nobody_is_told_of_it_as_of_a_change(product):
    factories.make_sale(product, **FACTS)
    factories.make_subscription(factories.make_plan(product), email=EMAIL)
    told = []

    def tell(changes, **_):
        told.extend(changes)

    for signal in (transaction_status_changed, subscription_changed):
        signal.connect(tell)
    privacy.redact(EMAIL, by="a test")
    for signal in (transaction_status_changed, subscription_changed):
        signal.disconnect(tell)
    assert told == []


def test_buyers_that_were_apart_stay_apart_and_one_stays_one(product):
    for email in (EMAIL, EMAIL.lower(), "another@example.com"):
        factories.make_sale(product, buyer_email=email)
    privacy.redact(EMAIL, by="a test")
    privacy.redact("another@example.com", by="a test")
    emails = set(Transaction.objects.values_list("buyer_email", flat=True))
    assert len(emails) == 2
    assert all(email.endswith("@redacted.invalid") for email in emails)


def test_run_again_it_finds_nothing(product, heard):
    factories.make_sale(product, **FACTS)
    counts = privacy.redact(EMAIL, by="a test")
    assert (counts["sales.transaction"], counts["other.row"]) == (1, 2)
    assert privacy.redact(EMAIL, by="a test") == {}
    assert [table.what for table in privacy.hold_on(EMAIL)] == ["other.row"]


def test_that_it_was_done_stands_in_the_audit_log_without_the_buyer(product):
    factories.make_sale(product, **FACTS)
    privacy.redact(EMAIL, by="ana")
    entry = LogEntry.objects.get(additional_data__fact="redacted")
    assert audit.fact_of(entry) == (
        f"What was held on the buyer {Buyer.of(EMAIL).pseudonym} was erased, in 2 rows."
    )
    assert entry.additional_data["asked_by"] == "ana"
    privacy.redact(EMAIL, by="ana")
    assert LogEntry.objects.filter(additional_data__fact="redacted").count() == 1


def test_the_apps_hear_what_is_known_of_the_buyer_and_on_whose_word(product, heard):
    factories.make_sale(product, **FACTS)
    factories.make_cart(product, buyer_email=EMAIL, buyer_name="J. Souza")
    privacy.redact(EMAIL, by="ana")
    (buyer, by), _again = heard
    assert by == "ana"
    assert (buyer.email, buyer.names) == (EMAIL.lower(), {NAME, "J. Souza"})
    assert (buyer.documents, buyer.phones) == ({DOCUMENT}, {PHONE, "33334444"})


def test_what_is_held_is_told_row_by_row(product, heard):
    factories.make_sale(product, **FACTS)
    factories.make_sale(product)
    held = {table.what: table for table in privacy.hold_on(EMAIL)}
    sale, other = held["sales.transaction"], held["other.row"]
    assert (sale.what, sale.count) == ("sales.transaction", 1)
    row = next(iter(sale.rows))
    assert {name: row[name] for name in FACTS} == FACTS
    assert (other.what, other.count, other.note) == ("other.row", 2, "Two are not sent any more.")


def test_of_a_stranger_nothing_is_held(product):
    factories.make_sale(product)
    assert privacy.hold_on("nobody@example.com") == []
    assert privacy.redact("nobody@example.com", by="a test") == {}


@pytest.mark.parametrize(
    "email", ["", "joao", "@example.com", "a@b@c", "x@redacted.invalid", "a\0@example.com"]
)
def test_what_is_no_buyers_e_mail_is_refused(email):
    with pytest.raises(privacy.NoBuyer):
        Buyer.of(email)


@pytest.mark.parametrize(
    "text",
    [
        "to JOAO.SOUZA@EXAMPLE.COM: hello",
        urlencode({"email": EMAIL}),
        urlencode({"name": NAME}),
        '{"name": "Jo\\u00e3o Souza"}',
        f"cpf={DOCUMENT}",
        f"+55 11 {PHONE}",
    ],
)
def test_a_text_that_names_the_buyer_is_known(product, text):
    factories.make_sale(product, **FACTS)
    assert Buyer.of(EMAIL).is_in(text)


def test_a_text_in_which_the_buyer_stands_by_chance_is_not(product):
    factories.make_sale(product, **FACTS | {"buyer_name": "Ana", "buyer_document": "12", "buyer_phone": "1"})
    assert not Buyer.of(EMAIL).is_in("banana 12, Joana 1; joao@example.com")
