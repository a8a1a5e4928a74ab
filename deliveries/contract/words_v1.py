"""The words of 1.0.0: older and unevenly spelt, and so receivers know them. A word that is not here is ours in
lower case."""

from decimal import Decimal

from .snapshot import Commission, Sale

_STATUS = {"WAITING_PAYMENT": "wayting_payment"}
_PAYMENT = {
    "DIRECT_BANK_TRANSFER": "bank_transfer",
    "MANUAL_TRANSFER": "bank_transfer",
    "DIRECT_DEBIT": "debit_card",
}
_SUBSCRIPTION = {
    "DELAYED": "past_due",
    "OVERDUE": "past_due",
    "CANCELLED_BY_CUSTOMER": "canceled",
    "CANCELLED_BY_SELLER": "canceled",
    "CANCELLED_BY_ADMIN": "canceled",
}
_SIGNATURE = {
    "OVERDUE": "delayed",
    "CANCELLED_BY_CUSTOMER": "canceled_by_client",
    "CANCELLED_BY_SELLER": "canceled_by_vendor",
    "CANCELLED_BY_ADMIN": "canceled_by_admin",
}
_ONCE, _SEVERAL = "pagamento_unico", "multiplos_pagamentos"


def status(s: Sale) -> str:
    return _STATUS.get(s.status, s.status.lower())


def payment_type(s: Sale) -> str:
    return _PAYMENT.get(s.payment_type, s.payment_type.lower())


def payment_mode(s: Sale) -> str:
    """As the offer says; without that, what the sale tells."""
    return s.payment_mode or (_SEVERAL if s.subscription or s.installments > 1 else _ONCE)


def subscription_status(s: Sale) -> str | None:
    return s.subscription and _SUBSCRIPTION.get(s.subscription.status, s.subscription.status.lower())


def signature_status(s: Sale) -> str | None:
    return s.subscription and _SIGNATURE.get(s.subscription.status, s.subscription.status.lower())


def platform_share(s: Sale) -> Decimal | None:
    return _sum(s, "MARKETPLACE")


def producer_share(s: Sale) -> Decimal | None:
    return _sum(s, "PRODUCER")


def affiliate_shares(s: Sale) -> tuple[Decimal, ...]:
    return tuple(share.value for share in _of_affiliate(s))


def affiliate_currencies(s: Sale) -> tuple[str, ...]:
    return tuple(share.currency for share in _of_affiliate(s))


def converted_currencies(s: Sale) -> tuple[str, ...]:
    return tuple(share.conversion.currency for share in _of_affiliate(s) if share.conversion)


def converted_shares(s: Sale) -> tuple[Decimal, ...]:
    return tuple(share.conversion.value for share in _of_affiliate(s) if share.conversion)


def conversion_rates(s: Sale) -> tuple[Decimal, ...]:
    return tuple(share.conversion.rate for share in _of_affiliate(s) if share.conversion)


def _of_affiliate(s: Sale) -> list[Commission]:
    return [share for share in s.commissions if share.source == "AFFILIATE"] if s.affiliate else []


def _sum(s: Sale, source: str) -> Decimal | None:
    shares = [share.value for share in s.commissions if share.source == source]
    return sum(shares, Decimal()) if shares else None
