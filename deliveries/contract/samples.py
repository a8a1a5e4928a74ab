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

from .snapshot import Cart, Commission, Conversion, Product, Sale, Seller, Subscription

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
_BARE_PRODUCT = replace(COURSE, support_email="", owner=replace(PRODUCER, document=""))
_BUYER: dict[str, Any] = {
    "buyer_name": "João Nunes Araújo",
    "buyer_email": "joao.nunes@example.com",
    "buyer_document": "12345678909",
    "buyer_document_type": "CPF",
    "buyer_phone_code": "31",
    "buyer_phone": "900000002",
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

_SAMPLES: dict[EventType, Sale | Cart] = {
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
}


def sample(event_type: str) -> Sale | Cart:
    """The facts of the event's sample. Its buyers are not shared, so the affiliate's copy lacks them.

    KeyError for an event that does not exist.
    """
    return _announced(EventType(event_type), _SAMPLES[EventType(event_type)])


def variants(event_type: str) -> Iterator[Sale | Cart]:
    """The sample, then others of the same event, which together have every fact that a post of it can hold."""
    first = sample(event_type)
    yield first
    if not isinstance(first, Sale):
        return
    rich = {
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


def poorest(event_type: str) -> Iterator[Sale | Cart]:
    """The least that may be known of such an event: what all of these have is always there."""
    first = sample(event_type)
    if not isinstance(first, Sale):
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


def _announced(event_type: EventType, facts: Sale | Cart) -> Sale | Cart:
    """A sale is in the status that the event announces."""
    status = BY_TYPE[event_type].status
    return replace(facts, status=str(status)) if isinstance(facts, Sale) and status else facts
