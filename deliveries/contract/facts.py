"""What a post says that no single fact of the snapshot says: made of several, or said only where it makes sense."""

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from . import subscription
from .snapshot import Cart, Commission, Part, Sale, Seller


def _affiliates(sale: Sale, own: bool) -> Collection[Seller]:
    """Without an affiliate one entry with empty strings: receivers read the first entry unasked."""
    return (sale.affiliate or Seller(),)


def _commissions(sale: Sale, own: bool) -> Collection[Commission]:
    return [entry for entry in sale.commissions if not own or entry.source == "AFFILIATE"]


def _content(sale: Sale, own: bool) -> Collection[Part]:
    return sale.product.content


# The entries of the lists on the paths; `own`: only those that the affiliate may see.
LISTS: dict[str, Callable[[Any, bool], Collection[Any]]] = {
    "affiliates": _affiliates,
    "commissions": _commissions,
    "product.content.products": _content,
    "plans": subscription.plans,
}


def first_name(s: Sale | Cart) -> str:
    return s.buyer_name.strip().partition(" ")[0]


def last_name(s: Sale | Cart) -> str:
    return s.buyer_name.strip().partition(" ")[2].strip()


def full_price(s: Sale) -> Decimal:
    return s.price if s.full_price is None else s.full_price


def original_offer_price(s: Sale) -> Decimal:
    return s.price if s.original_offer_price is None else s.original_offer_price


def offer_currency(s: Sale) -> str:
    return s.offer_currency or s.currency


def payment_currency(s: Sale) -> str:
    return s.payment_currency or s.currency


def has_affiliate(s: Sale | Cart) -> bool:
    return s.affiliate is not None


def is_bundle(s: Sale) -> bool:
    return bool(s.product.content)


def holds_physical(s: Sale) -> bool:
    return any(part.is_physical for part in s.product.content)


def by_slip(s: Sale) -> bool:
    return s.payment_type == "BILLET"


def by_pix(s: Sale) -> bool:
    return s.payment_type == "PIX"


def is_order_bump(s: Sale) -> bool:
    return s.is_order_bump


def has_tickets(s: Sale) -> bool:
    return bool(s.tickets)


def is_subscription(s: Sale) -> bool:
    return s.subscription is not None


def was_approved(s: Sale) -> bool:
    return s.approved_at is not None


def was_refused(s: Sale) -> bool:
    return s.status in ("CANCELED", "DELAYED")


def was_charged(s: Sale) -> bool:
    """Whether any charge of the subscription was paid: on its first slip none was yet."""
    return s.status != "BILLET_PRINTED" or (s.recurrence_number or 1) > 1


def business_model(s: Sale) -> str:
    return "I"


def callback_type(s: Sale) -> int:
    """Of 1.0.0: a purchase."""
    return 1
