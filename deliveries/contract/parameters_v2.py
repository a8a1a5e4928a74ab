"""The parameters of 2.0.0, under `data`, in the order in which they are written.

Where a row says nothing else, the parameter is in all purchase events and in the affiliate's copy too. A sale that
lacks the fact lacks the key.
"""

from django.utils.translation import gettext_lazy as _

from configurations.events import EventType

from . import facts
from .kinds import (
    BOOLEAN,
    BUYER,
    CART,
    EVERY,
    INTEGER,
    MILLISECONDS,
    NO,
    NUMBER,
    OWN,
    PAID,
    PURCHASE,
    STRING,
    TIME,
    Parameter,
)

# What every body has around its `data`; where no fact is named, the post itself gives the value.
ENVELOPE: tuple[Parameter, ...] = (
    Parameter(
        "id",
        STRING,
        _("The event’s, a UUID: the same on every attempt. Drop repeats by it."),
        None,
        longest=36,
    ),
    Parameter("creation_date", MILLISECONDS, _("When the event arose."), None),
    Parameter("event", STRING, _("Code of the event."), None, longest=40),
    Parameter("version", STRING, _("Always “2.0.0”."), None, longest=5),
    Parameter(
        "hottok",
        STRING,
        _("The account’s security token, as in the header. Here only if the configuration asks for it."),
        None,
        OWN,
        longest=64,
        asked_for=True,
    ),
)

_OVERDUE = frozenset({EventType.DELAYED})
_REFUSED = frozenset({EventType.CANCELED}) | _OVERDUE
_CHARGED = PAID | _OVERDUE | {EventType.BILLET_PRINTED}
_NOT_CANCELED = PURCHASE - {EventType.CANCELED}

V2: tuple[Parameter, ...] = (
    Parameter("product.id", INTEGER, _("Product code."), "product.code", events=EVERY),
    Parameter(
        "product.ucode", STRING, _("Universal code of the product: a UUID."), "product.ucode", longest=36
    ),
    Parameter("product.name", STRING, _("Product name."), "product.name", events=EVERY),
    Parameter("product.warranty_date", TIME, _("End of the guarantee."), "warranty_until", events=PAID),
    Parameter(
        "product.support_email",
        STRING,
        _("Support address, if the product has one."),
        "product.support_email",
    ),
    Parameter(
        "product.has_co_production", BOOLEAN, _("Whether it is co-produced."), "product.has_co_production"
    ),
    Parameter("product.is_physical_product", BOOLEAN, _("Whether it is shipped."), "product.is_physical"),
    Parameter(
        "product.content.has_physical_products",
        BOOLEAN,
        _("Of a bundle: whether any product in it is shipped."),
        facts.holds_physical,
        when=facts.is_bundle,
    ),
    Parameter(
        "product.content.products[].id", INTEGER, _("Product code of a product in the bundle."), "code"
    ),
    Parameter("product.content.products[].ucode", STRING, _("Its universal code."), "ucode", longest=36),
    Parameter("product.content.products[].name", STRING, _("Its name."), "name", longest=255),
    Parameter(
        "product.content.products[].is_physical_product", BOOLEAN, _("Whether it is shipped."), "is_physical"
    ),
    Parameter(
        "affiliate",
        BOOLEAN,
        _("Whether the visit came through an affiliate."),
        facts.has_affiliate,
        events=CART,
    ),
    Parameter(
        "affiliates[].affiliate_code",
        STRING,
        _("Affiliate code. Without an affiliate the list holds one entry with empty strings."),
        "code",
        may_be_empty=True,
        longest=20,
    ),
    Parameter("affiliates[].name", STRING, _("Affiliate name."), "name", may_be_empty=True, longest=200),
    Parameter("buyer.email", STRING, _("The buyer’s e-mail."), "buyer_email", BUYER, EVERY),
    Parameter("buyer.name", STRING, _("The buyer’s full name."), "buyer_name", BUYER, EVERY),
    Parameter("buyer.phone", STRING, _("The buyer’s phone, if given."), "buyer_phone", BUYER, CART),
    Parameter(
        "buyer.first_name",
        STRING,
        _("The first word of the buyer’s name."),
        facts.first_name,
        BUYER,
        like="buyer_name",
    ),
    Parameter(
        "buyer.last_name",
        STRING,
        _("The other words of the buyer’s name."),
        facts.last_name,
        BUYER,
        like="buyer_name",
    ),
    Parameter("buyer.document", STRING, _("The buyer’s document, if known."), "buyer_document", BUYER),
    Parameter(
        "buyer.document_type", STRING, _("Type of the document: CPF, CNPJ, …"), "buyer_document_type", BUYER
    ),
    Parameter(
        "buyer.checkout_phone",
        STRING,
        _("Phone given at the checkout, if any: digits without the area code."),
        "buyer_phone",
        BUYER,
    ),
    Parameter("buyer.checkout_phone_code", STRING, _("Area code of the phone."), "buyer_phone_code", BUYER),
    Parameter("buyer.address.country", STRING, _("The buyer’s country, if known."), "buyer_country", BUYER),
    Parameter(
        "buyer.address.country_iso", STRING, _("Its code by ISO 3166-1 alpha-2."), "buyer_country_iso", BUYER
    ),
    Parameter("buyer.address.zipcode", STRING, _("Postcode, if given."), "buyer_zipcode", BUYER),
    Parameter("buyer.address.address", STRING, _("Street, if given."), "buyer_address", BUYER),
    Parameter("buyer.address.number", STRING, _("Number in the street, if given."), "buyer_number", BUYER),
    Parameter(
        "buyer.address.complement",
        STRING,
        _("Flat, floor and the like, if given."),
        "buyer_complement",
        BUYER,
    ),
    Parameter(
        "buyer.address.neighborhood", STRING, _("Neighbourhood, if given."), "buyer_neighborhood", BUYER
    ),
    Parameter("buyer.address.city", STRING, _("City, if given."), "buyer_city", BUYER),
    Parameter("buyer.address.state", STRING, _("State, if given."), "buyer_state", BUYER),
    Parameter("producer.name", STRING, _("Producer name."), "product.owner.name"),
    Parameter(
        "producer.legal_nature",
        STRING,
        _("Pessoa Física (a person) or Pessoa Jurídica (a company)."),
        "product.owner.legal_nature",
    ),
    Parameter(
        "producer.document", STRING, _("The producer’s document: digits."), "product.owner.document", NO
    ),
    Parameter(
        "commissions[].source",
        STRING,
        _("Whose share it is: MARKETPLACE, PRODUCER, COPRODUCER, AFFILIATE or ADDON."),
        "source",
        OWN,
        longest=11,
    ),
    Parameter("commissions[].value", NUMBER, _("Amount of the commission."), "value", OWN),
    Parameter(
        "commissions[].currency_value", STRING, _("Its currency by ISO 4217, such as BRL."), "currency", OWN
    ),
    Parameter(
        "commissions[].currency_conversion.converted_value",
        NUMBER,
        _("Amount after the conversion, if the commission was converted."),
        "conversion.value",
        OWN,
    ),
    Parameter(
        "commissions[].currency_conversion.converted_to_currency",
        STRING,
        _("The currency it was converted to, by ISO 4217."),
        "conversion.currency",
        OWN,
        longest=3,
    ),
    Parameter(
        "commissions[].currency_conversion.conversion_rate",
        NUMBER,
        _("Rate of the conversion."),
        "conversion.rate",
        OWN,
    ),
    Parameter("offer.code", STRING, _("Offer code."), "offer_code", events=CART),
    Parameter(
        "checkout_country.name", STRING, _("Country of the checkout."), "checkout_country", events=CART
    ),
    Parameter(
        "checkout_country.iso",
        STRING,
        _("Its code by ISO 3166-1 alpha-2."),
        "checkout_country_iso",
        events=CART,
    ),
    Parameter("purchase.transaction", STRING, _("Transaction code: HP and digits."), "code"),
    Parameter("purchase.status", STRING, _("Status of the sale."), "status"),
    Parameter("purchase.order_date", MILLISECONDS, _("When it was ordered."), "ordered_at"),
    Parameter(
        "purchase.approved_date",
        MILLISECONDS,
        _("When the payment was approved."),
        "approved_at",
        events=PAID,
    ),
    Parameter("purchase.price.value", NUMBER, _("Price of the offer in this purchase."), "price"),
    Parameter(
        "purchase.price.currency_value", STRING, _("Its currency by ISO 4217, such as BRL."), "currency"
    ),
    Parameter("purchase.full_price.value", NUMBER, _("The price with interest and taxes."), facts.full_price),
    Parameter(
        "purchase.full_price.currency_value", STRING, _("Its currency by ISO 4217, such as BRL."), "currency"
    ),
    Parameter(
        "purchase.original_offer_price.value",
        NUMBER,
        _("Price of the offer before the discount."),
        facts.original_offer_price,
    ),
    Parameter(
        "purchase.original_offer_price.currency_value",
        STRING,
        _("Its currency by ISO 4217, such as BRL."),
        "currency",
    ),
    Parameter("purchase.offer.code", STRING, _("Offer code."), "offer_code"),
    Parameter("purchase.offer.coupon_code", STRING, _("Coupon, if one was used."), "coupon_code"),
    Parameter("purchase.checkout_country.name", STRING, _("Country of the checkout."), "checkout_country"),
    Parameter(
        "purchase.checkout_country.iso",
        STRING,
        _("Its code by ISO 3166-1 alpha-2."),
        "checkout_country_iso",
    ),
    Parameter(
        "purchase.order_bump.is_order_bump",
        BOOLEAN,
        _("Whether it was bought as an order bump."),
        "is_order_bump",
    ),
    Parameter(
        "purchase.order_bump.parent_purchase_transaction",
        STRING,
        _("Transaction code of the order bump’s main sale."),
        "parent_code",
        when=facts.is_order_bump,
    ),
    Parameter(
        "purchase.payment.type", STRING, _("How the buyer pays: CREDIT_CARD, BILLET, PIX, …"), "payment_type"
    ),
    Parameter(
        "purchase.payment.installments_number", INTEGER, _("Number of instalments, from 1."), "installments"
    ),
    Parameter(
        "purchase.payment.billet_url",
        STRING,
        _("Address of the bank slip."),
        "billet_url",
        BUYER,
        when=facts.by_slip,
    ),
    Parameter(
        "purchase.payment.billet_barcode",
        STRING,
        _("Its barcode, with dots and blanks."),
        "billet_barcode",
        BUYER,
        when=facts.by_slip,
    ),
    Parameter(
        "purchase.payment.pix_code",
        STRING,
        _("The PIX code, to copy and paste."),
        "pix_code",
        BUYER,
        _NOT_CANCELED,
        facts.by_pix,
    ),
    Parameter(
        "purchase.payment.pix_qrcode",
        STRING,
        _("Address of its QR code."),
        "pix_qrcode",
        BUYER,
        _NOT_CANCELED,
        facts.by_pix,
    ),
    Parameter(
        "purchase.payment.pix_expiration_date",
        MILLISECONDS,
        _("When it runs out."),
        "pix_expires_at",
        BUYER,
        _NOT_CANCELED,
        facts.by_pix,
    ),
    Parameter(
        "purchase.payment.refusal_reason",
        STRING,
        _("Why the payment was refused, if it was: free text."),
        "refusal_reason",
        events=_REFUSED,
    ),
    Parameter("purchase.origin.src", STRING, _("Tracking code “src” of the sales link."), "src"),
    Parameter("purchase.origin.sck", STRING, _("Tracking code “sck” of the sales link."), "sck"),
    Parameter("purchase.origin.xcod", STRING, _("Tracking code “xcod” of the sales link."), "xcod"),
    Parameter(
        "purchase.event_tickets.amount",
        INTEGER,
        _("Number of tickets, if any."),
        "tickets",
        when=facts.has_tickets,
    ),
    Parameter("purchase.is_funnel", BOOLEAN, _("Whether it was sold in a funnel."), "is_funnel"),
    Parameter(
        "purchase.subscription_anticipation_purchase",
        BOOLEAN,
        _("Whether it is a subscription’s charge before its day."),
        "is_anticipation",
    ),
    Parameter("purchase.business_model", STRING, _("Always “I”."), facts.business_model, longest=1),
    Parameter("purchase.invoice_by", STRING, _("Who writes the invoice: HOTMART or SELLER."), "invoice_by"),
    Parameter(
        "purchase.recurrence_number",
        INTEGER,
        _("Which charge of the subscription this is, from 1."),
        "recurrence_number",
        when=facts.is_subscription,
    ),
    Parameter(
        "purchase.date_next_charge",
        MILLISECONDS,
        _("Next charge of the subscription, once a first one was paid."),
        "subscription.next_charge_at",
        events=_CHARGED,
        when=facts.was_charged,
    ),
    Parameter("subscription.status", STRING, _("Status of the subscription."), "subscription.status"),
    Parameter("subscription.plan.id", INTEGER, _("Plan code."), "subscription.plan_code"),
    Parameter(
        "subscription.plan.name",
        STRING,
        _("Plan name."),
        "subscription.plan_name",
        like="subscription.plan.name",
    ),
    Parameter("subscription.subscriber.code", STRING, _("Subscriber code."), "subscription.subscriber_code"),
)
