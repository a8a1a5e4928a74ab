"""How a table of parameters becomes an object of JSON, and where the security token goes."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

import orjson

from . import parameters
from .facts import LISTS
from .kinds import ForAffiliate, Kind, Parameter

AFFILIATE = "affiliate"
# What stands for the token in a body that is kept. No text of a sale gets into a body like this: JSON escapes
# the control character, and so does a form.
TOKEN_PLACEHOLDER = b"\x01hottok\x01"
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of one parameter: the objects on its path, its key, what reads and what formats its value, may it be ""?
_Row = tuple[list[str], str, Callable[[Any], Any], Callable[[Any], Any], bool]


def is_hidden(parameter: Parameter, to_affiliate: bool, shows_buyer: bool) -> bool:
    return (to_affiliate and parameter.affiliate is ForAffiliate.NO) or (
        not shows_buyer and parameter.affiliate is ForAffiliate.BUYER
    )


def shows_buyer(snapshot: Any, audience: str) -> bool:
    return audience != AFFILIATE or snapshot.product.shares_buyers


def document(version: str, event_type: str, snapshot: Any, audience: str) -> dict[str, Any]:
    """What the copy holds of the snapshot: the object that the table of the event describes."""
    to_affiliate = audience == AFFILIATE
    made: dict[str, Any] = {}
    for list_path, rows in _rows(version, event_type, to_affiliate, shows_buyer(snapshot, audience)):
        if not list_path:
            _fill(made, rows, snapshot)
        elif entries := [_fill({}, rows, entry) for entry in LISTS[list_path](snapshot, to_affiliate)]:
            *parents, key = list_path.split(".")
            _branch(made, parents)[key] = entries
    return made


def dumps(post: dict[str, Any], hottok: str | None = None) -> bytes:
    """The bytes of it, with the token as the first key where it is given."""
    body = orjson.dumps(post)
    return body if hottok is None else b'{"hottok":"%b",%b' % (token(hottok), body[1:])


def token(hottok: str | None) -> bytes:
    """As it stands in a body: no format escapes it. Raises ValueError for one that one would."""
    if hottok is None or hottok == TOKEN_PLACEHOLDER.decode():
        return TOKEN_PLACEHOLDER
    if not _TOKEN.match(hottok):
        raise ValueError("A security token is 1 to 64 letters, digits and hyphens.")
    return hottok.encode()


def milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _time_ms(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fill(target: dict[str, Any], rows: list[_Row], source: Any) -> dict[str, Any]:
    """Write what `source` has of the rows into `target`; a fact or object that it lacks gets no key."""
    for parents, key, read, format_, may_be_empty in rows:
        value = read(source)
        if value is None or (value == "" and not may_be_empty):
            continue
        _branch(target, parents)[key] = format_(value)
    return target


def _branch(target: dict[str, Any], parents: list[str]) -> dict[str, Any]:
    for parent in parents:
        target = target.setdefault(parent, {})
    return target


@cache
def _rows(
    version: str, event_type: str, to_affiliate: bool, shows_buyer: bool
) -> list[tuple[str, list[_Row]]]:
    """The rows of the table that a copy holds, by the list that they go through ("": none), in the table's order."""
    sent = [
        p
        for p in parameters.table(version, event_type)
        if p.fact is not None and not is_hidden(p, to_affiliate, shows_buyer)
    ]
    return [
        (list_path, [_row(list_path, parameter) for parameter in rows])
        for list_path, rows in groupby(sent, key=lambda p: p.path.rpartition("[].")[0])
    ]


def _row(list_path: str, parameter: Parameter) -> _Row:
    *parents, key = parameter.path.removeprefix(f"{list_path}[].").split(".")
    return parents, key, parameter.reader(), _FORMATS[parameter.kind], parameter.may_be_empty


def _number(amount: Decimal) -> int | float:
    """147 for 147.00. A float prints as the decimal it was made from up to 15 digits, and the models hold 12.

    Raises ValueError for one that JSON has no word for: orjson would write null.
    """
    if not amount.is_finite():
        raise ValueError(f"{amount} is no number.")
    return int(amount) if amount == amount.to_integral_value() else float(amount)


_FORMATS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: int,
    Kind.NUMBER: _number,
    Kind.STRING: str,
    Kind.BOOLEAN: bool,
    Kind.MILLISECONDS: milliseconds,
    Kind.TIME: time,
    Kind.TIME_MS: _time_ms,
}
