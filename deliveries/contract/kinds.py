"""What a parameter of a post is: its name, type and format, where its value is from, and who gets it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum
from operator import attrgetter
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from configurations.events import BY_STATUS, EventType

from . import sizes


class Kind(StrEnum):
    """The type of a value, and its format."""

    INTEGER = "integer"
    NUMBER = "number"  # of JSON: an amount or a rate
    DECIMAL = "decimal"  # of a form: an amount or a rate with a dot and at least two decimals
    STRING = "string"
    BOOLEAN = "boolean"
    MILLISECONDS = "milliseconds"  # an integer: since the epoch, in UTC
    TIME = "time"  # a string: ISO 8601 in UTC, whole seconds and Z
    TIME_MS = "time with milliseconds"  # the same with three decimals of the second


class ForAffiliate(Enum):
    """Whether the affiliate's copy holds it."""

    YES = "yes"
    NO = "no"
    OWN = "own"  # the affiliate's own value; of a list: the affiliate's own entries only
    BUYER = "buyer"  # only where the producer shares the product's buyers


INTEGER, NUMBER, DECIMAL, STRING, BOOLEAN, MILLISECONDS, TIME, TIME_MS = Kind
YES, NO, OWN, BUYER = ForAffiliate

FORMATS: dict[Kind, Promise] = {
    INTEGER: _("integer"),
    NUMBER: _("number"),
    DECIMAL: _("decimal with a dot, such as 147.00"),
    STRING: _("string"),
    BOOLEAN: _("true or false"),
    MILLISECONDS: _("integer: milliseconds since 1970, UTC"),
    TIME: _("time in UTC, such as 2026-05-12T14:21:38Z"),
    TIME_MS: _("time in UTC, such as 2026-05-12T14:21:38.000Z"),
}

PURCHASE = frozenset(event.type for event in BY_STATUS.values())
CART = frozenset({EventType.CART_ABANDONED})
EVERY = PURCHASE | CART
PAID = frozenset(
    {
        EventType.APPROVED,
        EventType.COMPLETE,
        EventType.PROTEST,
        EventType.REFUNDED,
        EventType.CHARGEBACK,
    }
)

Reader = Callable[[Any], Any]  # from a snapshot, or an entry of one of facts.LISTS


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of a table. Where `fact` is None, the value is the post's own, not the snapshot's: see `name`."""

    path: str  # of its key, in 2.0.0 under `data`; [] behind the name of a list
    kind: Kind
    description: Promise
    fact: str | Reader | None  # where the snapshot has it, such as "product.owner.name"; or what makes it
    affiliate: ForAffiliate = YES
    events: frozenset[EventType] = PURCHASE
    when: Reader | None = None  # sent only where this holds
    may_be_empty: bool = False  # sent as "" where it is lacking, or hidden from the affiliate
    longest: int | None = None  # in characters, where no field of the models says it
    like: str = ""  # the path of the fact that its size is of, where `fact` makes it
    under: str = ""  # what the path is under
    asked_for: bool = False  # sent only where the configuration asks for it
    missing_if_hidden: bool = False  # in the affiliate's copy, although it may be empty

    @property
    def name(self) -> str:
        """The path from the body's root, such as "data.product.id"."""
        return f"{self.under}{self.path}"

    @property
    def format(self) -> Promise:
        return FORMATS[self.kind]

    @property
    def size(self) -> int | None:
        """The most characters a string of it has; None where that is said by the format, or by nothing."""
        if self.longest or self.kind is not Kind.STRING:
            return self.longest
        fact = self.like or self.fact
        root = "AbandonedCart" if self.events <= CART else "Transaction"
        return sizes.of(fact, root) if isinstance(fact, str) else None

    def reader(self) -> Reader:
        """What takes the value out of a snapshot, or of an entry of the list; None where it has none."""
        read = along(self.fact) if isinstance(self.fact, str) else self.fact
        assert read is not None, self.name  # noqa: S101  the format's own code writes it
        when = self.when
        return (lambda source: read(source) if when(source) else None) if when else read


def along(path: str) -> Reader:
    """Reads an attribute of an attribute; None where one on the way, such as the subscription, is None."""
    first, _dot, rest = path.partition(".")
    if not rest:
        return attrgetter(first)
    read_first, read_rest = attrgetter(first), along(rest)
    return lambda source: None if (part := read_first(source)) is None else read_rest(part)
