"""Rows of an import: reads them from CSV or JSON Lines and turns their cells into facts.

docs/importing.md says the same for those who write such files. Nothing here touches the database.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from .import_cells import NOT_GIVEN, Column, load_json
from .models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from .spreadsheets import first_few

MAX_LINE = 16_000_000  # bytes; a longer one is no row, and is not read into memory
SALE, CART, SUBSCRIPTION = "sale", "cart", "subscription"
FORMATS = {"csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}  # ending of the file: format


class Unusable(Exception):
    """The file as a whole cannot be read. `str()` of it is a sentence that says why and what to do."""


class BadRow(Exception):
    """One row cannot be taken. `str()` of it is the reason."""


# --- Columns ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Row:
    """What one line says: facts by model, each {attribute: value}; only what the line gives is there."""

    line: int
    kind: str
    code: Any  # a str for a sale, a UUID for a cart, the subscriber's code for a subscription
    own: dict[str, Any] = field(default_factory=dict)  # of the sale, the cart or the subscription
    product: dict[str, Any] = field(default_factory=dict)
    producer: dict[str, Any] = field(default_factory=dict)
    affiliate: dict[str, Any] = field(default_factory=dict)
    subscription: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


def _plain_fields(model: type[models.Model]) -> dict[str, str]:
    return {
        f.name: f.name
        for f in model._meta.concrete_fields
        if not f.is_relation and not f.primary_key and not getattr(f, "auto_now", False)
    }


_SELLER = ("code", "name", "email", "legal_nature", "document")
_PRODUCT = (
    "code", "ucode", "name", "support_email", "has_co_production", "is_physical", "category", "content", "shares_buyers",
)  # fmt: skip
_PLAN = ("code", "name", "recurrency_period", "price", "currency", "offer_code", "max_charge_cycles")
# attribute of Row: its model, {name of the column: attribute of the model}
_RELATED: dict[str, tuple[type[models.Model], dict[str, str]]] = {
    "product": (Product, {f"product_{name}": name for name in _PRODUCT}),
    "producer": (Seller, {f"producer_{name}": name for name in _SELLER}),
    "affiliate": (Seller, {f"affiliate_{name}": name for name in _SELLER}),
    "subscription": (
        Subscription,
        {
            "subscriber_code": "subscriber_code",
            "subscription_status": "status",
            "next_charge_at": "next_charge_at",
        },
    ),
    "plan": (Plan, {f"plan_{name}": name for name in _PLAN}),
}
_MAY_BE_NOBODY = ("affiliate_code", "subscriber_code")  # empty: the sale has none
# kind: its model, {name of the column: attribute of the model}, what else its rows may name
_KINDS: dict[str, tuple[type[models.Model], dict[str, str], tuple[str, ...]]] = {
    SALE: (Transaction, _plain_fields(Transaction), tuple(_RELATED)),
    CART: (AbandonedCart, _plain_fields(AbandonedCart), ("product", "producer", "affiliate")),
    SUBSCRIPTION: (
        Subscription,
        {
            "code": "subscriber_code",
            "subscription_code": "code",
            "subscription_status": "status",
            "cancelled_at": "cancelled_at",
            "buyer_name": "name",
            "buyer_email": "email",
            "buyer_phone_code": "phone_code",
            "buyer_phone": "phone",
            "buyer_cell_code": "cell_code",
            "buyer_cell": "cell",
            "next_charge_at": "next_charge_at",
            "charge_day": "charge_day",
            "recurrence_value": "recurrence_value",
            "recurrence_number": "last_recurrence_number",
        },
        ("product", "producer", "plan"),
    ),
}
COLUMNS = tuple(
    dict.fromkeys(
        [
            "kind",
            "code",
            *(name for _model, names, _parts in _KINDS.values() for name in names),
            *(name for _model, names in _RELATED.values() for name in names),
        ]
    )
)
_KNOWN = frozenset(COLUMNS)


def unknown_columns(names: Iterable[str]) -> str:
    """A sentence about the names that are no column, with what was probably meant; empty if all are known."""
    few, more = first_few([name for name in names if name not in _KNOWN])
    sentences = []
    for name in few:
        near = get_close_matches(name, COLUMNS, n=1)
        sentences.append(
            _("“%(name)s” is no column; did you mean “%(near)s”?") % {"name": name, "near": near[0]}
            if near
            else _("“%(name)s” is no column.") % {"name": name}
        )
    return " ".join([*sentences, more]).strip()


class Cleaner:
    """Reads the cells of rows; built once for a file. `zone` is that of times without one; None refuses them."""

    def __init__(self, zone: ZoneInfo | None = None) -> None:
        def of(part: str, model: type[models.Model], names: dict[str, str]) -> dict[str, tuple[str, Column]]:
            return {name: (part, Column.of(model, names[name], zone)) for name in names}

        self._columns: dict[str, dict[str, tuple[str, Column]]] = {}
        for kind, (own, names, parts) in _KINDS.items():
            self._columns[kind] = {}
            for part in parts:
                self._columns[kind] |= of(part, *_RELATED[part])
            self._columns[kind] |= of("own", own, names)

    def clean(self, line: int, raw: dict[str, Any]) -> Row:
        """Raises BadRow with all that is wrong with the line."""
        raw = dict(raw)
        kind = str(raw.pop("kind", None) or SALE).strip().lower()
        if kind not in self._columns:
            raise BadRow(_("kind: “%(kind)s” is none: write sale, cart or subscription.") % {"kind": kind})
        row, problems = Row(line, kind, None), []
        columns = self._columns[kind]
        for name, cell in raw.items():
            if name not in columns:
                if cell not in (None, ""):
                    problems.append(f"{name}: {_no_such_fact(kind)}")
                continue
            part, column = columns[name]
            if name in _MAY_BE_NOBODY and cell in (None, ""):
                getattr(row, part)[column.attribute] = None
                continue
            try:
                value = column.clean(cell)
            except ValidationError as error:
                problems.append(f"{name}: {' '.join(error.messages)}")
                continue
            if value is not NOT_GIVEN:
                getattr(row, part)[column.attribute] = value
        row.code = row.own.get(_KINDS[kind][1]["code"])
        if row.code is None and not any(problem.startswith("code:") for problem in problems):
            problems.append(f"code: {_('Every row needs one.')}")
        if problems:
            raise BadRow(" ".join(problems))
        return row


def _no_such_fact(kind: str) -> str:
    words = {
        SALE: _("A sale has no such fact."),
        CART: _("A cart has no such fact."),
        SUBSCRIPTION: _("A subscription has no such fact."),
    }
    return words[kind]


# --- Files --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the file, not looked into yet; with a `problem` instead of values where it cannot be read."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def lines(file: BinaryIO, format_: str) -> Iterator[Line]:
    """The rows of a seekable file, from its beginning. Raises Unusable."""
    file.seek(0)
    return _csv_lines(_decoded(file)) if format_ == "csv" else _json_lines(_decoded(file))


def _decoded(file: BinaryIO) -> Iterator[str]:
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            raise Unusable(
                _("Line %(line)d is longer than %(most)d MB: a line is one row.")
                % {"line": number, "most": MAX_LINE // 1_000_000}
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise Unusable(
                _("Line %(line)d is not UTF-8: save the file with the encoding UTF-8.") % {"line": number}
            ) from None


def _csv_lines(text: Iterator[str]) -> Iterator[Line]:
    first = next(text, "")
    delimiter = max(",;\t", key=first.count)  # spreadsheets of some countries write semicolons
    held = _Held(text)
    reader = csv.reader(held, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    except csv.Error as error:
        raise Unusable(_("Line 1 names no columns: %(error)s.") % {"error": error}) from None
    _check_header(header)
    while True:
        start = reader.line_num + 2  # the header is not the reader's; a quoted cell may hold line breaks
        held.begin(start)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Line(start, problem=capfirst(f"{error}."))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            yield Line(
                start,
                problem=_("It has %(cells)d cells, the header has %(names)d.")
                % {"cells": len(cells), "names": len(header)},
            )
            continue
        yield Line(start, dict(zip(header, cells, strict=True)))


class _Held:
    """The lines, of which the reader holds those of one row: its quotes may stretch it over many, but not over all."""

    def __init__(self, text: Iterator[str]) -> None:
        self._text = text
        self.begin(1)

    def begin(self, line: int) -> None:
        self._line, self._held = line, 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self._held += len(line) + 50  # what a text costs beside its characters
        if self._held > 2 * MAX_LINE:
            raise Unusable(
                _("The row that begins in line %(line)d does not end: a quote is not closed.")
                % {"line": self._line}
            )
        return line


def _check_header(header: list[str]) -> None:
    if not any(header):
        raise Unusable(_("The file is empty: its first line must name the columns."))
    if problem := unknown_columns(header):
        known = _("The columns are: %(columns)s.") % {"columns": ", ".join(COLUMNS)}
        raise Unusable(f"{problem} {known}")
    if twice := [name for name, times in Counter(header).items() if times > 1]:
        raise Unusable(_("These columns stand twice: %(names)s.") % {"names": ", ".join(sorted(twice))})
    if "code" not in header:
        raise Unusable(_("The column “code” is missing."))


def _json_lines(text: Iterator[str]) -> Iterator[Line]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            values = load_json(line)
        except ValueError as error:
            yield Line(number, problem=_("It is no JSON: %(error)s.") % {"error": error})
            continue
        if not isinstance(values, dict):
            yield Line(number, problem=_("It is no JSON object: write one {…} a line."))
            continue
        problem = unknown_columns(values)
        yield Line(number, problem=problem) if problem else Line(number, values)
