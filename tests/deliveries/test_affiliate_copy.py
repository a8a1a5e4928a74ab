"""What the affiliate's copy holds: each parameter of both formats, by the rules of the contract, typed from there."""

import json
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configurations.events import BY_TYPE, EventType
from configurations.models import Version
from deliveries import contract
from deliveries.contract import parameters
from deliveries.contract.parameters import PURCHASE
from deliveries.contract.snapshot import Cart, Commission, Conversion, Sale
from deliveries.models import Audience
from docs_tab.tables import flat

from .samples_v1 import parsed
from .test_contract import any_of, full_cart, full_sale

NOW = datetime(2026, 5, 12, 14, 21, 38, tzinfo=UTC)
CART = EventType.CART_ABANDONED

BUYER = {
    "1.0.0": {
        "email", "name", "first_name", "last_name", "doc", "doc_type", "phone_local_code", "phone_number",
        "phone_checkout_local_code", "phone_checkout_number", "address", "address_number", "address_country",
        "address_country_ISO", "address_district", "address_comp", "address_city", "address_state",
        "address_zip_code", "billet_url", "billet_barcode", "buyerVO.name", "buyerVO.email", "buyerVO.phone",
    },
    "2.0.0": {
        "data.buyer.email", "data.buyer.name", "data.buyer.first_name", "data.buyer.last_name",
        "data.buyer.document", "data.buyer.document_type", "data.buyer.checkout_phone",
        "data.buyer.checkout_phone_code", "data.buyer.phone", "data.buyer.address.country",
        "data.buyer.address.country_iso", "data.buyer.address.zipcode", "data.buyer.address.address",
        "data.buyer.address.number", "data.buyer.address.complement", "data.buyer.address.neighborhood",
        "data.buyer.address.city", "data.buyer.address.state", "data.purchase.payment.billet_url",
        "data.purchase.payment.billet_barcode", "data.purchase.payment.pix_code",
        "data.purchase.payment.pix_qrcode", "data.purchase.payment.pix_expiration_date",
    },
}  # fmt: skip
NEVER = {
    "1.0.0": {"hotkey", "cms_marketplace", "cms_vendor", "producer_document"},
    "2.0.0": {"data.producer.document"},
}
OWN = {
    "1.0.0": {
        "hottok", "receiver_type", "cms_aff", "cms_aff_currency", "aff_cms_rate_currency",
        "aff_cms_rate_commission", "aff_cms_rate_conversion",
    },
    "2.0.0": {
        "hottok", "data.commissions[].source", "data.commissions[].value", "data.commissions[].currency_value",
        "data.commissions[].currency_conversion.converted_value",
        "data.commissions[].currency_conversion.converted_to_currency",
        "data.commissions[].currency_conversion.conversion_rate",
    },
}  # fmt: skip
STAYS_EMPTY = {  # in 1.0.0, where the affiliate may not see it; all else is missing
    "email", "name", "first_name", "last_name", "phone_checkout_local_code", "phone_checkout_number",
    "producer_document",
}  # fmt: skip
SHARES = tuple(
    Commission(source, Decimal(n), currency, Conversion(Decimal(n) / 2, "EUR", Decimal("0.5")))
    for n, source, currency in ((4, "MARKETPLACE", "USD"), (5, "PRODUCER", "USD"), (6, "AFFILIATE", "BRL"))
)
SALES = [
    full_sale(payment_type=payment, status="CANCELED", commissions=SHARES) for payment in ("BILLET", "PIX")
]


def values(version: str, event: str, facts: Any, audience: str) -> dict[str, list[Any]]:
    """{name: all its values} of the post."""
    token = {"producer": "token-of-producer", "affiliate": "token-of-affiliate"}[audience]
    post = contract.render(version, "1", event, NOW, facts, audience, token)
    body = json.loads(post.body) if post.content_type == contract.JSON else parsed(post.body)
    found: dict[str, list[Any]] = {}
    for name, value in flat(body):
        found.setdefault(name, []).append(value)
    return found


def hiding(facts: Any) -> Any:
    return replace(facts, product=replace(facts.product, shares_buyers=False))


def cases() -> list[tuple[str, str, Any, str]]:
    """Every parameter of every post that affiliates get, with a sale or cart that has it."""
    made = []
    for version in Version.values:
        for event in (*sorted(PURCHASE), CART):
            for facts in [full_cart()] if event == CART else SALES:
                held = values(version, event, facts, Audience.PRODUCER)
                made += [(version, event, facts, name) for name in held]
    return made


def test_the_cases_cover_every_parameter_of_both_formats():
    covered = {(version, name) for version, _event, _facts, name in cases()}
    assert covered == {
        (version, row.name)
        for version in Version.values
        for event in (*PURCHASE, CART)
        for row in parameters.table(version, event)
    }


def test_each_parameter_of_both_formats_is_in_the_affiliates_copy_or_not_as_the_contract_says():
    for version, event, facts, name in cases():
        whole, shared, hidden = (
            values(version, event, some, audience).get(name)
            for some, audience in (
                (facts, Audience.PRODUCER),
                (facts, Audience.AFFILIATE),
                (hiding(facts), Audience.AFFILIATE),
            )
        )
        gone = [""] if version == "1.0.0" and name in STAYS_EMPTY else None
        where = (version, event, name)
        if name in BUYER[version]:
            assert (shared, hidden) == (whole, gone), where
        elif name in NEVER[version]:
            assert (shared, hidden) == (gone, gone), where
        elif name in OWN[version]:
            assert shared == hidden, where
            assert shared == own(version, name, whole), where
        else:
            assert shared == hidden == whole, where


def own(version: str, name: str, whole: list[Any]) -> list[Any]:
    """Of what the producer gets, that which is the affiliate's."""
    if name == "hottok":
        return ["token-of-affiliate"]
    if name == "receiver_type":
        return ["AFFILIATE"]
    return whole if version == "1.0.0" else whole[2:]  # the third share is the affiliate's


def test_the_table_gives_the_same_rules():
    for version in Version.values:
        for event in (*PURCHASE, CART):
            for row in parameters.table(version, event):
                rules = {"buyer": BUYER, "no": NEVER, "own": OWN}
                said = next((rule for rule, names in rules.items() if row.name in names[version]), "yes")
                assert row.affiliate.value == said, (version, event, row.name)


@pytest.mark.parametrize("version", Version.values)
def test_affiliates_get_nothing_of_subscriptions_alone(version):
    for event in set(BY_TYPE) - {*PURCHASE, CART}:
        assert not contract.sends(version, event, Audience.AFFILIATE)


SECRET_OF_BUYER = st.text("abcdefgh", min_size=6, max_size=12).map(lambda text: f"secret-{text}")
_BUYERS = [f.name for f in fields(Sale) if f.name.startswith(("buyer_", "billet_", "pix_"))]
_TEXTS = [name for name in _BUYERS if name not in ("billet_due_on", "pix_expires_at")]


@given(
    any_of(Sale),
    st.fixed_dictionaries(dict.fromkeys(_TEXTS, SECRET_OF_BUYER)),
    st.sampled_from(sorted(PURCHASE)),
    st.sampled_from(Version.values),
)
@settings(deadline=None, max_examples=80)
def test_no_sale_leaks_its_buyer_or_what_others_earn(sale, buyer, event, version):
    product = replace(
        sale.product, shares_buyers=False, owner=replace(sale.product.owner, document="secret-doc")
    )
    shares = (Commission("PRODUCER", Decimal("123456.78"), "BRL"),)
    ran_out = NOW + timedelta(days=4242)
    facts = replace(
        sale, **buyer, product=product, commissions=shares, hotkey="secret-key", pix_expires_at=ran_out
    )
    body = contract.render(version, "1", event, NOW, facts, Audience.AFFILIATE).body
    for secret in (b"secret-", b"123456.78", str(int(ran_out.timestamp())).encode()):
        assert secret not in body


@given(any_of(Cart), SECRET_OF_BUYER, st.sampled_from(Version.values))
@settings(deadline=None, max_examples=40)
def test_no_cart_leaks_its_buyer(cart, secret, version):
    facts = hiding(replace(cart, buyer_name=secret, buyer_email=secret, buyer_phone=secret))
    body = contract.render(version, "1", CART, NOW, facts, Audience.AFFILIATE, "a-token").body
    assert b"secret-" not in body
    assert (
        json.loads(body)["buyerVO"] == {} if version == "1.0.0" else json.loads(body)["data"]["buyer"] == {}
    )
