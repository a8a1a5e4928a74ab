"""The parameters of 1.0.0, in the order in which they are written: those of the form, and those of the JSON bodies.

Where a row says nothing else, the parameter is in all purchase events and in the affiliate's copy too, and a sale
that lacks the fact lacks the key. ALWAYS: the key is there all the same, and empty. What the affiliate may not see
is missing too, or empty where it is ALWAYS there.
"""

from functools import partial

from django.utils.translation import gettext_lazy as _

from . import facts, words_v1
from .kinds import (
    BOOLEAN,
    BUYER,
    CART,
    DECIMAL,
    INTEGER,
    NO,
    OWN,
    STRING,
    TIME,
    Parameter,
)

Always = partial(Parameter, may_be_empty=True)

V1: tuple[Parameter, ...] = (
    Always("callback_type", INTEGER, _("1: a purchase."), facts.callback_type),
    Always(
        "hottok",
        STRING,
        _("The account’s security token: the proof that the post is ours."),
        None,
        OWN,
        longest=64,
    ),
    Always("prod", INTEGER, _("Product code."), "product.code"),
    Always("prod_name", STRING, _("Product name."), "product.name"),
    Always("off", STRING, _("Offer code."), "offer_code"),
    Always("price", DECIMAL, _("Price of the offer in this purchase."), "price"),
    Always("aff", STRING, _("Affiliate code."), "affiliate.code"),
    Always("aff_name", STRING, _("Affiliate name."), "affiliate.name"),
    Always("email", STRING, _("The buyer’s e-mail."), "buyer_email", BUYER),
    Always("name", STRING, _("The buyer’s full name."), "buyer_name", BUYER),
    Always(
        "first_name",
        STRING,
        _("The first word of the buyer’s name."),
        facts.first_name,
        BUYER,
        like="buyer_name",
    ),
    Always(
        "last_name",
        STRING,
        _("The other words of the buyer’s name."),
        facts.last_name,
        BUYER,
        like="buyer_name",
    ),
    Parameter("doc", STRING, _("The buyer’s document, if known."), "buyer_document", BUYER),
    Parameter("doc_type", STRING, _("Type of the document: CPF, CNPJ, DNI, …"), "buyer_document_type", BUYER),
    Parameter(
        "phone_local_code",
        STRING,
        _("Area code of the buyer’s phone of record, if known: digits."),
        "buyer_phone_record_code",
        BUYER,
    ),
    Parameter(
        "phone_number",
        STRING,
        _("The buyer’s phone of record, if known: digits."),
        "buyer_phone_record",
        BUYER,
    ),
    Always(
        "phone_checkout_local_code",
        STRING,
        _("Area code of the phone given at the checkout: digits."),
        "buyer_phone_code",
        BUYER,
    ),
    Always(
        "phone_checkout_number",
        STRING,
        _("Phone given at the checkout: digits without the area code."),
        "buyer_phone",
        BUYER,
    ),
    Parameter("address", STRING, _("Street, if given."), "buyer_address", BUYER),
    Parameter("address_number", STRING, _("Number in the street, if given."), "buyer_number", BUYER),
    Parameter("address_country", STRING, _("The buyer’s country, if known."), "buyer_country", BUYER),
    Parameter(
        "address_country_ISO", STRING, _("Its code by ISO 3166-1 alpha-2."), "buyer_country_iso", BUYER
    ),
    Parameter("address_district", STRING, _("Neighbourhood, if given."), "buyer_neighborhood", BUYER),
    Parameter("address_comp", STRING, _("Flat, floor and the like, if given."), "buyer_complement", BUYER),
    Parameter("address_city", STRING, _("City, if given."), "buyer_city", BUYER),
    Parameter("address_state", STRING, _("State, if given."), "buyer_state", BUYER),
    Parameter("address_zip_code", STRING, _("Postcode, if given."), "buyer_zipcode", BUYER),
    Always("transaction", STRING, _("Transaction code: HP and digits."), "code"),
    Always("xcod", STRING, _("Tracking code “xcod” of the sales link."), "xcod"),
    Always("sck", STRING, _("Tracking code “sck” of the sales link."), "sck"),
    Parameter("src", STRING, _("Tracking code “src” of the sales link."), "src"),
    Parameter("utm_source", STRING, _("“utm_source” of the sales link."), "utm_source"),
    Parameter("utm_medium", STRING, _("“utm_medium” of the sales link."), "utm_medium"),
    Parameter("utm_campaign", STRING, _("“utm_campaign” of the sales link."), "utm_campaign"),
    Parameter("utm_term", STRING, _("“utm_term” of the sales link."), "utm_term"),
    Parameter("utm_content", STRING, _("“utm_content” of the sales link."), "utm_content"),
    Always(
        "status",
        STRING,
        _(
            "Status of the sale: approved, completed, canceled, billet_printed, dispute, refunded, chargeback, expired, delayed."
        ),
        words_v1.status,
        like="status",
    ),
    Always("payment_engine", STRING, _("Which payment engine took it."), "payment_engine"),
    Always(
        "payment_type",
        STRING,
        _(
            "How the buyer pays: billet, credit_card, pix, paypal, … Treat one that you don’t know as another means."
        ),
        words_v1.payment_type,
        like="payment_type",
    ),
    Parameter("hotkey", STRING, _("Serial for members’ sites, if the sale has one."), "hotkey", NO),
    Parameter(
        "name_subscription_plan",
        STRING,
        _("Plan name, of a subscription."),
        "subscription.plan_name",
        like="subscription.plan.name",
    ),
    Parameter(
        "subscriber_code", STRING, _("Subscriber code, of a subscription."), "subscription.subscriber_code"
    ),
    Parameter(
        "recurrency_period",
        INTEGER,
        _("Days between the charges of the subscription: 7, 30, 60, 90, 180 or 360."),
        "subscription.recurrency_period",
    ),
    Parameter(
        "recurrency",
        INTEGER,
        _("Which charge of the subscription this is, from 1."),
        "recurrence_number",
        when=facts.is_subscription,
    ),
    Parameter(
        "subscription_status",
        STRING,
        _("Status of the subscription: active, canceled, past_due, expired, started or inactive."),
        words_v1.subscription_status,
        like="subscription.status",
    ),
    Parameter(
        "signature_status",
        STRING,
        _(
            "The older word for it: active, inactive, delayed, expired, started, or canceled_by_client, _vendor or _admin."
        ),
        words_v1.signature_status,
        like="subscription.status",
    ),
    Parameter(
        "subscription_date_next_charge",
        TIME,
        _("Next charge of the subscription."),
        "subscription.next_charge_at",
    ),
    Always(
        "cms_marketplace",
        DECIMAL,
        _("Commission of the platform."),
        words_v1.platform_share,
        NO,
        missing_if_hidden=True,
    ),
    Always(
        "cms_vendor",
        DECIMAL,
        _("Commission of the producer."),
        words_v1.producer_share,
        NO,
        missing_if_hidden=True,
    ),
    Parameter(
        "cms_aff",
        DECIMAL,
        _("Commission of the affiliate, if there is one; several amounts are joined by a semicolon."),
        words_v1.affiliate_shares,
        OWN,
    ),
    Parameter(
        "cms_aff_currency",
        STRING,
        _("Its currency by ISO 4217, such as BRL."),
        words_v1.affiliate_currencies,
        OWN,
    ),
    Parameter(
        "aff_cms_rate_currency",
        STRING,
        _("The currency that the commission was converted to, if it was: by ISO 4217."),
        words_v1.converted_currencies,
        OWN,
    ),
    Parameter(
        "aff_cms_rate_commission",
        DECIMAL,
        _("Its amount after the conversion."),
        words_v1.converted_shares,
        OWN,
    ),
    Parameter(
        "aff_cms_rate_conversion", DECIMAL, _("Rate of the conversion."), words_v1.conversion_rates, OWN
    ),
    Parameter("coupon_code", STRING, _("Coupon, if one was used."), "coupon_code"),
    Always("transaction_ext", STRING, _("Code at the payment provider."), "transaction_ext"),
    Always("purchase_date", TIME, _("When it was ordered."), "ordered_at"),
    Parameter(
        "confirmation_purchase_date", TIME, _("When the payment was approved, if it was."), "approved_at"
    ),
    Parameter("billet_url", STRING, _("Address of the bank slip."), "billet_url", BUYER, when=facts.by_slip),
    Parameter(
        "billet_barcode",
        STRING,
        _("Its barcode, with dots and blanks."),
        "billet_barcode",
        BUYER,
        when=facts.by_slip,
    ),
    Always("currency", STRING, _("Currency of the price by ISO 4217, such as BRL."), "currency"),
    Always(
        "currency_code_from",
        STRING,
        _("Currency of the offer by ISO 4217."),
        facts.offer_currency,
        like="currency",
    ),
    Always(
        "currency_code_from_",
        STRING,
        _("Currency of the payment by ISO 4217. The underscore at the end belongs to the name."),
        facts.payment_currency,
        like="currency",
    ),
    Always(
        "original_offer_price",
        DECIMAL,
        _("Price of the offer before interest, taxes and discount."),
        facts.original_offer_price,
    ),
    Always("full_price", DECIMAL, _("The price with interest and taxes."), facts.full_price),
    Always("producer_name", STRING, _("Producer name."), "product.owner.name"),
    Always(
        "producer_legal_nature",
        STRING,
        _("Pessoa Física (a person) or Pessoa Jurídica (a company)."),
        "product.owner.legal_nature",
    ),
    Always("producer_document", STRING, _("The producer’s document."), "product.owner.document", NO),
    Parameter(
        "refusal_reason",
        STRING,
        _("Why the payment was refused, if it was: free text."),
        "refusal_reason",
        when=facts.was_refused,
    ),
    Parameter(
        "warranty_date",
        TIME,
        _("End of the guarantee, once the payment was approved."),
        "warranty_until",
        when=facts.was_approved,
    ),
    Parameter(
        "product_support_email",
        STRING,
        _("Support address, if the product has one."),
        "product.support_email",
    ),
    Parameter("amount", INTEGER, _("Number of tickets, if any."), "tickets", when=facts.has_tickets),
    Always("installments_number", INTEGER, _("Number of instalments, from 1."), "installments"),
    Always("has_co_production", BOOLEAN, _("Whether it is co-produced."), "product.has_co_production"),
    Always(
        "productOfferPaymentMode",
        STRING,
        _("How the offer is paid: pagamento_unico, multiplos_pagamentos, pagamento_vista or assinatura."),
        words_v1.payment_mode,
        like="payment_mode",
    ),
    Always("receiver_type", STRING, _("For whom this post is: SELLER or AFFILIATE."), None, OWN, longest=9),
    Always("funnel", BOOLEAN, _("Whether it was sold in a funnel."), "is_funnel"),
    Always("order_bump", BOOLEAN, _("Whether it was bought as an order bump."), "is_order_bump"),
    Parameter(
        "parent_purchase_transaction",
        STRING,
        _("Transaction code of the order bump’s main sale."),
        "parent_code",
        when=facts.is_order_bump,
    ),
    Always("business_model", STRING, _("Always “I”."), facts.business_model, longest=1),
)

# The bodies of the events that are no purchase. Receivers tell them apart by their keys.
V1_JSON: tuple[Parameter, ...] = (
    Parameter(
        "hottok",
        STRING,
        _("The account’s security token: the proof that the post is ours."),
        None,
        OWN,
        CART,
        longest=64,
    ),
    Parameter(
        "affiliate",
        BOOLEAN,
        _("Whether the visit came through an affiliate."),
        facts.has_affiliate,
        events=CART,
    ),
    Parameter("productName", STRING, _("Product name."), "product.name", events=CART),
    Parameter("productId", INTEGER, _("Product code."), "product.code", events=CART),
    Parameter(
        "productUcode",
        STRING,
        _("Universal code of the product: a UUID."),
        "product.ucode",
        events=CART,
        longest=36,
    ),
    Parameter(
        "productCategory", INTEGER, _("Number of the product’s category."), "product.category", events=CART
    ),
    Parameter("buyerVO.name", STRING, _("The buyer’s full name."), "buyer_name", BUYER, events=CART),
    Parameter("buyerVO.email", STRING, _("The buyer’s e-mail."), "buyer_email", BUYER, events=CART),
    Parameter(
        "buyerVO.phone", STRING, _("The buyer’s phone, if given: digits."), "buyer_phone", BUYER, events=CART
    ),
    Parameter(
        "hasNegotiate",
        BOOLEAN,
        _("Whether a negotiation was offered for the cart."),
        "has_negotiation",
        events=CART,
    ),
    Parameter(
        "subscriptionPlanId", INTEGER, _("Plan code, when a plan was in the cart."), "plan_code", events=CART
    ),
)
