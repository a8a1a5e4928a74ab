"""1.0.0: the form of a purchase, and the JSON body of a cart."""

import json
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configurations.events import BY_TYPE, EventType
from configurations.models import Version
from deliveries import contract, posting
from deliveries.contract import sizes
from deliveries.contract.parameters import PURCHASE, V1, V1_JSON
from deliveries.contract.snapshot import Cart, Commission, Conversion, Product, Sale, Seller, Subscription
from deliveries.models import Audience, Delivery
from sales.importing import import_batches
from sales.models import AbandonedCart
from sales.models import Product as ProductRow
from sales.models import Seller as SellerRow
from sales.statuses import PaymentType, SaleStatus, SubscriptionStatus
from tests import factories

from . import samples_v1 as samples
from .test_contract import any_of, full_cart, full_sale, paths

NOW = datetime(2026, 5, 12, 14, 21, 38, 417_000, tzinfo=UTC)
CLUB = Subscription("QX1SUB01", 700001, "Plano Mensal", "ACTIVE", NOW, 30)
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


def form(sale: Sale, audience: str = Audience.PRODUCER, event: str = EventType.APPROVED) -> dict[str, str]:
    rendered = contract.render("1.0.0", "1", event, NOW, sale, audience, "a-token")
    assert rendered.content_type == FORM
    return samples.parsed(rendered.body)


def cart(cart: Cart, audience: str = Audience.PRODUCER) -> dict[str, Any]:
    rendered = contract.render("1.0.0", "1", EventType.CART_ABANDONED, NOW, cart, audience, "a-token")
    assert rendered.content_type == "application/json"
    return json.loads(rendered.body)


# --- The samples --------------------------------------------------------------------------------------


def imported(row: dict[str, Any]) -> None:
    line = json.dumps(row).encode()
    *_, (result, _last) = import_batches(BytesIO(line), "jsonl")
    assert (result.created, result.bad) == (1, [])


def classic_config(owner: SellerRow) -> None:
    factories.make_config(owner, version=Version.V1)


def sent() -> bytes:
    delivery = Delivery.objects.select_related("event", "config").get()
    return posting.with_token(posting.body_of(delivery), samples.TOKEN)


@pytest.mark.django_db
@pytest.mark.parametrize("name", samples.FORMS)
def test_a_sale_imported_as_in_the_sample_is_posted_as_in_the_sample(name):
    """All keys and values: a form has no types."""
    sample = samples.form(name)
    classic_config(factories.make_seller(code="P1", name=sample["producer_name"], login=False))
    SellerRow.objects.filter(code="P1").update(
        document=sample["producer_document"], legal_nature=sample["producer_legal_nature"]
    )
    imported(samples.row(sample))
    excepted = samples.EXCEPTIONS.get(name, {})
    assert len(excepted) <= 2
    assert without(samples.parsed(sent()), excepted) == without(sample, excepted)


@pytest.mark.django_db
def test_the_affiliate_gets_the_copy_of_the_sample():
    sample = samples.form("v1-purchase-completed")
    affiliate = factories.make_seller(code=sample["aff"], name=sample["aff_name"], login=False)
    classic_config(affiliate)
    imported(samples.row(sample))
    copy = samples.form(samples.AFFILIATE_COPY)
    assert samples.parsed(sent()) == copy | {
        "hottok": samples.TOKEN
    }  # the affiliate's own, put in when sending


@pytest.mark.django_db
def test_a_cart_imported_as_in_the_sample_is_posted_as_in_the_sample():
    sample = samples.cart()
    classic_config(factories.make_seller(code="P1", login=False))
    imported(samples.cart_row(sample))
    assert AbandonedCart.objects.get().plan_code is None
    assert json.loads(sent()) == sample


def without(sample: dict[str, str], keys: Any) -> dict[str, str]:
    return {key: value for key, value in sample.items() if key not in keys}


@pytest.mark.django_db
def test_a_bundle_and_a_cart_with_a_plan_can_be_imported_with_all_that_is_told_of_them():
    classic_config(factories.make_seller(code="P1", login=False))
    part = {
        "code": 4100007,
        "ucode": "cd613e30-d8f1-4adf-91b7-584a2265b1f5",
        "name": "Caderno",
        "is_physical": True,
    }
    imported(samples.cart_row(samples.cart()) | {"plan_code": 700001, "product_content": [part]})
    assert json.loads(sent())["subscriptionPlanId"] == 700001
    ProductRow.objects.get().full_clean()
    sale = factories.make_sale(ProductRow.objects.get())
    body = contract.render("2.0.0", "1", EventType.APPROVED, NOW, Sale.of(sale), Audience.PRODUCER).body
    assert json.loads(body)["data"]["product"]["content"] == {
        "has_physical_products": True,
        "products": [{"id": 4100007, "ucode": part["ucode"], "name": "Caderno", "is_physical_product": True}],
    }


# --- What is there, what is empty, and what is missing ------------------------------------------------

# Those that the contract's table marks with an A, typed from there.
ALWAYS = {
    "callback_type", "hottok", "prod", "prod_name", "off", "price", "aff", "aff_name", "email", "name",
    "first_name", "last_name", "phone_checkout_local_code", "phone_checkout_number", "transaction", "xcod",
    "sck", "status", "payment_engine", "payment_type", "cms_marketplace", "cms_vendor", "transaction_ext",
    "purchase_date", "currency", "currency_code_from", "currency_code_from_", "original_offer_price",
    "full_price", "producer_name", "producer_legal_nature", "producer_document", "installments_number",
    "has_co_production", "productOfferPaymentMode", "receiver_type", "funnel", "order_bump", "business_model",
}  # fmt: skip


def test_a_sale_that_lacks_a_fact_has_the_keys_that_are_always_there_and_no_other():
    bare = form(Sale(code="HP1", product=Product(code=1, name="A")))
    assert set(bare) == ALWAYS
    assert {key for key, value in bare.items() if value == ""} == {
        "off", "aff", "aff_name", "email", "name", "first_name", "last_name", "phone_checkout_local_code",
        "phone_checkout_number", "xcod", "sck", "status", "payment_engine", "payment_type", "cms_marketplace",
        "cms_vendor", "transaction_ext", "purchase_date", "currency", "currency_code_from", "currency_code_from_",
        "producer_name", "producer_legal_nature", "producer_document",
    }  # fmt: skip


def test_what_is_not_always_there_is_never_empty():
    for parameter in V1:
        assert parameter.may_be_empty == (parameter.name in ALWAYS), parameter.name


def test_every_parameter_of_the_tables_can_be_sent():
    shares = (Commission("AFFILIATE", Decimal(3), "BRL", Conversion(Decimal(1), "USD", Decimal("0.2"))),)
    whole = full_sale(payment_type="BILLET", status="CANCELED", commissions=shares)
    assert set(form(whole)) == {parameter.name for parameter in V1}
    assert paths(cart(full_cart())) == {parameter.name for parameter in V1_JSON}


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("confirmation_purchase_date", {"approved_at": NOW}, {}),
        ("warranty_date", {"approved_at": NOW, "warranty_until": NOW}, {"warranty_until": NOW}),
        ("subscriber_code", {"subscription": CLUB}, {}),
        ("recurrency", {"subscription": CLUB, "recurrence_number": 1}, {"recurrence_number": 1}),
        ("recurrency_period", {"subscription": CLUB}, {}),
        (
            "subscription_date_next_charge",
            {"subscription": CLUB},
            {"subscription": replace(CLUB, next_charge_at=None)},
        ),
        (
            "cms_aff",
            {"affiliate": Seller("A1"), "commissions": (Commission("AFFILIATE", Decimal(1), "BRL"),)},
            {"affiliate": Seller("A1"), "commissions": (Commission("PRODUCER", Decimal(1), "BRL"),)},
        ),
        ("billet_url", {"payment_type": "BILLET", "billet_url": "x"}, {"payment_type": "PIX", "billet_url": "x"}),
        ("refusal_reason", {"status": "CANCELED", "refusal_reason": "x"}, {"status": "APPROVED", "refusal_reason": "x"}),
        ("amount", {"tickets": 2}, {"tickets": 0}),
        ("parent_purchase_transaction", {"is_order_bump": True, "parent_code": "x"}, {"parent_code": "x"}),
        ("doc", {"buyer_document": "1"}, {}),
        ("utm_term", {"utm_term": "a"}, {}),
        ("hotkey", {"hotkey": "a"}, {}),
        ("coupon_code", {"coupon_code": "a"}, {}),
    ],
)  # fmt: skip
def test_a_parameter_is_there_only_where_it_applies(name, has, lacks):
    assert name in form(replace(Sale(), **has))
    assert name not in form(replace(Sale(), **lacks))


# --- Words and formats --------------------------------------------------------------------------------


def test_the_statuses_of_a_sale_are_spelt_as_receivers_know_them():
    spelt = {status: form(Sale(status=status))["status"] for status in SaleStatus.values}
    assert spelt["WAITING_PAYMENT"] == "wayting_payment"
    announced = {str(event.status): spelt[event.status] for event in BY_TYPE.values() if event.status}
    assert announced == {status: status.lower() for status in announced}


def test_each_means_of_payment_has_a_word():
    words = {type_: form(Sale(payment_type=type_))["payment_type"] for type_ in PaymentType.values}
    assert words["DIRECT_BANK_TRANSFER"] == words["MANUAL_TRANSFER"] == "bank_transfer"
    assert words["DIRECT_DEBIT"] == "debit_card"
    assert (words["BILLET"], words["CREDIT_CARD"], words["PIX"]) == ("billet", "credit_card", "pix")
    assert all(words.values())


def test_the_two_statuses_of_a_subscription_use_only_the_words_of_the_contract():
    both = [form(Sale(subscription=Subscription(status=status))) for status in SubscriptionStatus.values]
    assert {post["subscription_status"] for post in both} == {
        "active", "canceled", "past_due", "expired", "started", "inactive",
    }  # fmt: skip
    assert {post["signature_status"] for post in both} == {
        "active", "inactive", "delayed", "expired", "started",
        "canceled_by_client", "canceled_by_vendor", "canceled_by_admin",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "mode"),
    [
        ({}, "pagamento_unico"),
        ({"installments": 2}, "multiplos_pagamentos"),
        ({"subscription": CLUB}, "multiplos_pagamentos"),
        ({"installments": 2, "payment_mode": "pagamento_vista"}, "pagamento_vista"),
    ],
)
def test_how_the_offer_is_paid_is_told_by_the_sale_where_nobody_says_it(facts, mode):
    assert form(replace(Sale(), **facts))["productOfferPaymentMode"] == mode


def test_amounts_have_a_dot_and_two_decimals_and_times_are_in_utc():
    local = datetime.fromisoformat("2026-05-18T21:00:00.9-03:00")
    post = form(Sale(price=Decimal("1E+3"), full_price=Decimal("49.9"), ordered_at=local))
    assert (post["price"], post["full_price"], post["original_offer_price"]) == (
        "1000.00",
        "49.90",
        "1000.00",
    )
    assert post["purchase_date"] == "2026-05-19T00:00:00Z"


def test_several_shares_of_an_affiliate_are_joined_and_a_rate_keeps_its_digits():
    conversion = Conversion(Decimal("1.50"), "EUR", Decimal("0.178"))
    shares = (
        Commission("AFFILIATE", Decimal("5"), "BRL", conversion),
        Commission("AFFILIATE", Decimal("2.5"), "USD"),
        Commission("PRODUCER", Decimal("90"), "BRL"),
    )
    post = form(Sale(affiliate=Seller("A1"), commissions=shares))
    assert (post["cms_aff"], post["cms_aff_currency"]) == ("5.00;2.50", "BRL;USD")
    assert post["aff_cms_rate_conversion"] == "0.178"
    assert (post["cms_vendor"], post["cms_marketplace"]) == ("90.00", "")


def test_any_name_arrives_intact():
    name = "João Nuñes 漢字 🎓 & = + % ;"
    assert form(Sale(buyer_name=name))["name"] == name
    assert cart(Cart(buyer_name=name))["buyerVO"]["name"] == name


# --- The token ----------------------------------------------------------------------------------------


def test_the_kept_body_holds_no_token_and_no_buyer_can_write_its_placeholder():
    forged = contract.TOKEN_PLACEHOLDER.decode()
    kept = contract.render("1.0.0", "1", EventType.APPROVED, NOW, Sale(buyer_name=forged), Audience.PRODUCER)
    assert kept.body.count(contract.TOKEN_PLACEHOLDER) == 1
    post = samples.parsed(posting.with_token(kept.body, "a-token"))
    assert (post["hottok"], post["name"]) == ("a-token", forged)
    kept = contract.render(
        "1.0.0", "1", EventType.CART_ABANDONED, NOW, Cart(buyer_name=forged), Audience.PRODUCER
    )
    post = json.loads(posting.with_token(kept.body, "a-token"))
    assert (post["hottok"], post["buyerVO"]["name"]) == ("a-token", forged)


def test_a_token_that_a_format_would_escape_is_refused():
    with pytest.raises(ValueError, match="letters, digits and hyphens"):
        contract.render("1.0.0", "1", EventType.APPROVED, NOW, Sale(), Audience.PRODUCER, "a&b=c")


def test_2_0_0_holds_the_token_where_it_is_asked_for_alone():
    bodies = [
        contract.render("2.0.0", "1", EventType.APPROVED, NOW, Sale(), Audience.PRODUCER, token).body
        for token in (None, "a-token")
    ]
    assert ["hottok" in json.loads(body) for body in bodies] == [False, True]


# --- What is sent at all ------------------------------------------------------------------------------


@pytest.mark.parametrize("version", Version.values)
def test_producers_and_affiliates_are_told_of_every_purchase_and_cart(version):
    for event in (*PURCHASE, EventType.CART_ABANDONED):
        assert all(contract.sends(version, event, audience) for audience in Audience.values)


def test_what_has_no_post_is_refused():
    assert not contract.sends("1.0.0", EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE, Audience.PRODUCER)
    assert not contract.sends("2.0.0", EventType.SWITCH_PLAN, Audience.AFFILIATE)
    with pytest.raises(contract.NotSent):
        contract.render(
            "1.0.0", "1", EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE, NOW, Sale(), Audience.PRODUCER
        )


# --- Any sale -----------------------------------------------------------------------------------------


@given(any_of(Sale), st.sampled_from(sorted(PURCHASE)), st.sampled_from(Audience.values))
@settings(deadline=None, max_examples=80)
def test_any_sale_gives_a_form_that_parses_back(sale, event, audience):
    post = form(sale, audience, event)
    assert post["transaction"] == sale.code
    assert set(post) >= ALWAYS - {"cms_marketplace", "cms_vendor"}
    assert all(value for key, value in post.items() if key not in ALWAYS)
    assert form(Sale.from_json(sale.to_json()), audience, event) == post


@given(any_of(Cart), st.sampled_from(Audience.values))
@settings(deadline=None, max_examples=40)
def test_any_cart_gives_json_that_parses_back(snapshot, audience):
    post = cart(snapshot, audience)
    assert {"affiliate", "productName"} <= set(post) or not snapshot.product.name
    assert post["productId"] == snapshot.product.code


JOINED = {"cms_aff_currency", "aff_cms_rate_currency"}  # as long as there are shares


def longest(facts: Any, path: str = "") -> Any:
    """The same with every text as long as its field holds."""
    made = {}
    for field in fields(facts):
        value, place = getattr(facts, field.name), f"{path}{field.name}"
        if isinstance(value, str):
            made[field.name] = "x" * (sizes.of(place) or 1)
        elif is_dataclass(value):
            made[field.name] = longest(value, f"{place}.")
    return replace(facts, **made)


def test_every_text_of_the_tables_has_a_size_and_none_comes_out_longer():
    sale = replace(longest(full_sale()), payment_type="BILLET", status="CANCELED")
    for parameter, post in [(p, form(sale)) for p in V1] + [(p, cart(longest(full_cart()))) for p in V1_JSON]:
        if parameter.kind == "string" and "." not in parameter.name and parameter.name not in JOINED:
            assert parameter.size, parameter.name
            assert len(post.get(parameter.name, "")) <= parameter.size, parameter.name
