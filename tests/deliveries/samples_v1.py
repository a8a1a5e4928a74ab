"""The published samples of 1.0.0, and the row of an import that each of them tells of."""

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from .samples import FOLDER

AFFILIATE_COPY = "v1-purchase-completed-affiliate-copy"
FORMS = sorted(path.stem for path in FOLDER.glob("v1-*.form") if path.stem != AFFILIATE_COPY)
CART = "v1-cart-abandonment"
TOKEN = "kQ7tVb2mXw9ZrLp4sHd8NfJc3GyTe11000001"

# Sample's name: the keys that come out otherwise, and why. At most two a sample.
EXCEPTIONS: dict[str, dict[str, str]] = {}

_COLUMNS = {
    "prod": "product_code",
    "prod_name": "product_name",
    "product_support_email": "product_support_email",
    "has_co_production": "product_has_co_production",
    "producer_name": "producer_name",
    "producer_document": "producer_document",
    "producer_legal_nature": "producer_legal_nature",
    "off": "offer_code",
    "price": "price",
    "original_offer_price": "original_offer_price",
    "full_price": "full_price",
    "aff": "affiliate_code",
    "aff_name": "affiliate_name",
    "email": "buyer_email",
    "name": "buyer_name",
    "doc": "buyer_document",
    "doc_type": "buyer_document_type",
    "phone_local_code": "buyer_phone_record_code",
    "phone_number": "buyer_phone_record",
    "phone_checkout_local_code": "buyer_phone_code",
    "phone_checkout_number": "buyer_phone",
    "address": "buyer_address",
    "address_number": "buyer_number",
    "address_country": "buyer_country",
    "address_country_ISO": "buyer_country_iso",
    "address_district": "buyer_neighborhood",
    "address_comp": "buyer_complement",
    "address_city": "buyer_city",
    "address_state": "buyer_state",
    "address_zip_code": "buyer_zipcode",
    "transaction": "code",
    "xcod": "xcod",
    "sck": "sck",
    "src": "src",
    "payment_engine": "payment_engine",
    "productOfferPaymentMode": "payment_mode",
    "transaction_ext": "transaction_ext",
    "installments_number": "installments",
    "purchase_date": "ordered_at",
    "confirmation_purchase_date": "approved_at",
    "warranty_date": "warranty_until",
    "billet_url": "billet_url",
    "billet_barcode": "billet_barcode",
    "currency": "currency",
    "currency_code_from": "offer_currency",
    "currency_code_from_": "payment_currency",
    "coupon_code": "coupon_code",
    "funnel": "is_funnel",
    "order_bump": "is_order_bump",
    "name_subscription_plan": "plan_name",
    "subscriber_code": "subscriber_code",
    "recurrency": "recurrence_number",
    "subscription_date_next_charge": "next_charge_at",
}
_SHARES = {"cms_marketplace": "MARKETPLACE", "cms_vendor": "PRODUCER", "cms_aff": "AFFILIATE"}


def form(name: str) -> dict[str, str]:
    return parsed((FOLDER / f"{name}.form").read_bytes().rstrip())


def parsed(body: bytes) -> dict[str, str]:
    pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)  # no key twice
    return dict(pairs)


def cart() -> dict[str, Any]:
    return json.loads((FOLDER / f"{CART}.json").read_bytes())


def row(sample: dict[str, str]) -> dict[str, Any]:
    """The cells of an import: every fact that the sample tells of."""
    cells: dict[str, Any] = {_COLUMNS[key]: value for key, value in sample.items() if key in _COLUMNS}
    shares = [
        {"source": source, "value": sample[key], "currency": sample["currency"]}
        for key, source in _SHARES.items()
        if key in sample
    ]
    cells |= {
        "kind": "sale",
        "producer_code": "P1",
        "status": sample["status"].upper(),
        "payment_type": sample["payment_type"].upper(),
        "commissions": shares,
    }
    if "subscriber_code" in sample:
        cells |= {
            "plan_code": 700001,
            "subscription_status": sample["subscription_status"].upper(),
            "plan_recurrency_period": sample["recurrency_period"],
        }
    return cells


def cart_row(sample: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "cart",
        "code": "00000000-0000-4000-8000-000000000001",
        "product_code": sample["productId"],
        "product_ucode": sample["productUcode"],
        "product_name": sample["productName"],
        "product_category": sample["productCategory"],
        "producer_code": "P1",
        "producer_name": "Estúdio Exemplo Ltda",
        "buyer_name": sample["buyerVO"]["name"],
        "buyer_email": sample["buyerVO"]["email"],
        "buyer_phone": sample["buyerVO"]["phone"],
        "has_negotiation": sample["hasNegotiate"],
        "abandoned_at": datetime(2026, 5, 12, tzinfo=UTC).isoformat(),
    }
