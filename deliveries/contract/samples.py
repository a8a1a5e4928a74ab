"""An invented sale, cart or subscription for every event: what a test post, the documentation and examples show.

Always the same, and of nobody: people, documents, phones, codes and links are made up.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from configurations.events import BY_TYPE, EventType

from .snapshot import Cart, Commission, Conversion, Part, Product, Sale, Seller, Subscription
from .subscription import ChangedSubscription, Plan

Snapshot = Sale | Cart | ChangedSubscription

OCCURRED_AT = datetime(2026, 5, 12, 14, 21, 40, 417000, UTC)
_NAMESPACE = uuid.UUID("5b0f4b1e-6d0a-5e0c-9d52-0c6f0b0f5a11")

PRODUCER = Seller(
    code="P1000001",
    name="Estúdio Exemplo Ltda",
    legal_nature="Pessoa Jurídica",
    document="11222333000181",
)
AFFILIATE = Seller(code="A10000001B", name="Parceira Exemplo")
COURSE = Product(
    code=4100001,
    ucode="cd613e30-d8f1-4adf-91b7-584a2265b1f5",
    name="Curso de Fotografia de Rua",
    owner=PRODUCER,
    support_email="ajuda@example.com",
)
CLUB = Product(
    code=4100002,
    ucode="d95bafc8-f2a4-427b-9cf4-bb99f4bea973",
    name="Clube do Pão de Fermentação Natural",
    owner=PRODUCER,
    support_email="clube@example.com",
)
_CONTENT = (Part(4100003, "6f2c1f0e-3a55-4d0b-9e5c-2f6a7b8c9d01", "Guia de Bolso", is_physical=True),)
_BARE_PRODUCT = replace(COURSE, support_email="", owner=replace(PRODUCER, document=""))
_BUYER: dict[str, Any] = {
    "buyer_name": "João Nunes Araújo",
    "buyer_email": "joao.nunes@example.com",
    "buyer_document": "12345678909",
    "buyer_document_type": "CPF",
    "buyer_phone_code": "31",
    "buyer_phone": "900000002",
    "buyer_phone_record_code": "31",
    "buyer_phone_record": "900000002",
    "buyer_country": "Brasil",
    "buyer_country_iso": "BR",
    "buyer_zipcode": "30000000",
    "buyer_address": "Avenida do Exemplo",
    "buyer_number": "7",
    "buyer_complement": "Apto 34",
    "buyer_neighborhood": "Centro",
    "buyer_city": "Belo Horizonte",
    "buyer_state": "MG",
}
_COUNTRY: dict[str, Any] = {"checkout_country": "Brasil", "checkout_country_iso": "BR"}
_SLIP: dict[str, Any] = {
    "payment_type": "BILLET",
    "installments": 1,
    "billet_url": "https://slips.example.com/00000001",
    "billet_barcode": "00190.00009 01234.567890 12345.678901 1 99990000014700",
    "billet_due_on": date(2026, 5, 15),
}
_PIX: dict[str, Any] = {
    "payment_type": "PIX",
    "installments": 1,
    "pix_code": "00020126580014br.gov.bcb.pix01365d357ffe-4423-460d-9b0e-da407f5e8e615204000053039865406147.00"
    "5802BR5915ESTUDIO EXEMPLO6009SAO PAULO62070503***6304ABCD",
    "pix_qrcode": "https://pix.example.com/qr?hash=00000001",
    "pix_expires_at": datetime(2026, 5, 14, 14, 20, 31, tzinfo=UTC),
}
_REFUSED = {"refusal_reason": "Saldo insuficiente"}

_COURSE_SALE = Sale(
    code="HP1000000004",
    product=COURSE,
    affiliate=AFFILIATE,
    ordered_at=datetime(2026, 5, 12, 14, 20, 31, tzinfo=UTC),
    approved_at=datetime(2026, 5, 12, 14, 21, 38, tzinfo=UTC),
    warranty_until=datetime(2026, 5, 19, tzinfo=UTC),
    price=Decimal("147.00"),
    full_price=Decimal("176.40"),
    original_offer_price=Decimal("197.00"),
    currency="BRL",
    commissions=(
        Commission("MARKETPLACE", Decimal("15.55"), "BRL"),
        Commission("PRODUCER", Decimal("72.65"), "BRL"),
        Commission("AFFILIATE", Decimal("58.80"), "BRL"),
    ),
    offer_code="ab12cd34",
    coupon_code="AMIGO50",
    payment_type="CREDIT_CARD",
    payment_engine="hotmart",
    transaction_ext="HP1000000004",
    installments=12,
    src="newsletter",
    sck="maio26",
    invoice_by="HOTMART",
    **_BUYER,
    **_COUNTRY,
)
_CLUB_SALE = replace(
    _COURSE_SALE,
    code="HP1000000001",
    transaction_ext="HP1000000001",
    product=CLUB,
    price=Decimal("49.90"),
    full_price=Decimal("49.90"),
    original_offer_price=Decimal("49.90"),
    commissions=(
        Commission("MARKETPLACE", Decimal("5.99"), "BRL"),
        Commission("PRODUCER", Decimal("23.95"), "BRL"),
        Commission("AFFILIATE", Decimal("19.96"), "BRL"),
    ),
    offer_code="pl7mens1",
    coupon_code="",
    installments=1,
    subscription=Subscription(
        subscriber_code="QX1SUB01",
        plan_code=700001,
        plan_name="Plano Mensal",
        status="ACTIVE",
        next_charge_at=datetime(2026, 6, 12, 12, tzinfo=UTC),
        recurrency_period=30,
    ),
    recurrence_number=1,
)
_UNPAID: dict[str, Any] = {"approved_at": None, "warranty_until": None}
_CART = Cart(
    code="CT1000000001",
    product=COURSE,
    affiliate=AFFILIATE,
    buyer_name=_BUYER["buyer_name"],
    buyer_email=_BUYER["buyer_email"],
    buyer_phone="31900000002",
    offer_code="ab12cd34",
    abandoned_at=OCCURRED_AT,
    **_COUNTRY,
)
_MONTHLY = Plan(700001, "Plano Mensal", 30, Decimal("49.90"), "BRL", "pl7mens1")
_YEARLY = Plan(700002, "Plano Anual", 360, Decimal("478.80"), "BRL", "pl7anua1")
_SUBSCRIPTION = ChangedSubscription(
    number=9000001,
    subscriber_code="QX1SUB01",
    product=CLUB,
    plan=_MONTHLY,
    status="ACTIVE",
    name=_BUYER["buyer_name"],
    email=_BUYER["buyer_email"],
    cell_code="31",
    cell="900000002",
    next_charge_at=datetime(2026, 6, 12, 12, tzinfo=UTC),
    charge_day=12,
    actual_recurrence_value=_MONTHLY.price,
    last_recurrence_number=4,
    changed_at=OCCURRED_AT,
)

_SAMPLES: dict[EventType, Snapshot] = {
    EventType.APPROVED: replace(_CLUB_SALE, **_PIX),
    EventType.COMPLETE: _COURSE_SALE,
    EventType.CANCELED: replace(_COURSE_SALE, **_UNPAID, **_REFUSED),
    EventType.BILLET_PRINTED: replace(_COURSE_SALE, **_UNPAID, **_SLIP),
    EventType.EXPIRED: replace(_COURSE_SALE, **_UNPAID, **_SLIP),
    EventType.DELAYED: replace(
        _CLUB_SALE,
        **_UNPAID,
        **_REFUSED,
        recurrence_number=7,
        subscription=replace(_CLUB_SALE.subscription, status="DELAYED"),
    ),
    EventType.PROTEST: _COURSE_SALE,
    EventType.REFUNDED: _COURSE_SALE,
    EventType.CHARGEBACK: _COURSE_SALE,
    EventType.CART_ABANDONED: _CART,
    EventType.SUBSCRIPTION_CANCELLATION: replace(
        _SUBSCRIPTION, status="CANCELLED_BY_CUSTOMER", cancelled_at=OCCURRED_AT
    ),
    EventType.SWITCH_PLAN: replace(
        _SUBSCRIPTION, plan=_YEARLY, previous_plan=_MONTHLY, actual_recurrence_value=_YEARLY.price
    ),
    EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE: replace(
        _SUBSCRIPTION,
        previous_charge_day=12,
        charge_day=20,
        next_charge_at=datetime(2026, 6, 20, 12, tzinfo=UTC),
    ),
}


def sample(event_type: str) -> Snapshot:
    """The facts of the event's sample. Its buyers are not shared, so the affiliate's copy lacks them.

    KeyError for an event that does not exist.
    """
    return _announced(EventType(event_type), _SAMPLES[EventType(event_type)])


def variants(event_type: str) -> Iterator[Snapshot]:
    """The sample, then others of the same event, which together have every fact that a post of it can hold."""
    first = sample(event_type)
    yield first
    if isinstance(first, Cart):
        yield replace(first, plan_code=700001)
    if isinstance(first, ChangedSubscription):
        yield replace(first, phone_code="31", phone="30000002")
    if not isinstance(first, Sale):
        return
    rich = {
        "product": replace(first.product, content=_CONTENT),
        "approved_at": _COURSE_SALE.approved_at,
        "warranty_until": _COURSE_SALE.warranty_until,
        "utm_source": "newsletter",
        "utm_medium": "email",
        "utm_campaign": "maio26",
        "utm_term": "fotografia",
        "utm_content": "botao",
        "hotkey": "HK-0000-0001",
        "is_order_bump": True,
        "parent_code": "HP1000000003",
        "is_funnel": True,
        "tickets": 2,
        "src": "newsletter",
        "sck": "maio26",
        "xcod": "parceria",
        "coupon_code": "AMIGO50",
        "subscription": first.subscription or _CLUB_SALE.subscription,
        "recurrence_number": first.recurrence_number or 4,
        "commissions": tuple(
            replace(share, conversion=Conversion(round(share.value / 5, 2), "USD", Decimal("0.2")))
            for share in first.commissions
        ),
    }
    for payment in (_REFUSED, _SLIP, _PIX):
        yield replace(first, **rich | payment)


def poorest(event_type: str) -> Iterator[Snapshot]:
    """The least that may be known of such an event: what all of these have is always there."""
    first = sample(event_type)
    if isinstance(first, ChangedSubscription):
        bare_plan = replace(first.plan, offer_code="")
        previous = first.previous_plan and bare_plan
        yield replace(
            first,
            name="",
            cell_code="",
            cell="",
            next_charge_at=None,
            last_recurrence_number=None,
            plan=bare_plan,
            previous_plan=previous,
        )
        return
    if isinstance(first, Cart):
        yield replace(first, affiliate=None, product=_BARE_PRODUCT, buyer_phone="", offer_code="")
        return
    bare = Sale(
        code=first.code,
        status=first.status,
        product=_BARE_PRODUCT,
        ordered_at=first.ordered_at,
        buyer_name="João",
        buyer_email=first.buyer_email,
        price=first.price,
        currency=first.currency,
        payment_type="CREDIT_CARD",
        invoice_by=first.invoice_by,
        **_COUNTRY,
    )
    share = Commission(
        "AFFILIATE", Decimal("58.80"), "BRL", Conversion(Decimal("11.76"), "USD", Decimal("0.2"))
    )
    subscription = replace(_CLUB_SALE.subscription, next_charge_at=None)
    yield bare
    yield replace(bare, buyer_city="Belo Horizonte", commissions=(share,), subscription=subscription)
    yield replace(bare, buyer_country="Brasil", affiliate=AFFILIATE, commissions=first.commissions, src="a")
    yield replace(bare, payment_type="PIX", sck="b")
    yield replace(bare, payment_type="BILLET", is_order_bump=True)


def event_id(event_type: str) -> str:
    """The id of the sample's event: always the same UUID."""
    return str(uuid.uuid5(_NAMESPACE, str(event_type)))


def _announced(event_type: EventType, facts: Snapshot) -> Snapshot:
    """A sale is in the status that the event announces."""
    status = BY_TYPE[event_type].status
    return replace(facts, status=str(status)) if isinstance(facts, Sale) and status else facts
