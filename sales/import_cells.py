"""Cells of an import: how a text, or a value of JSON, becomes a fact. The rules a field has are the model's."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from .validators import digits

_PLAIN = re.compile(r"-?\d+(?:[.,]\d{1,2})?\Z")
_GROUPED = re.compile(r"-?\d{1,3}(?:(?:\.\d{3})+,|(?:,\d{3})+\.)\d{1,2}\Z")  # 1.234,56 and 1,234.56
_WORDS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # neither PostgreSQL nor UTF-8 takes them
_CENT = Decimal("0.01")


def load_json(text: str) -> Any:
    """JSON with exact numbers. Raises ValueError."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | Decimal):
        raise ValidationError(_("Write a text."))
    text = str(raw).strip()
    if _UNSTORABLE.search(text):
        raise ValidationError(_("It holds a character that cannot be stored."))
    return text


def _upper(raw: Any) -> str:
    return _text(raw).upper()


def _digits(raw: Any) -> str:
    """Phones come as +55 (11) 98765-4321; the posts hold digits."""
    return re.sub(r"[\s()+.-]", "", _text(raw))


def _amount(raw: Any) -> Decimal:
    try:
        if isinstance(raw, int | Decimal) and not isinstance(raw, bool):
            value = Decimal(raw)
            return value.quantize(_CENT) if value == value.quantize(_CENT) else value
    except InvalidOperation:
        raise ValidationError(_("The amount is too large.")) from None
    text = _text(raw)
    if _GROUPED.match(text):
        whole, cents = re.split(r"[.,](?=\d{1,2}\Z)", text)
        text = re.sub(r"[.,]", "", whole) + "." + cents
    elif not _PLAIN.match(text):
        raise ValidationError(
            _("“%(value)s” is no amount: write it as 1234.56 or 1234,56."), params={"value": text}
        )
    return Decimal(text.replace(",", "."))


def _whole(raw: Any) -> int:
    text = _text(raw)
    if not re.fullmatch(r"\d{1,19}", text):
        raise ValidationError(_("“%(value)s” is no whole number."), params={"value": text})
    return int(text)


def _yes_or_no(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    try:
        return _WORDS[_text(raw).lower()]
    except KeyError:
        raise ValidationError(_("Write true or false.")) from None


def _day(raw: Any) -> date:
    try:
        day = parse_date(_text(raw))
    except ValueError:
        day = None
    if day is None:
        raise ValidationError(_("“%(value)s” is no day: write it as 2026-11-23."), params={"value": raw})
    return day


def _commissions(raw: Any) -> Any:
    """What sales.commissions describes; in a CSV cell, the same as JSON. The model's validator looks into it."""
    if isinstance(raw, str):
        try:
            raw = load_json(raw)
        except ValueError:
            return raw
    try:
        return _with_texts(raw)
    except RecursionError:
        raise ValidationError(_("It is nested too deeply.")) from None


def _with_texts(value: Any) -> Any:
    """The same with exact texts for numbers, as the database keeps them."""
    if isinstance(value, dict):
        return {key: _with_texts(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_texts(part) for part in value]
    return str(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


def _moment(zone: ZoneInfo | None) -> Callable[[Any], datetime]:
    def parse(raw: Any) -> datetime:
        text = _text(raw)
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise ValidationError(
                _("“%(value)s” is no time: write it as 2026-11-23T15:52:10Z."), params={"value": text}
            )
        if moment.tzinfo is None:
            if zone is None:
                raise ValidationError(
                    _("“%(value)s” has no time zone: add Z or an offset, or give --time-zone."),
                    params={"value": text},
                )
            moment = moment.replace(tzinfo=zone)
        try:
            return moment.astimezone(ZoneInfo("UTC"))
        except OverflowError:
            raise ValidationError(_("The time is out of range.")) from None

    return parse


def _choice(model_field: models.Field) -> Callable[[Any], str]:
    values = {str(value).upper(): value for value, _label in model_field.flatchoices}

    def parse(raw: Any) -> str:
        text = _text(raw)
        if (value := values.get(text.upper())) is None:
            raise ValidationError(
                _("“%(value)s” is not known here: write one of %(values)s."),
                params={"value": text, "values": ", ".join(values.values())},
            )
        return value

    return parse


NOT_GIVEN = object()


@dataclass(frozen=True, slots=True, eq=False)  # one is what it is: a quick key
class Column:
    """One fact of one model, and how to read it."""

    attribute: str
    field: models.Field
    parse: Callable[[Any], Any]

    @classmethod
    def of(cls, model: type[models.Model], attribute: str, zone: ZoneInfo | None) -> "Column":
        model_field = model._meta.get_field(attribute)
        parsers: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
            (models.DateTimeField, _moment(zone)),
            (models.DateField, _day),
            (models.DecimalField, _amount),
            (models.BooleanField, _yes_or_no),
            (models.IntegerField, _whole),
            (models.JSONField, _commissions),
        )
        parse = next((parser for kind, parser in parsers if isinstance(model_field, kind)), _text)
        if model_field.choices:
            parse = _choice(model_field)
        elif digits in model_field.validators:
            parse = _digits
        elif attribute.endswith(("_iso", "currency")):
            parse = _upper
        return cls(attribute, model_field, parse)

    def clean(self, raw: Any) -> Any:
        """The fact, or NOT_GIVEN for an empty cell where the fact cannot be empty. Raises ValidationError."""
        return _clean_text(self, raw) if isinstance(raw, str) else self._clean(raw)

    def _clean(self, raw: Any) -> Any:
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            if self.field.null:
                return None
            return self.field.get_default() if self.field.blank else NOT_GIVEN
        return self.field.clean(self.parse(raw), None)


@lru_cache(maxsize=4096)  # most cells of a column repeat: half the time of a row
def _clean_text(column: Column, raw: str) -> Any:
    return column._clean(raw)
