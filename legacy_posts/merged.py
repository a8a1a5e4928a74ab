"""Old and new posts in one list, newest first, in pages by key: of each kind no more than a page is read.

A key says where a row stands: its time, whether it is new or old, and its id. At the same time new ones come first.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from deliveries import keyset
from deliveries.keyset import COLUMN, PAGE, Page
from deliveries.models import Delivery, DeliveryQuerySet

from .models import TIME, LegacyPost, LegacyPostQuerySet

NEW, OLD = 0, 1  # places in the order
_COLUMNS = {NEW: COLUMN, OLD: TIME}
_LAST_PK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Between two rows of the list; `pk` is the id of the row that it is beside."""

    key: keyset.Key
    kind: int

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        at, _dash, rest = text.partition("-")
        kind, _dash, pk = rest.partition("-")
        key = keyset.parse(f"{at}-{pk}")
        return cls(key, int(kind)) if key and kind in ("0", "1") else None

    def older(self, rows: QuerySet[Any], kind: int) -> QuerySet[Any]:
        """Of `rows` of that kind those behind this place: at the same time the old are behind the new."""
        at, pk = self.key
        bound = pk if kind == self.kind else _LAST_PK if kind > self.kind else 0
        return keyset.older_than(rows, (at, bound), _COLUMNS[kind])

    def newer(self, rows: QuerySet[Any], kind: int) -> QuerySet[Any]:
        at, pk = self.key
        bound = pk if kind == self.kind else 0 if kind < self.kind else _LAST_PK
        return keyset.newer_than(rows, (at, bound), _COLUMNS[kind])


def key_of(row: Delivery | LegacyPost) -> str:
    kind = _kind(row)
    at, _dash, pk = keyset.key_of(row, _COLUMNS[kind]).partition("-")
    return f"{at}-{kind}-{pk}"


def page(new: DeliveryQuerySet, old: LegacyPostQuerySet, *, newer: str = "", older: str = "") -> Page:
    """The first page; or the one on the newer or the older side of a key. A key that makes no sense is none."""
    lists = {NEW: new, OLD: old}
    if newer and (place := Place.parse(newer)):
        found = _merged(
            (rows.order_by(_COLUMNS[kind], "pk") for kind, rows in _beside(lists, place.newer)),
            newest_first=False,
        )
        if len(found) > PAGE:
            found = found[:PAGE][::-1]
            return Page(found, newer=key_of(found[0]), older=key_of(found[-1]))
        # All that is newer fits on the first page, which fills up with older ones.
    elif older and (place := Place.parse(older)):
        found = _merged(_newest_first(dict(_beside(lists, place.older))))
        if found:
            return Page(found[:PAGE], newer=key_of(found[0]), older=_older(found))
    found = _merged(_newest_first(lists))
    return Page(found[:PAGE], older=_older(found))


def _beside(lists: dict[int, QuerySet[Any]], side: Any) -> list[tuple[int, QuerySet[Any]]]:
    return [(kind, side(rows, kind)) for kind, rows in lists.items()]


def _newest_first(lists: dict[int, QuerySet[Any]]) -> Iterable[QuerySet[Any]]:
    return (keyset.newest_first(rows, _COLUMNS[kind]) for kind, rows in lists.items())


def _merged(lists: Iterable[QuerySet[Any]], *, newest_first: bool = True) -> list[Any]:
    """One row more than a page, if there is one."""
    rows = [row for found in lists for row in found[: PAGE + 1]]
    rows.sort(key=_place, reverse=newest_first)
    return rows[: PAGE + 1]


def _older(found: list[Any]) -> str:
    return key_of(found[PAGE - 1]) if len(found) > PAGE else ""


def _place(row: Delivery | LegacyPost) -> tuple[Any, int, int]:
    kind = _kind(row)
    return getattr(row, _COLUMNS[kind]), -kind, row.pk


def _kind(row: Delivery | LegacyPost) -> int:
    return OLD if isinstance(row, LegacyPost) else NEW
