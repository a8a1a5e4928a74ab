"""A sale or cart at one moment, apart from the database: what its posts are made from, today or in a month.

The dataclasses name their facts as the models do, so that `json_of(row)` reads them off a row and its relations
(product with owner, affiliate, subscription). In JSON, decimals are strings and times ISO 8601 in UTC, and what is as
its default is left out, half of a sale: so a default may never change. Reading is forgiving: what an older release did
not write yet has its default here, what a newer one wrote is passed over.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from typing import Any, NamedTuple, Self, get_args, get_origin, get_type_hints

_PLAIN = frozenset({str, int, bool, types.NoneType})  # JSON can hold them, and a fact is just that


class _Snapshot:
    __slots__ = ()

    @classmethod
    def of(cls, row: Any) -> Self:
        """The facts of a model's row. ValueError where one of them is not what the model says."""
        return _read(cls, _write(cls, row))

    @classmethod
    def json_of(cls, row: Any) -> dict[str, Any]:
        """As `of(row).to_json()`, in one step."""
        return _write(cls, row)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Self:
        return _read(cls, facts)

    def to_json(self) -> dict[str, Any]:
        return _write(type(self), self)


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


class _Fact(NamedTuple):
    default: Any  # in JSON
    plain: type[Any] | None  # values of this type are in JSON as they are; None: there are none
    read: Callable[[Any], Any]  # from JSON
    write: Callable[[Any], Any]  # into JSON, from a row's value or a snapshot's


def _read(cls: type[Any], given: Mapping[str, Any]) -> Any:
    """`cls` from a mapping; what is missing or None has its default."""
    facts, found = _facts(cls), {}
    for name, value in given.items():
        if value is None or (fact := facts.get(name)) is None:
            continue
        try:
            found[name] = value if type(value) is fact.plain else fact.read(value)
        except _UNREADABLE as error:
            raise ValueError(f"{cls.__name__}.{name} cannot be {value!r}.") from error
    return cls(**found)


def _write(cls: type[Any], source: Any) -> dict[str, Any]:
    """The JSON of a `cls`, or of the row that one would be made from."""
    facts, written = _facts(cls), {}
    for name, (default, plain, _, write) in facts.items():
        value = getattr(source, name, None)
        if value is None:  # or a fact that no row has, such as what a plan was before
            continue
        if type(value) is not plain:
            try:
                value = write(value)
            except _UNREADABLE as error:
                raise ValueError(f"{cls.__name__}.{name} cannot be {value!r}.") from error
        if value != default:
            written[name] = value
    return written


_UNREADABLE = (ValueError, TypeError, InvalidOperation)


@cache
def _facts(cls: type[Any]) -> dict[str, _Fact]:
    hints = get_type_hints(cls)
    facts = {}
    for f in fields(cls):
        hint = _without_none(hints[f.name])
        default = [] if f.default == () else f.default
        facts[f.name] = _Fact(default, hint if hint in _PLAIN else None, _reader(hint), _writer(hint))
    return facts


def _without_none(hint: Any) -> Any:
    """X of X | None."""
    if get_origin(hint) is types.UnionType:
        return next(arg for arg in get_args(hint) if arg is not types.NoneType)
    return hint


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What turns a value of JSON into one of the type `hint`."""
    if get_origin(hint) is tuple:  # tuple[X, ...]
        read_one = _reader(get_args(hint)[0])
        return lambda values: tuple(read_one(value) for value in values)
    if is_dataclass(hint):
        return partial(_read, hint)
    return {Decimal: _decimal, datetime: _instant, date: _day}.get(hint, hint)


def _writer(hint: Any) -> Callable[[Any], Any]:
    """What turns a value of a row, a plain string not yet saved too, or of a snapshot into JSON's."""
    if get_origin(hint) is tuple:
        write_one = _writer(get_args(hint)[0])
        return lambda values: [write_one(value) for value in values]
    if is_dataclass(hint):  # of which a row may keep the JSON
        return lambda value: _write(hint, _read(hint, value) if isinstance(value, Mapping) else value)
    if hint is Decimal:
        return lambda value: str(_decimal(value))
    if hint in (datetime, date):
        read = _reader(hint)
        return lambda value: read(value).isoformat()
    return hint


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
