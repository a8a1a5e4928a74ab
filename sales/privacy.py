"""What is held on one buyer: shown for a request of access, or erased (LGPD, GDPR).

`sales` answers for its own rows, and by two signals asks the apps above, of which it knows none, for theirs.
What an app that keeps anything of a buyer has to do, in its `receivers.py`:

    @receiver(buyer_asked)
    def tell_of_buyer(buyer: Buyer, **_: Any) -> list[Held]:
        return [Held.of("legacy_posts.legacypost", posts_of(buyer), ["transaction_code", "payload", …])]

    @receiver(buyer_redacted)
    def erase_buyer(buyer: Buyer, by: str, **_: Any) -> dict[str, int]:
        return {"legacy_posts.legacypost": rows_that_were_changed}

Its rows are those that name the buyer: by `buyer.email` in whatever case (`__iexact`), or by belonging to a sale
of theirs (`buyer.owns("sale__buyer_email")`). Redacting them

- takes whatever tells who it was; a name becomes NAME, the e-mail `buyer.pseudonym`, so that buyers counted apart
  stay apart; all else becomes empty. Amounts, codes, states and times stay: the totals are right as before;
- empties a text that cannot be taken apart, such as a payload or an answer, whole. `buyer.is_in(text)` tells of a
  text in which nobody should stand whether this buyer does;
- goes in batches, each a short transaction of its own, what the rows are found by going last: the command may be
  stopped at any moment and run again. It is called twice, since a sale may change in between: what is erased
  already is found no more and counted no more;
- lets nothing of it be sent any more, and says so before, in `Held.note`.

Texts of other rows may name a buyer by the way: what an answer quoted, what staff wrote. `Mentions` tells of those and
empties them; an app does it first, since the names that it looks for are those of the rows that are there still.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from auditlog.models import LogEntry as Change
from django.contrib.admin.models import LogEntry as Action
from django.db import connection, models, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Cast
from django.utils.crypto import salted_hmac

from . import audit
from .facts import BuyerFacts
from .models import AbandonedCart, Subscription, Transaction
from .sessions import Session, SessionStore
from .signals import buyer_asked, buyer_redacted

logger = logging.getLogger(__name__)

NAME = "Redacted"  # in place of a name, in every language
DOMAIN = "redacted.invalid"  # no mail ever gets there (RFC 2606)
BATCH = 500  # rows of one short transaction

# What is kept of a buyer's facts: it tells of a country, and not of a person.
_KEPT = {"buyer_country", "buyer_country_iso"}
# What a slip, a PIX code or a serial says of who was to pay or to enter with it.
_OF_PAYMENT = ("billet_url", "billet_barcode", "pix_code", "pix_qrcode", "hotkey")
BUYER_FACTS = tuple(f.name for f in BuyerFacts._meta.fields if f.name not in _KEPT)
SALE_FACTS = (*BUYER_FACTS, *_OF_PAYMENT)
CART_FACTS = ("buyer_name", "buyer_email", "buyer_phone")
SUBSCRIBER_FACTS = ("name", "email", "phone_code", "phone", "cell_code", "cell")


class NoBuyer(ValueError):
    """What was given is no e-mail of a buyer. `str()` of it says what is wrong."""


@dataclass(frozen=True)
class Buyer:
    """Whom it is about: the e-mail in lower case, and what our rows say of who has it."""

    email: str
    names: frozenset[str] = frozenset()
    documents: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()  # without area codes

    @classmethod
    def of(cls, email: str) -> "Buyer":
        """Raises NoBuyer."""
        email = email.strip().lower()
        if email.count("@") != 1 or not all(email.split("@")) or "\0" in email:
            raise NoBuyer(f"“{email}” is no e-mail address.")
        if email.endswith(f"@{DOMAIN}"):
            raise NoBuyer(f"“{email}” stands for a buyer whose data were erased already.")
        buyer = cls(email)
        known: dict[str, set[str]] = {"names": set(), "documents": set(), "phones": set()}
        for rows, columns in (
            (buyer.sales(), {"names": ["buyer_name"], "documents": ["buyer_document"],
                             "phones": ["buyer_phone", "buyer_phone_record"]}),
            (buyer.carts(), {"names": ["buyer_name"], "phones": ["buyer_phone"]}),
            (buyer.subscriptions(), {"names": ["name"], "phones": ["phone", "cell"]}),
        ):  # fmt: skip
            for kind, names in columns.items():
                for values in rows.order_by().values_list(*names).distinct():
                    known[kind].update(value.strip() for value in values if value.strip())
        return cls(email, **{kind: frozenset(values) for kind, values in known.items()})

    @cached_property
    def pseudonym(self) -> str:
        """The same for every row of the buyer, and told by nobody who lacks SECRET_KEY."""
        return f"redacted-{salted_hmac('sales.privacy', self.email, algorithm='sha256').hexdigest()[:20]}@{DOMAIN}"

    def named(self, column: str) -> Q:
        """The rows in which `column` is the buyer's e-mail."""
        return Q(**{f"{column}__iexact": self.email})

    def owns(self, column: str) -> Q:
        """The same, also where `sales` has put the pseudonym into it by now: for rows that belong to such a row."""
        return self.named(column) | Q(**{column: self.pseudonym})

    def sales(self) -> QuerySet[Transaction]:
        return Transaction.objects.filter(self.named("buyer_email"))

    def carts(self) -> QuerySet[AbandonedCart]:
        return AbandonedCart.objects.filter(self.named("buyer_email"))

    def subscriptions(self) -> QuerySet[Subscription]:
        return Subscription.objects.filter(self.named("email"))

    def is_in(self, value: Any) -> bool:
        """Whether a text, or what JSON or a pickle holds, names the buyer, as it stands or as forms, links and JSON
        write it."""
        text = _text(value).lower()
        return any(spelling in text for spelling in self.spellings)

    def without(self, value: Any) -> Any:
        """The same with each text within it that names the buyer emptied."""
        if isinstance(value, dict):
            value = {key: self.without(one) for key, one in value.items()}
        elif isinstance(value, list | tuple):
            value = type(value)(self.without(one) for one in value)
        return type(value)() if self.is_in(value) else value

    @cached_property
    def spellings(self) -> frozenset[str]:
        """A name of one word and a short number stand in texts by chance, so they are none."""
        telling = {self.email} | {name for name in self.names if " " in name}
        telling |= {number for number in self.documents if len(number) > 4}
        telling |= {number for number in self.phones if len(number) > 6}
        telling -= {NAME}
        ways: tuple[Callable[[str], str], ...] = (str, quote, quote_plus, lambda text: json.dumps(text)[1:-1])
        return frozenset(way(text).lower() for text in telling for way in ways)

    def erased(self, facts: Iterable[str]) -> dict[str, str]:
        """{fact: what takes its place}."""
        values = {"name": NAME, "buyer_name": NAME, "email": self.pseudonym, "buyer_email": self.pseudonym}
        return {fact: values.get(fact, "") for fact in facts}


@dataclass(frozen=True, slots=True)
class Held:
    """What one table holds on a buyer."""

    what: str  # "app.model", as reports and counts name it
    count: int
    rows: Iterable[Mapping[str, Any]]  # read when it is iterated; what JSON can hold, dates and decimals too
    note: str = ""  # what becomes of them, where that is more than their redaction: a sentence

    @classmethod
    def of(cls, what: str, rows: QuerySet[Any], facts: Sequence[str], note: str = "") -> "Held":
        return cls(what, rows.count(), _Rows(rows, facts), note)


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: QuerySet[Any]
    facts: Sequence[str]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        for row in self.rows.order_by("pk").values(*self.facts).iterator(BATCH):
            yield {name: _readable(value) for name, value in row.items()}


@dataclass(frozen=True)
class Mentions:
    """Texts of a table (char, text, JSON, bytes) that may name a buyer by the way. The row is not theirs, and stays."""

    model: type[models.Model]
    columns: Sequence[str]
    names: Sequence[str] = ()  # those of the columns that say whose row it is: they get the pseudonym

    def held(self, buyer: Buyer) -> Held:
        rows = [
            {"id": row.pk}
            | {name: _text(value) for name, value in self.read(row).items() if buyer.is_in(value)}
            for row in self._naming(buyer)
        ]
        return Held(self.model._meta.label_lower, len(rows), rows)

    def forget(self, buyer: Buyer) -> int:
        """How many rows were changed."""
        done = 0
        for row in self._naming(buyer):
            self.write(
                row, {name: self._instead(name, value, buyer) for name, value in self.read(row).items()}
            )
            done += 1
        return done

    def _instead(self, name: str, value: Any, buyer: Buyer) -> Any:
        return buyer.pseudonym if name in self.names and buyer.is_in(value) else buyer.without(value)

    def _naming(self, buyer: Buyer) -> Iterator[models.Model]:
        for row in self.some(buyer).order_by("pk").iterator(BATCH):
            if any(buyer.is_in(value) for value in self.read(row).values()):
                yield row

    def some(self, buyer: Buyer) -> QuerySet[Any]:
        """Rows among which all are that name the buyer: by the database, where it can tell small letters from large."""
        rows = self.model._base_manager.only("pk", *self.columns)
        ascii_only = all(spelling.isascii() for spelling in buyer.spellings)
        fields = [self.model._meta.get_field(name) for name in self.columns]
        if any(isinstance(field, models.BinaryField) for field in fields):
            return rows
        if connection.vendor == "sqlite" and not ascii_only:
            return rows
        wanted = Q()
        for name in self.columns:
            rows = rows.annotate(**{f"{name}_as_text": Cast(name, models.TextField())})
            for spelling in buyer.spellings:
                wanted |= Q(**{f"{name}_as_text__icontains": spelling})
        return rows.filter(wanted)

    def read(self, row: Any) -> dict[str, Any]:
        return {name: getattr(row, name) for name in self.columns}

    def write(self, row: Any, values: dict[str, Any]) -> None:
        self.model._base_manager.filter(pk=row.pk).update(**values)


class _InSessions(Mentions):
    """What stands in a session, which is signed and packed: a message that was not shown yet names what was saved."""

    def some(self, buyer: Buyer) -> QuerySet[Any]:
        return Session.objects.all()

    def read(self, row: Session) -> dict[str, Any]:
        return row.get_decoded()

    def write(self, row: Session, values: dict[str, Any]) -> None:
        Session.objects.filter(pk=row.pk).update(session_data=SessionStore().encode(values))


_BY_THE_WAY = (
    Mentions(Action, ("object_repr", "change_message"), names=("object_repr",)),
    Mentions(
        Change,
        ("object_repr", "changes", "changes_text", "additional_data", "serialized_data"),
        names=("object_repr",),
    ),
    _InSessions(Session, ()),
)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")
    return json.dumps(value, ensure_ascii=False, default=str)


def _readable(value: Any) -> Any:
    """Bytes as text: nothing but an answer is any, and it may be in whatever encoding."""
    return (
        bytes(value).decode("utf-8", "backslashreplace") if isinstance(value, bytes | memoryview) else value
    )


_ABOUT = ("product__code", "product__name")


def hold_on(email: str) -> list[Held]:
    """What every app holds on the buyer with that e-mail, tables that hold nothing left out. Raises NoBuyer."""
    buyer = Buyer.of(email)
    sale = (
        "code",
        *_ABOUT,
        "status",
        "ordered_at",
        "price",
        "currency",
        "payment_type",
        "subscription__subscriber_code",
    )
    cart = ("code", *_ABOUT, "abandoned_at", "offer_code")
    subscription = ("subscriber_code", *_ABOUT, "plan__name", "status", "next_charge_at", "cancelled_at")
    held = [
        Held.of("sales.transaction", buyer.sales(), (*sale, *SALE_FACTS, *_KEPT)),
        Held.of("sales.abandonedcart", buyer.carts(), (*cart, *CART_FACTS)),
        Held.of("sales.subscription", buyer.subscriptions(), (*subscription, *SUBSCRIBER_FACTS)),
    ]
    for _receiver, theirs in buyer_asked.send(Buyer, buyer=buyer):
        held += theirs
    held += [mentions.held(buyer) for mentions in _BY_THE_WAY]
    return [table for table in held if table.count]


def redact(email: str, by: str) -> dict[str, int]:
    """Erase the buyer with that e-mail everywhere. `by`: on whose word, for the log.

    Returns {"app.model": rows that were changed}. Raises NoBuyer. What raises in between leaves the rest to the
    next run.
    """
    buyer, counts = Buyer.of(email), Counter[str]()
    for mentions in _BY_THE_WAY:
        counts[mentions.model._meta.label_lower] += mentions.forget(buyer)
    _ask_the_apps(buyer, by, counts)
    counts["sales.transaction"] += _erase(buyer.sales(), SALE_FACTS, buyer)
    counts["sales.abandonedcart"] += _erase(buyer.carts(), CART_FACTS, buyer)
    counts["sales.subscription"] += _erase(buyer.subscriptions(), SUBSCRIBER_FACTS, buyer)
    _ask_the_apps(buyer, by, counts)  # of what arose from these sales meanwhile
    counts = +counts
    if counts:
        logger.info("%s was redacted by %s: %s", buyer.pseudonym, by, dict(counts))
        audit.note_model(
            Transaction, "redacted", buyer=buyer.pseudonym, rows=sum(counts.values()), asked_by=by
        )
    return dict(counts)


def _ask_the_apps(buyer: Buyer, by: str, counts: Counter[str]) -> None:
    for _receiver, changed in buyer_redacted.send(Buyer, buyer=buyer, by=by):
        counts.update(changed)


def batches(rows: QuerySet[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """The keys of `rows`, looked for once, so that each batch is found by its keys alone."""
    keys = list(rows.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _erase(rows: QuerySet[Any], facts: Sequence[str], buyer: Buyer) -> int:
    """Past save(), so that nobody is told of it; the facts that are told (a status, a plan) are not among these."""
    erased, done = buyer.erased(facts), 0
    for keys in batches(rows):
        with transaction.atomic():
            batch = rows.model.objects.filter(pk__in=keys)
            for row in batch.select_for_update():
                if strays := strays_of(row, buyer, facts):
                    rows.model.objects.filter(pk=row.pk).update(**dict.fromkeys(strays, ""))
            done += batch.update(**erased)
    return done


def strays_of(row: models.Model, buyer: Buyer, facts: Iterable[str] = ()) -> list[str]:
    """The names of the row's texts, beside `facts`, in which the buyer stands, such as a tracking code."""
    return [
        field.name
        for field in row._meta.concrete_fields
        if isinstance(field, models.CharField | models.TextField)
        and field.name not in facts
        and buyer.is_in(getattr(row, field.attname) or "")
    ]
