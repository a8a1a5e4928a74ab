"""The form of `Transaction.commissions`: a list with one entry for each who earns a share of the sale.

    [{"source": "AFFILIATE", "value": "58.80", "currency": "BRL",
      "conversion": {"value": "10.47", "currency": "EUR", "rate": "0.178"}}, …]

The conversion is there only where the share was paid out in another currency.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

SOURCES = ("MARKETPLACE", "PRODUCER", "COPRODUCER", "AFFILIATE", "ADDON")


def validate_commissions(shares: Any) -> None:
    """Raises ValidationError where the posts could not be made from `shares`."""
    if not isinstance(shares, list) or not all(_is_share(share) for share in shares):
        raise ValidationError(
            _('Write a list such as [{"source": "PRODUCER", "value": "131.45", "currency": "BRL"}].'),
            code="commissions",
        )


def _is_share(share: Any) -> bool:
    return (
        isinstance(share, dict)
        and share.keys() - {"conversion"} == {"source", "value", "currency"}
        and share["source"] in SOURCES
        and _is_money(share)
        and ("conversion" not in share or _is_conversion(share["conversion"]))
    )


def _is_conversion(conversion: Any) -> bool:
    return (
        isinstance(conversion, dict)
        and conversion.keys() == {"value", "currency", "rate"}
        and _is_money(conversion)
        and _is_number(conversion["rate"])
    )


def _is_money(part: dict[str, Any]) -> bool:
    return _is_number(part["value"]) and bool(re.fullmatch(r"[A-Z]{3}", str(part["currency"])))


def _is_number(value: Any) -> bool:
    """A number that a double can hold to the last digit, as JSON's readers do."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return False
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return False
    return number.is_finite() and len(number.as_tuple().digits) <= 15 and abs(number) < Decimal("1e12")
