"""The body of a 2.0.0 post: JSON in UTF-8, the same bytes each time for the same event."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import groupby
from typing import Any

from .facts import LISTS
from .parameters import V2, ForAffiliate, Kind, Parameter
from .snapshot import Cart, Sale

VERSION = "2.0.0"
AFFILIATE = "affiliate"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Of one parameter: the objects on its path, its key, what reads and what formats its value, may it be ""?
_Row = tuple[list[str], str, Callable[[Any], Any], Callable[[Any], Any], bool]


def render(
    event_id: str, event_type: str, occurred_at: datetime, snapshot: Sale | Cart, audience: str
) -> bytes:
    """The exact body of the post about an event. `audience` is "producer" or "affiliate": whose copy it is."""
    post = {
        "id": str(event_id),
        "creation_date": _milliseconds(occurred_at),
        "event": str(event_type),
        "version": VERSION,
        "data": _data(str(event_type), snapshot, to_affiliate=audience == AFFILIATE),
    }
    return json.dumps(post, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _data(event_type: str, snapshot: Sale | Cart, *, to_affiliate: bool) -> dict[str, Any]:
    shows_buyer = not to_affiliate or snapshot.product.shares_buyers
    data: dict[str, Any] = {}
    for list_name, rows in _rows(event_type, to_affiliate, shows_buyer):
        if not list_name:
            _fill(data, rows, snapshot)
        elif entries := [_fill({}, rows, entry) for entry in LISTS[list_name](snapshot, to_affiliate)]:
            data[list_name] = entries
    if not shows_buyer:
        data["buyer"] = {}  # receivers reach into it, so it is there without its facts
    return data


def _fill(target: dict[str, Any], rows: list[_Row], source: Any) -> dict[str, Any]:
    """Write what `source` has of the rows into `target`; a fact or object that it lacks gets no key."""
    for parents, key, read, format_, may_be_empty in rows:
        value = read(source)
        if value is None or (value == "" and not may_be_empty):
            continue
        branch = target
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[key] = format_(value)
    return target


@cache
def _rows(event_type: str, to_affiliate: bool, shows_buyer: bool) -> list[tuple[str, list[_Row]]]:
    """The rows of the table that a copy holds, by the list that they go through ("": none), in the table's order."""
    left_out = set()
    if to_affiliate:
        left_out.add(ForAffiliate.NO)
    if not shows_buyer:
        left_out.add(ForAffiliate.BUYER)
    sent = [p for p in V2 if event_type in p.events and p.affiliate not in left_out]
    return [
        (list_name, [_row(list_name, parameter) for parameter in parameters])
        for list_name, parameters in groupby(sent, key=lambda p: p.path.rpartition("[].")[0])
    ]


def _row(list_name: str, parameter: Parameter) -> _Row:
    *parents, key = parameter.path.removeprefix(f"{list_name}[].").split(".")
    return parents, key, parameter.reader(), _FORMATS[parameter.kind], parameter.may_be_empty


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _number(amount: Decimal) -> int | float:
    """147 for 147.00. A float prints as the decimal it was made from up to 15 digits, and the models hold 12."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


_FORMATS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: int,
    Kind.NUMBER: _number,
    Kind.STRING: str,
    Kind.BOOLEAN: bool,
    Kind.MILLISECONDS: _milliseconds,
    Kind.TIME: lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
}
