"""The published samples of 2.0.0, and the rows that each of them tells of."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sales.models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction

FOLDER = Path(__file__).parents[1] / "data" / "samples"
AFFILIATE_COPY = "v2-purchase-complete-affiliate-copy"
OF_SUBSCRIPTIONS = {"v2-subscription-cancellation", "v2-switch-plan", "v2-update-subscription-charge-date"}
NAMES = sorted({path.stem for path in FOLDER.glob("v2-*.json")} - OF_SUBSCRIPTIONS - {AFFILIATE_COPY})


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"), parse_float=Decimal)


def make_product(sample: dict[str, Any]) -> Product:
    data = sample["data"]
    facts, producer = data["product"], data.get("producer", {"name": "Estúdio Exemplo Ltda"})
    owner, _ = Seller.objects.get_or_create(code="P1", defaults=producer)
    product, _ = Product.objects.get_or_create(
        code=facts["id"],
        defaults={
            "owner": owner,
            "name": facts["name"],
            "support_email": facts.get("support_email", ""),
            "has_co_production": facts.get("has_co_production", False),
            "is_physical": facts.get("is_physical_product", False),
        }
        | ({"ucode": facts["ucode"]} if "ucode" in facts else {}),
    )
    return product


def make_affiliate(sample: dict[str, Any]) -> Seller | None:
    entry = sample["data"]["affiliates"][0]
    return (
        entry["affiliate_code"]
        and Seller.objects.get_or_create(code=entry["affiliate_code"], defaults={"name": entry["name"]})[0]
    )


def row(sample: dict[str, Any]) -> Transaction | AbandonedCart:
    """What the sample tells of, not saved yet; what it stands on (product, affiliate, subscription) is."""
    return _sale(sample) if "purchase" in sample["data"] else _cart(sample)


def _sale(sample: dict[str, Any]) -> Transaction:
    product, data = make_product(sample), sample["data"]
    purchase, payment, origin = (
        data["purchase"],
        data["purchase"]["payment"],
        data["purchase"].get("origin", {}),
    )
    return Transaction(
        code=purchase["transaction"],
        product=product,
        affiliate=make_affiliate(sample) or None,
        status=purchase["status"],
        ordered_at=_moment(purchase["order_date"]),
        approved_at=_moment(purchase.get("approved_date")),
        warranty_until=data["product"].get("warranty_date"),
        price=purchase["price"]["value"],
        full_price=purchase["full_price"]["value"],
        original_offer_price=purchase["original_offer_price"]["value"],
        currency=purchase["price"]["currency_value"],
        commissions=[_commission(entry) for entry in data["commissions"]],
        offer_code=purchase["offer"]["code"],
        coupon_code=purchase["offer"].get("coupon_code", ""),
        checkout_country=purchase["checkout_country"]["name"],
        checkout_country_iso=purchase["checkout_country"]["iso"],
        payment_type=payment["type"],
        installments=payment["installments_number"],
        refusal_reason=payment.get("refusal_reason", ""),
        billet_url=payment.get("billet_url", ""),
        billet_barcode=payment.get("billet_barcode", ""),
        pix_code=payment.get("pix_code", ""),
        pix_qrcode=payment.get("pix_qrcode", ""),
        pix_expires_at=_moment(payment.get("pix_expiration_date")),
        subscription=_subscription(sample, product),
        recurrence_number=purchase.get("recurrence_number"),
        src=origin.get("src", ""),
        sck=origin.get("sck", ""),
        is_order_bump=purchase["order_bump"]["is_order_bump"],
        is_funnel=purchase["is_funnel"],
        is_anticipation=purchase["subscription_anticipation_purchase"],
        invoice_by=purchase["invoice_by"],
        **_buyer(data["buyer"]),
    )


def _buyer(buyer: dict[str, Any]) -> dict[str, str]:
    address = buyer.get("address", {})
    facts = {
        "name": buyer["name"],
        "email": buyer["email"],
        "document": buyer.get("document", ""),
        "document_type": buyer.get("document_type", ""),
        "phone": buyer.get("checkout_phone", ""),
        "phone_code": buyer.get("checkout_phone_code", ""),
    }
    return {f"buyer_{name}": value for name, value in (address | facts).items()}


def _commission(entry: dict[str, Any]) -> dict[str, str]:
    return {"source": entry["source"], "value": str(entry["value"]), "currency": entry["currency_value"]}


def _subscription(sample: dict[str, Any], product: Product) -> Subscription | None:
    if (facts := sample["data"].get("subscription")) is None:
        return None
    plan, _ = Plan.objects.get_or_create(
        code=facts["plan"]["id"], defaults={"name": facts["plan"]["name"], "product": product}
    )
    return Subscription.objects.create(
        subscriber_code=facts["subscriber"]["code"],
        product=product,
        plan=plan,
        status=facts["status"],
        next_charge_at=_moment(sample["data"]["purchase"].get("date_next_charge")),
    )


def _cart(sample: dict[str, Any]) -> AbandonedCart:
    data = sample["data"]
    return AbandonedCart(
        product=make_product(sample),
        buyer_name=data["buyer"]["name"],
        buyer_email=data["buyer"]["email"],
        buyer_phone=data["buyer"].get("phone", ""),
        offer_code=data["offer"]["code"],
        checkout_country=data["checkout_country"]["name"],
        checkout_country_iso=data["checkout_country"]["iso"],
        abandoned_at=_moment(sample["creation_date"]),
    )


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
