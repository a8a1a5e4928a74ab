"""Import of transactions, carts and subscriptions: whole batches, each in one database transaction.

A bad row is reported and left out; all others are written. Rows take effect in the order of the file, and a
file that was imported, wholly or in part, can be imported again: what is there already stays as it is.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from django.db import DataError, IntegrityError, transaction
from django.utils.translation import gettext as _

from .bulkwrite import new
from .import_parties import Parties, Related, Standing
from .import_rows import CART, SALE, SUBSCRIPTION, BadRow, Cleaner, Line, Row, lines
from .models import AbandonedCart, Transaction, record_abandoned_carts, record_status_changes
from .subscriptions import Subscription, record_subscription_changes

Marks = tuple[str, ...]
BATCH = 500  # rows in one database transaction


@dataclass(slots=True)
class Result:
    """How many rows did what; `bad` ones are (line, reason)."""

    created: int = 0
    changed: int = 0  # the status is new
    updated: int = 0  # other facts are new, the status is not
    unchanged: int = 0
    sellers: int = 0  # that were unknown
    products: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    last_line: int = 0  # all rows up to here are dealt with

    def plus(self, other: "Result") -> "Result":
        return Result(
            **{
                each.name: getattr(self, each.name) + getattr(other, each.name)
                for each in fields(self)
                if each.name != "last_line"
            },
            last_line=max(self.last_line, other.last_line),
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """What a first look at the whole file found."""

    last_line: int
    # {code that stands in several rows: [(line, its marks after that line), …]}, in the order of the file
    repeated: dict[str, list[tuple[int, Marks]]]


def survey(file: BinaryIO, format_: str) -> Survey:
    """Reads the file once, to find out before anything is written whether it can be read at all.

    It remembers every code, about 150 bytes each. Raises Unusable.
    """
    last_line, standing = 0, {}
    repeated: dict[str, list[tuple[int, Marks]]] = {}
    for line in lines(file, format_):
        last_line = line.number
        code = str(line.values.get("code") or "").strip()
        here = (line.number, _mark(line, standing.get(code, (0, ()))[1]))
        if code in standing:
            repeated.setdefault(code, [standing[code]]).append(here)
        elif code:
            standing[code] = here
    return Survey(last_line, repeated)


def _mark(line: Line, before: Marks) -> Marks:
    """The facts whose changes are told; one that the row does not give is as `before`, or empty: not known."""
    names = ("subscription_status", "plan_code", "charge_day")
    if str(line.values.get("kind") or SALE).strip().lower() != SUBSCRIPTION:
        names, before = ("status",), ("",)
    given = [str(line.values.get(name) or "").strip().upper() for name in names]
    return tuple(new or old for new, old in zip(given, before or [""] * len(names), strict=False))


def _stands(marks: Marks, standing: Transaction | Subscription | None) -> bool:
    """Whether the row that is there is as the file says."""
    if isinstance(standing, Subscription):
        there = (standing.status, standing.plan.code, standing.charge_day)
        return all(not mark or mark == str(fact) for mark, fact in zip(marks, there, strict=False))
    return standing is not None and marks[0] == standing.status


def import_batches(
    file: BinaryIO,
    format_: str,
    *,
    zone: ZoneInfo | None = None,
    notify: bool = True,
    dry_run: bool = False,
) -> Iterator[tuple[Result, int]]:
    """Imports a seekable file of format "csv" or "jsonl" and yields what each batch did and the number of the
    file's last line: once before anything is written, then after each batch.

    `zone` is that of times without one; None makes their rows bad. Raises Unusable before anything is written.
    """
    found = survey(file, format_)
    importer = _Importer(found, Cleaner(zone), notify=notify, dry_run=dry_run)
    rest = lines(file, format_)
    yield Result(), found.last_line
    while batch := list(islice(rest, BATCH)):
        yield importer.take(batch), found.last_line


# {kind: {attribute: column}} of what a row needs where what it names is new
_NEEDED = {
    SALE: {name: name for name in ("status", "ordered_at", "price", "buyer_name", "buyer_email")},
    CART: {name: name for name in ("abandoned_at", "buyer_name", "buyer_email")},
    SUBSCRIPTION: {"name": "buyer_name", "email": "buyer_email"},
}


class _Importer:
    def __init__(self, survey: Survey, cleaner: Cleaner, *, notify: bool, dry_run: bool) -> None:
        self.survey, self.cleaner, self.notify, self.dry_run = survey, cleaner, notify, dry_run
        self.parties = Parties(notify, dry_run)
        # {repeated code: the line from which on its rows are new}
        self.resume_at: dict[str, int] = {}
        # In a dry run, where the database does not tell: {repeated code: the sale as it would stand}.
        self.imagined: dict[str, Transaction] = {}

    def take(self, batch: list[Line]) -> Result:
        """Cleans and writes a batch."""
        result, rows = Result(last_line=batch[-1].number), []
        for line in batch:
            try:
                if line.problem:
                    raise BadRow(line.problem)
                rows.append(self.cleaner.clean(line.number, line.values))
            except BadRow as bad:
                result.bad.append((line.number, str(bad)))
        result = result.plus(self._write(rows))
        result.bad.sort()
        return result

    def _write(self, rows: list[Row]) -> Result:
        """One database transaction. What the database itself refuses is found by writing one row at a time."""
        if not rows:
            return Result()
        try:
            with transaction.atomic():
                result = Result()
                for round_ in _rounds(rows):
                    result = result.plus(self._write_round(round_))
        except (IntegrityError, DataError) as error:
            self.parties = Parties(self.notify, self.dry_run)  # what it holds may have been rolled back
            if len(rows) == 1:
                return Result(
                    bad=[(rows[0].line, _("The database refuses it: %(error)s") % {"error": error})]
                )
            result = Result()
            for row in rows:
                result = result.plus(self._write([row]))
        return result

    def _write_round(self, rows: list[Row]) -> Result:
        """Rows of which no two have the same code."""
        result, related = Result(), []
        self.parties.load(rows)
        standing = self._standing(rows)
        for row in rows:
            try:
                self._refuse_incomplete(row, standing.get(row.code))
                related.append((row, self.parties.resolve(row, standing.get(row.code))))
            except BadRow as bad:
                result.bad.append((row.line, str(bad)))
        result.sellers, result.products = self.parties.save_new()
        sales = [pair for pair in related if pair[0].kind == SALE]
        carts = [pair for pair in related if pair[0].kind == CART]
        subscriptions = [pair for pair in related if pair[0].kind == SUBSCRIPTION]
        result = result.plus(self._write_subscriptions(subscriptions, standing))
        result = result.plus(self._write_sales(sales, standing))
        return result.plus(self._write_carts(carts, standing))

    def _standing(self, rows: list[Row]) -> dict[Any, Any]:
        """The sales, carts and subscriptions of these codes that are there already."""
        codes = [row.code for row in rows if row.kind == SALE]
        standing: dict[Any, Any] = {**Transaction.objects.locked(codes)}
        standing |= {code: self.imagined[code] for code in codes if code in self.imagined}
        if carts := [row.code for row in rows if row.kind == CART]:
            standing |= {cart.code: cart for cart in AbandonedCart.objects.filter(code__in=carts)}
        for row in rows:
            if row.kind == SUBSCRIPTION and row.code in self.parties.subscriptions:
                standing[row.code] = self.parties.subscriptions[row.code]
        return standing

    @staticmethod
    def _refuse_incomplete(row: Row, standing: Standing) -> None:
        if row.kind == SUBSCRIPTION and "status" not in row.own:
            raise BadRow(_("A subscription's row needs: subscription_status."))
        if standing is not None:
            return
        missing = sorted(column for name, column in _NEEDED[row.kind].items() if name not in row.own)
        if "code" not in row.product:
            missing.append("product_code")
        if row.kind == SUBSCRIPTION and "code" not in row.plan:
            missing.append("plan_code")
        if missing:
            raise BadRow(_("It is new here, so it needs: %(columns)s.") % {"columns": ", ".join(missing)})

    def _is_past(self, row: Row, standing: Transaction | Subscription | None) -> bool:
        """Whether the row was imported before and a later row of its code too, so that it must not come again.

        Of a code with several rows, all up to the last one with the status that the sale has now are past.
        """
        if row.code not in self.survey.repeated:
            return False
        if row.code not in self.resume_at:
            there = [line for line, marks in self.survey.repeated[row.code] if _stands(marks, standing)]
            self.resume_at[row.code] = max(there, default=0)
        return row.line < self.resume_at[row.code]

    def _write_sales(self, pairs: list[tuple[Row, Related]], standing: dict[str, Transaction]) -> Result:
        result, sales = Result(), []
        for row, related in pairs:
            there = standing.get(row.code)
            if self._is_past(row, there):
                result.unchanged += 1
                continue
            sale = _with_facts(copy(there) if there else new(Transaction), row, related)
            if related.get("subscription") and (there is None or sale.differing_facts(there)):
                sale.subscription = self.parties.renew(row)
            sales.append(sale)
        if self.dry_run:
            return result.plus(self._foresee(sales, standing))
        self.parties.save_renewed()
        recorded = record_status_changes(sales, notify=self.notify, standing=standing)
        return result.plus(
            Result(
                created=len(recorded.created),
                changed=len(recorded.changed),
                updated=len(recorded.updated),
                unchanged=len(recorded.unchanged),
            )
        )

    def _write_subscriptions(
        self, pairs: list[tuple[Row, Related]], standing: dict[str, Subscription]
    ) -> Result:
        result, subscriptions = Result(), []
        for row, related in pairs:
            there = standing.get(row.code)
            if self._is_past(row, there):
                result.unchanged += 1
                continue
            subscription = _with_facts(copy(there) if there else new(Subscription), row, related)
            if subscription.plan.product != subscription.product:
                result.bad.append((row.line, _("Plan and subscription are of different products.")))
                continue
            subscriptions.append(subscription)
        if self.dry_run:
            return result.plus(self._foresee_subscriptions(subscriptions, standing))
        recorded = record_subscription_changes(subscriptions, notify=self.notify)
        self.parties.subscriptions |= {one.subscriber_code: one for one in subscriptions}
        return result.plus(
            Result(
                created=len(recorded.created),
                changed=len(recorded.changed),
                updated=len(recorded.updated),
                unchanged=len(recorded.unchanged),
            )
        )

    def _foresee_subscriptions(
        self, subscriptions: list[Subscription], standing: dict[str, Subscription]
    ) -> Result:
        """What record_subscription_changes() would do."""
        result = Result()
        for one in subscriptions:
            there = standing.get(one.subscriber_code)
            one.date_cancellation(there)
            told, differing = one.changes_since(there), there is not None and bool(one.differing_facts(there))
            result.created += there is None
            result.changed += there is not None and bool(told)
            result.updated += differing and not told
            result.unchanged += there is not None and not differing
            self.parties.subscriptions[one.subscriber_code] = one
        return result

    def _foresee(self, sales: list[Transaction], standing: dict[str, Transaction]) -> Result:
        """What record_status_changes() would do."""
        result = Result()
        for sale in sales:
            there = standing.get(sale.code)
            differing = sale.differing_facts(there) if there else []
            result.created += there is None
            result.changed += "status" in differing
            result.updated += bool(differing) and "status" not in differing
            result.unchanged += there is not None and not differing
            if sale.code in self.survey.repeated:
                self.imagined[sale.code] = sale
        return result

    def _write_carts(self, pairs: list[tuple[Row, Related]], standing: dict[Any, AbandonedCart]) -> Result:
        result, carts = Result(), []
        for row, related in pairs:
            there = standing.get(row.code)
            cart = _with_facts(copy(there) if there else new(AbandonedCart), row, related)
            if there is None:
                carts.append(cart)
            elif any(
                getattr(cart, f.attname) != getattr(there, f.attname) for f in cart._meta.concrete_fields
            ):
                result.bad.append(
                    (row.line, _("This cart is there already, with other facts: a cart never changes."))
                )
            else:
                result.unchanged += 1
        result.created = len(carts)
        if not self.dry_run:
            record_abandoned_carts(carts, notify=self.notify)
        return result


def _with_facts(own: Any, row: Row, related: Related) -> Any:
    """`own` with what the row says; what it does not say stays."""
    for name, value in (row.own | related).items():
        setattr(own, name, value)
    return own


def _rounds(rows: list[Row]) -> Iterator[list[Row]]:
    """The rows in as few lists as have no code twice, each code's rows in their order."""
    rounds: list[list[Row]] = []
    seen: dict[Any, int] = {}
    for row in rows:
        nth = seen[row.code] = seen.get(row.code, -1) + 1
        if nth == len(rounds):
            rounds.append([])
        rounds[nth].append(row)
    yield from rounds
