"""The one table of what a post holds: a row for each parameter, in the order in which they are written.

Payloads are made from it, and so is all that describes them. Where a row says nothing else, the parameter is in
all purchase events and in the affiliate's copy too, and a sale that lacks the fact lacks the key.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from configurations.events import BY_STATUS, EventType

from .snapshot import Commission, Sale, Seller


class Kind(StrEnum):
    """The type of a value in JSON, and its format."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    MILLISECONDS = "milliseconds"  # an integer: since the epoch, in UTC
    TIME = "time"  # a string: ISO 8601 in UTC, whole seconds and Z


class ForAffiliate(Enum):
    """Whether the affiliate's copy holds it."""

    YES = "yes"
    NO = "no"
    OWN = "own"  # the affiliate's own values only
    BUYER = "buyer"  # only where the producer shares the product's buyers


YES, NO, OWN, BUYER = ForAffiliate

PURCHASE = frozenset(event.type for event in BY_STATUS.values())
PAID = frozenset(
    {
        EventType.APPROVED,
        EventType.COMPLETE,
        EventType.PROTEST,
        EventType.REFUNDED,
        EventType.CHARGEBACK,
    }
)
CHARGED = PAID | {EventType.DELAYED}  # a subscription's events that come after a first charge was paid
REFUSED = frozenset({EventType.CANCELED, EventType.DELAYED})
CART = frozenset({EventType.CART_ABANDONED})


@dataclass(frozen=True, slots=True)
class Parameter:
    """`get` takes the snapshot, or where the path goes through a list one of `LISTS`' entries; None: it lacks it."""

    path: str  # under `data`; [] after the name of a list
    kind: Kind
    description: Promise
    get: Callable[[Any], Any]
    affiliate: ForAffiliate = YES
    events: Collection[EventType] = PURCHASE
    size: int | None = None  # characters, where it is not the size of the model's field
    may_be_empty: bool = False  # sent as "" where it is lacking


def _affiliates(sale: Sale, own: bool) -> Collection[Seller]:
    return (sale.affiliate or Seller(),)


def _commissions(sale: Sale, own: bool) -> Collection[Commission]:
    return [entry for entry in sale.commissions if not own or entry.source == "AFFILIATE"]


# What the paths with [] go through: the list's entries, all or (own) those that the affiliate may see.
LISTS: dict[str, Callable[[Sale, bool], Collection[Any]]] = {
    "affiliates": _affiliates,
    "commissions": _commissions,
}


def _first_name(s: Any) -> str:
    return s.buyer_name.split(maxsplit=1)[0] if s.buyer_name.strip() else ""


def _last_name(s: Any) -> str:
    return "".join(s.buyer_name.split(maxsplit=1)[1:]).strip()


def _if_billet(fact: str) -> Callable[[Sale], Any]:
    return lambda s: getattr(s, fact) if s.payment_type == "BILLET" else None


def _if_pix(fact: str) -> Callable[[Sale], Any]:
    return lambda s: getattr(s, fact) if s.payment_type == "PIX" else None


def _of_subscription(fact: str) -> Callable[[Sale], Any]:
    return lambda s: getattr(s.subscription, fact) if s.subscription else None


def _of_conversion(fact: str) -> Callable[[Commission], Any]:
    return lambda c: getattr(c.conversion, fact) if c.conversion else None


def _or_price(fact: str) -> Callable[[Sale], Any]:
    return lambda s: s.price if (value := getattr(s, fact)) is None else value


def _next_charge(s: Sale) -> Any:
    """Once a charge was paid: a first slip of a subscription has none yet."""
    return (
        _of_subscription("next_charge_at")(s)
        if s.status != "BILLET_PRINTED" or (s.recurrence_number or 1) > 1
        else None
    )


V2: tuple[Parameter, ...] = (
    Parameter("product.id", Kind.INTEGER, _("Product code."), lambda s: s.product.code),
    Parameter(
        "product.ucode",
        Kind.STRING,
        _("Universal code of the product, a UUID."),
        lambda s: s.product.ucode,
        size=36,
    ),
    Parameter("product.name", Kind.STRING, _("Product name."), lambda s: s.product.name),
    Parameter(
        "product.warranty_date",
        Kind.TIME,
        _("End of the guarantee."),
        lambda s: s.warranty_until,
        events=PAID,
    ),
    Parameter(
        "product.support_email",
        Kind.STRING,
        _("Support address of the product, if it has one."),
        lambda s: s.product.support_email,
    ),
    Parameter(
        "product.has_co_production",
        Kind.BOOLEAN,
        _("Whether the product is co-produced."),
        lambda s: s.product.has_co_production,
    ),
    Parameter(
        "product.is_physical_product",
        Kind.BOOLEAN,
        _("Whether the product is shipped."),
        lambda s: s.product.is_physical,
    ),
    Parameter(
        "affiliates[].affiliate_code",
        Kind.STRING,
        _("Affiliate code. Without an affiliate the list holds one entry of empty strings."),
        lambda a: a.code,
        may_be_empty=True,
    ),
    Parameter("affiliates[].name", Kind.STRING, _("Affiliate name."), lambda a: a.name, may_be_empty=True),
    Parameter("buyer.email", Kind.STRING, _("The buyer's e-mail."), lambda s: s.buyer_email, BUYER),
    Parameter("buyer.name", Kind.STRING, _("The buyer's full name."), lambda s: s.buyer_name, BUYER),
    Parameter("buyer.first_name", Kind.STRING, _("The first word of the buyer's name."), _first_name, BUYER),
    Parameter(
        "buyer.last_name", Kind.STRING, _("The buyer's name without its first word."), _last_name, BUYER
    ),
    Parameter(
        "buyer.document", Kind.STRING, _("The buyer's document, if known."), lambda s: s.buyer_document, BUYER
    ),
    Parameter(
        "buyer.document_type",
        Kind.STRING,
        _("Type of the buyer's document: CPF, CNPJ, …"),
        lambda s: s.buyer_document_type,
        BUYER,
    ),
    Parameter(
        "buyer.checkout_phone",
        Kind.STRING,
        _("Phone given at the checkout, digits without the area code."),
        lambda s: s.buyer_phone,
        BUYER,
    ),
    Parameter(
        "buyer.checkout_phone_code",
        Kind.STRING,
        _("Area code of the phone given at the checkout."),
        lambda s: s.buyer_phone_code,
        BUYER,
    ),
    Parameter(
        "buyer.address.country",
        Kind.STRING,
        _("The buyer's country, if known."),
        lambda s: s.buyer_country,
        BUYER,
    ),
    Parameter(
        "buyer.address.country_iso",
        Kind.STRING,
        _("The country as ISO 3166-1 alpha-2."),
        lambda s: s.buyer_country_iso,
        BUYER,
    ),
    Parameter(
        "buyer.address.zipcode", Kind.STRING, _("Postcode, if given."), lambda s: s.buyer_zipcode, BUYER
    ),
    Parameter("buyer.address.address", Kind.STRING, _("Street, if given."), lambda s: s.buyer_address, BUYER),
    Parameter(
        "buyer.address.number",
        Kind.STRING,
        _("Number in the street, if given."),
        lambda s: s.buyer_number,
        BUYER,
    ),
    Parameter(
        "buyer.address.complement",
        Kind.STRING,
        _("Flat, floor and the like, if given."),
        lambda s: s.buyer_complement,
        BUYER,
    ),
    Parameter(
        "buyer.address.neighborhood",
        Kind.STRING,
        _("Neighbourhood, if given."),
        lambda s: s.buyer_neighborhood,
        BUYER,
    ),
    Parameter("buyer.address.city", Kind.STRING, _("City, if given."), lambda s: s.buyer_city, BUYER),
    Parameter("buyer.address.state", Kind.STRING, _("State, if given."), lambda s: s.buyer_state, BUYER),
    Parameter("producer.name", Kind.STRING, _("Producer name."), lambda s: s.product.owner.name),
    Parameter(
        "producer.document",
        Kind.STRING,
        _("The producer's document, digits."),
        lambda s: s.product.owner.document,
        NO,
    ),
    Parameter(
        "producer.legal_nature",
        Kind.STRING,
        _("Pessoa Física (a person) or Pessoa Jurídica (a company)."),
        lambda s: s.product.owner.legal_nature,
    ),
    Parameter("commissions[].value", Kind.NUMBER, _("Amount of the commission."), lambda c: c.value, OWN),
    Parameter(
        "commissions[].source",
        Kind.STRING,
        _("Whose commission: MARKETPLACE, PRODUCER, COPRODUCER, AFFILIATE or ADDON."),
        lambda c: c.source,
        OWN,
        size=20,
    ),
    Parameter(
        "commissions[].currency_value",
        Kind.STRING,
        _("Currency of the commission, ISO 4217."),
        lambda c: c.currency,
        OWN,
        size=3,
    ),
    Parameter(
        "commissions[].currency_conversion.converted_value",
        Kind.NUMBER,
        _("Amount of the commission after conversion, if it was converted."),
        _of_conversion("value"),
        OWN,
    ),
    Parameter(
        "commissions[].currency_conversion.converted_to_currency",
        Kind.STRING,
        _("Currency it was converted to, ISO 4217."),
        _of_conversion("currency"),
        OWN,
        size=3,
    ),
    Parameter(
        "commissions[].currency_conversion.conversion_rate",
        Kind.NUMBER,
        _("Rate of the conversion."),
        _of_conversion("rate"),
        OWN,
    ),
    Parameter("purchase.transaction", Kind.STRING, _("Transaction code: HP and digits."), lambda s: s.code),
    Parameter("purchase.status", Kind.STRING, _("Status of the sale."), lambda s: s.status),
    Parameter("purchase.order_date", Kind.MILLISECONDS, _("When it was ordered."), lambda s: s.ordered_at),
    Parameter(
        "purchase.approved_date",
        Kind.MILLISECONDS,
        _("When the payment was approved."),
        lambda s: s.approved_at,
        events=PAID,
    ),
    Parameter(
        "purchase.price.value", Kind.NUMBER, _("Price of the offer in this purchase."), lambda s: s.price
    ),
    Parameter(
        "purchase.price.currency_value",
        Kind.STRING,
        _("Currency of the price, ISO 4217."),
        lambda s: s.currency,
    ),
    Parameter(
        "purchase.full_price.value",
        Kind.NUMBER,
        _("What the buyer pays, with interest and taxes."),
        _or_price("full_price"),
    ),
    Parameter(
        "purchase.full_price.currency_value",
        Kind.STRING,
        _("Currency of the full price, ISO 4217."),
        lambda s: s.currency,
    ),
    Parameter(
        "purchase.original_offer_price.value",
        Kind.NUMBER,
        _("Price of the offer before the discount."),
        _or_price("original_offer_price"),
    ),
    Parameter(
        "purchase.original_offer_price.currency_value",
        Kind.STRING,
        _("Currency of the offer, ISO 4217."),
        lambda s: s.currency,
    ),
    Parameter("purchase.offer.code", Kind.STRING, _("Offer code."), lambda s: s.offer_code),
    Parameter(
        "purchase.offer.coupon_code", Kind.STRING, _("Coupon, if one was used."), lambda s: s.coupon_code
    ),
    Parameter(
        "purchase.checkout_country.name",
        Kind.STRING,
        _("Country of the checkout."),
        lambda s: s.checkout_country,
    ),
    Parameter(
        "purchase.checkout_country.iso",
        Kind.STRING,
        _("Country of the checkout as ISO 3166-1 alpha-2."),
        lambda s: s.checkout_country_iso,
    ),
    Parameter(
        "purchase.order_bump.is_order_bump",
        Kind.BOOLEAN,
        _("Whether it was bought as an order bump."),
        lambda s: s.is_order_bump,
    ),
    Parameter(
        "purchase.order_bump.parent_purchase_transaction",
        Kind.STRING,
        _("Transaction code of the main sale of an order bump."),
        lambda s: s.parent_code if s.is_order_bump else None,
    ),
    Parameter(
        "purchase.payment.type",
        Kind.STRING,
        _("How the buyer pays: CREDIT_CARD, BILLET, PIX, …"),
        lambda s: s.payment_type,
    ),
    Parameter(
        "purchase.payment.installments_number",
        Kind.INTEGER,
        _("Number of instalments, 1 or more."),
        lambda s: s.installments,
    ),
    Parameter(
        "purchase.payment.billet_url",
        Kind.STRING,
        _("Address of the bank slip."),
        _if_billet("billet_url"),
        BUYER,
    ),
    Parameter(
        "purchase.payment.billet_barcode",
        Kind.STRING,
        _("Barcode of the bank slip, with dots and blanks."),
        _if_billet("billet_barcode"),
        BUYER,
    ),
    Parameter(
        "purchase.payment.pix_code",
        Kind.STRING,
        _("PIX code to copy and paste."),
        _if_pix("pix_code"),
        BUYER,
        PURCHASE - {EventType.CANCELED},
    ),
    Parameter(
        "purchase.payment.pix_qrcode",
        Kind.STRING,
        _("Address of the PIX code's QR image."),
        _if_pix("pix_qrcode"),
        BUYER,
        PURCHASE - {EventType.CANCELED},
    ),
    Parameter(
        "purchase.payment.pix_expiration_date",
        Kind.MILLISECONDS,
        _("When the PIX code runs out."),
        _if_pix("pix_expires_at"),
        BUYER,
        PURCHASE - {EventType.CANCELED},
    ),
    Parameter(
        "purchase.payment.refusal_reason",
        Kind.STRING,
        _("Why the payment was refused, if it was: free text."),
        lambda s: s.refusal_reason,
        events=REFUSED,
    ),
    Parameter("purchase.origin.src", Kind.STRING, _("Tracking code src of the sales link."), lambda s: s.src),
    Parameter("purchase.origin.sck", Kind.STRING, _("Tracking code sck of the sales link."), lambda s: s.sck),
    Parameter(
        "purchase.origin.xcod", Kind.STRING, _("Tracking code xcod of the sales link."), lambda s: s.xcod
    ),
    Parameter(
        "purchase.event_tickets.amount",
        Kind.INTEGER,
        _("Number of tickets in the purchase, if it has tickets."),
        lambda s: s.tickets or None,
    ),
    Parameter(
        "purchase.is_funnel",
        Kind.BOOLEAN,
        _("Whether it was bought in a sales funnel."),
        lambda s: s.is_funnel,
    ),
    Parameter("purchase.business_model", Kind.STRING, _("Business model: always I."), lambda s: "I", size=1),
    Parameter(
        "purchase.recurrence_number",
        Kind.INTEGER,
        _("Which charge of the subscription this is, from 1."),
        lambda s: s.recurrence_number if s.subscription else None,
    ),
    Parameter(
        "purchase.date_next_charge",
        Kind.MILLISECONDS,
        _("Next charge of the subscription, once a charge was paid."),
        _next_charge,
        events=CHARGED | {EventType.BILLET_PRINTED},
    ),
    Parameter(
        "subscription.status", Kind.STRING, _("Status of the subscription."), _of_subscription("status")
    ),
    Parameter("subscription.plan.id", Kind.INTEGER, _("Plan code."), _of_subscription("plan_code")),
    Parameter("subscription.plan.name", Kind.STRING, _("Plan name."), _of_subscription("plan_name")),
    Parameter(
        "subscription.subscriber.code",
        Kind.STRING,
        _("Subscriber code."),
        _of_subscription("subscriber_code"),
    ),
    Parameter(
        "affiliate",
        Kind.BOOLEAN,
        _("Whether the visit came through an affiliate."),
        lambda c: c.affiliate is not None,
        events=CART,
    ),
    Parameter("product.id", Kind.INTEGER, _("Product code."), lambda c: c.product.code, events=CART),
    Parameter("product.name", Kind.STRING, _("Product name."), lambda c: c.product.name, events=CART),
    Parameter("buyer.name", Kind.STRING, _("The buyer's full name."), lambda c: c.buyer_name, BUYER, CART),
    Parameter("buyer.email", Kind.STRING, _("The buyer's e-mail."), lambda c: c.buyer_email, BUYER, CART),
    Parameter(
        "buyer.phone", Kind.STRING, _("The buyer's phone, if given."), lambda c: c.buyer_phone, BUYER, CART
    ),
    Parameter("offer.code", Kind.STRING, _("Offer code."), lambda c: c.offer_code, events=CART),
    Parameter(
        "checkout_country.name",
        Kind.STRING,
        _("Country of the checkout."),
        lambda c: c.checkout_country,
        events=CART,
    ),
    Parameter(
        "checkout_country.iso",
        Kind.STRING,
        _("Country of the checkout as ISO 3166-1 alpha-2."),
        lambda c: c.checkout_country_iso,
        events=CART,
    ),
)
