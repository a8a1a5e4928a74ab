"""What a post says that no single fact of the snapshot says: made of several, or said only where it makes sense."""

from collections.abc import Callable, Collection
from typing import Any

from .snapshot import Cart, Commission, Sale, Seller


def _affiliates(sale: Sale, own: bool) -> Collection[Seller]:
    """Without an affiliate one entry with empty strings: receivers read the first entry unasked."""
    return (sale.affiliate or Seller(),)


def _commissions(sale: Sale, own: bool) -> Collection[Commission]:
    return [entry for entry in sale.commissions if not own or entry.source == "AFFILIATE"]


# The entries of the lists on the paths; `own`: only those that the affiliate may see.
LISTS: dict[str, Callable[[Sale, bool], Collection[Any]]] = {
    "affiliates": _affiliates,
    "commissions": _commissions,
}


def first_name(s: Sale | Cart) -> str:
    return s.buyer_name.strip().partition(" ")[0]


def last_name(s: Sale | Cart) -> str:
    return s.buyer_name.strip().partition(" ")[2].strip()


def full_price(s: Sale) -> Any:
    return s.price if s.full_price is None else s.full_price


def original_offer_price(s: Sale) -> Any:
    return s.price if s.original_offer_price is None else s.original_offer_price


def has_affiliate(c: Cart) -> bool:
    return c.affiliate is not None


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


def was_charged(s: Sale) -> bool:
    """Whether any charge of the subscription was paid: on its first slip none was yet."""
    return s.status != "BILLET_PRINTED" or (s.recurrence_number or 1) > 1
