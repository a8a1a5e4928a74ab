"""A sale or cart at one moment, apart from the database: what its posts are made from, today or in a month.

The dataclasses name their facts as the models do, so that `of(row)` reads them off a row and its relations
(product with owner, affiliate, subscription). In JSON, decimals are strings and times ISO 8601 in UTC. Reading
is forgiving: what an older release did not write yet has its default here, what a newer one wrote is passed over.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from operator import attrgetter
from typing import Any, Self, get_args, get_origin, get_type_hints

_PLAIN = frozenset({str, int, bool, types.NoneType})  # JSON can hold them, and a fact is just that


class _Snapshot:
    __slots__ = ()

    @classmethod
    def of(cls, row: Any) -> Self:
        """The facts of a model's row. ValueError where one of them is not what the model says."""
        return _read(cls, row)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        return _read(cls, facts)

    def to_json(self) -> dict[str, Any]:
        names, values = _names(type(self))
        return {
            name: value if type(value) in _PLAIN else _written(value)
            for name, value in zip(names, values(self), strict=True)
        }


@dataclass(frozen=True, slots=True)
class Seller(_Snapshot):
    code: str = ""
    name: str = ""
    legal_nature: str = ""
    document: str = ""


@dataclass(frozen=True, slots=True)
class Part(_Snapshot):
    """A product of a bundle."""

    code: int = 0
    ucode: str = ""
    name: str = ""
    is_physical: bool = False


@dataclass(frozen=True, slots=True)
class Product(_Snapshot):
    code: int = 0
    ucode: str = ""
    name: str = ""
    owner: Seller = Seller()
    support_email: str = ""
    has_co_production: bool = False
    is_physical: bool = False
    category: int = 0
    content: tuple[Part, ...] = ()  # of a bundle
    shares_buyers: bool = False  # whether the affiliate's copy holds the buyer


@dataclass(frozen=True, slots=True)
class Subscription(_Snapshot):
    subscriber_code: str = ""
    plan_code: int = 0
    plan_name: str = ""
    status: str = ""
    next_charge_at: datetime | None = None
    recurrency_period: int | None = None  # days between charges


@dataclass(frozen=True, slots=True)
class Conversion(_Snapshot):
    value: Decimal = Decimal()
    currency: str = ""
    rate: Decimal = Decimal()


@dataclass(frozen=True, slots=True)
class Commission(_Snapshot):
    source: str = ""
    value: Decimal = Decimal()
    currency: str = ""
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class Sale(_Snapshot):
    code: str = ""
    status: str = ""
    product: Product = Product()
    affiliate: Seller | None = None
    ordered_at: datetime | None = None
    approved_at: datetime | None = None
    warranty_until: datetime | None = None

    buyer_name: str = ""
    buyer_email: str = ""
    buyer_document: str = ""
    buyer_document_type: str = ""
    buyer_phone_code: str = ""
    buyer_phone: str = ""
    buyer_phone_record_code: str = ""
    buyer_phone_record: str = ""
    buyer_country: str = ""
    buyer_country_iso: str = ""
    buyer_zipcode: str = ""
    buyer_address: str = ""
    buyer_number: str = ""
    buyer_complement: str = ""
    buyer_neighborhood: str = ""
    buyer_city: str = ""
    buyer_state: str = ""

    price: Decimal = Decimal()
    full_price: Decimal | None = None  # None: as the price
    original_offer_price: Decimal | None = None  # None: as the price
    currency: str = ""
    offer_currency: str = ""  # empty: as the currency
    payment_currency: str = ""  # empty: as the currency
    commissions: tuple[Commission, ...] = ()
    offer_code: str = ""
    coupon_code: str = ""
    checkout_country: str = ""
    checkout_country_iso: str = ""

    payment_type: str = ""
    payment_engine: str = ""
    payment_mode: str = ""
    transaction_ext: str = ""
    installments: int = 1
    refusal_reason: str = ""
    billet_url: str = ""
    billet_barcode: str = ""
    billet_due_on: date | None = None
    pix_code: str = ""
    pix_qrcode: str = ""
    pix_expires_at: datetime | None = None

    subscription: Subscription | None = None
    recurrence_number: int | None = None

    src: str = ""
    sck: str = ""
    xcod: str = ""
    utm_source: str = ""
    utm_medium: str = ""
    utm_campaign: str = ""
    utm_term: str = ""
    utm_content: str = ""
    hotkey: str = ""
    is_order_bump: bool = False
    parent_code: str = ""
    is_funnel: bool = False
    tickets: int | None = None
    is_anticipation: bool = False
    invoice_by: str = ""


@dataclass(frozen=True, slots=True)
class Cart(_Snapshot):
    code: str = ""
    product: Product = Product()
    affiliate: Seller | None = None
    buyer_name: str = ""
    buyer_email: str = ""
    buyer_phone: str = ""
    offer_code: str = ""
    plan_code: int | None = None  # a plan was in the cart
    has_negotiation: bool = False
    checkout_country: str = ""
    checkout_country_iso: str = ""
    abandoned_at: datetime | None = None


def _read(cls: type[Any], source: Any) -> Any:
    """`cls` from a mapping, or from the attributes of a row; what is missing or None has its default."""
    found = source.get if isinstance(source, Mapping) else partial(getattr, source)
    facts = {}
    for name, plain, reader in _readers(cls):
        value = found(name, None)
        if value is not None:
            try:
                facts[name] = value if type(value) is plain else reader(value)
            except (ValueError, TypeError, InvalidOperation) as error:
                raise ValueError(f"{cls.__name__}.{name} cannot be {value!r}.") from error
    return cls(**facts)


@cache
def _names(cls: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """The facts' names, and what takes all of their values off one."""
    names = tuple(f.name for f in fields(cls))
    return names, attrgetter(*names)


@cache
def _readers(cls: type[Any]) -> list[tuple[str, type[Any] | None, Callable[[Any], Any]]]:
    """Of each fact: its name, the type whose values are taken as they are, and what reads all others."""
    hints = get_type_hints(cls)
    readers = []
    for f in fields(cls):
        hint = _without_none(hints[f.name])
        readers.append((f.name, hint if hint in _PLAIN else None, _reader(hint)))
    return readers


def _without_none(hint: Any) -> Any:
    """X of X | None."""
    if get_origin(hint) is types.UnionType:
        return next(arg for arg in get_args(hint) if arg is not types.NoneType)
    return hint


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns a value of a row or of JSON into one of the type `hint`; a plain string not yet saved, too."""
    if get_origin(hint) is tuple:  # tuple[X, ...]
        read_one = _reader(get_args(hint)[0])
        return lambda values: tuple(read_one(value) for value in values)
    if is_dataclass(hint):
        return partial(_read, hint)
    return {Decimal: _decimal, datetime: _instant, date: _day}.get(hint, hint)


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    return number


def _instant(value: Any) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _day(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _written(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, _Snapshot):
        return value.to_json()
    if isinstance(value, tuple):
        return [_written(one) for one in value]
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):  # a datetime too
        return value.isoformat()
    return value
