"""The body of a 1.0.0 post about a purchase: one flat form in UTF-8, the same bytes each time for the same sale."""

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import quote

from . import parameters, writing
from .kinds import Kind
from .snapshot import Sale

VERSION = "1.0.0"
# Of one parameter: its key, what reads its value, what formats one, may it be ""?
_Row = tuple[str, Callable[[Any], Any], Callable[[Any], str], bool]


def render(snapshot: Sale, audience: str, hottok: str | None = None) -> bytes:
    """The exact body, with TOKEN_PLACEHOLDER unless `hottok` is given.

    `audience` is "producer" or "affiliate": whose copy it is.
    """
    to_affiliate = audience == writing.AFFILIATE
    of_the_post = {
        "hottok": writing.token(hottok),
        "receiver_type": b"AFFILIATE" if to_affiliate else b"SELLER",
    }
    pairs = []
    for key, read, format_, may_be_empty in _rows(to_affiliate, writing.shows_buyer(snapshot, audience)):
        if (value := of_the_post.get(key)) is None:
            value = _text(read(snapshot), format_)
        if value or may_be_empty:
            pairs.append(b"%b=%b" % (key.encode(), value))
    return b"&".join(pairs)


def _text(value: Any, format_: Callable[[Any], str]) -> bytes:
    """Several values are joined by semicolons; what the sale lacks is empty."""
    if value is None:
        return b""
    text = ";".join(format_(one) for one in value) if isinstance(value, tuple) else format_(value)
    return quote(text, safe="").encode()


@cache
def _rows(to_affiliate: bool, shows_buyer: bool) -> list[_Row]:
    rows = []
    for p in parameters.V1:
        read = p.reader() if p.fact is not None else _nothing
        if writing.is_hidden(p, to_affiliate, shows_buyer):
            if p.missing_if_hidden or not p.may_be_empty:
                continue
            read = _nothing
        rows.append((p.path, read, _FORMATS[p.kind], p.may_be_empty))
    return rows


def _nothing(snapshot: Any) -> None:
    return None


def decimal(amount: Decimal) -> str:
    """147.00; a rate keeps its further digits."""
    places = min(amount.as_tuple().exponent, -2)  # type: ignore[type-var]
    return f"{amount:.{-places}f}"


_FORMATS: dict[Kind, Callable[[Any], str]] = {
    Kind.INTEGER: str,
    Kind.DECIMAL: decimal,
    Kind.STRING: str,
    Kind.BOOLEAN: lambda truth: "true" if truth else "false",
    Kind.TIME: writing.time,
}
