"""A subscription at the moment that it was cancelled, switched to another plan or moved to another charge day."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .snapshot import Cart, Product, Sale, _Snapshot


@dataclass(frozen=True, slots=True)
class Plan(_Snapshot):
    code: int = 0
    name: str = ""
    recurrency_period: int = 30  # days between charges
    price: Decimal = Decimal()
    currency: str = ""
    offer_code: str = ""
    max_charge_cycles: int = 0  # 0: until it is cancelled


_NO_PRODUCT, _NO_PLAN = Product(), Plan()


@dataclass(frozen=True, slots=True)
class ChangedSubscription(_Snapshot):
    """What it was before is there for the fact that changed."""

    number: int = 0
    subscriber_code: str = ""
    product: Product = _NO_PRODUCT
    plan: Plan = _NO_PLAN
    status: str = ""
    cancelled_at: datetime | None = None
    name: str = ""
    email: str = ""
    phone_code: str = ""
    phone: str = ""
    cell_code: str = ""
    cell: str = ""
    next_charge_at: datetime | None = None
    charge_day: int | None = None  # of the month
    actual_recurrence_value: Decimal = Decimal()
    last_recurrence_number: int | None = None
    changed_at: datetime | None = None
    previous_plan: Plan | None = None
    previous_charge_day: int | None = None


Snapshot = Sale | Cart | ChangedSubscription

# --- What no single fact says -------------------------------------------------------------------------


def plans(s: ChangedSubscription, own: bool) -> list[tuple[Plan, bool]]:
    """Each plan of a switch, and whether it is the present one, which comes first."""
    return [(s.plan, True), *([(s.previous_plan, False)] if s.previous_plan else [])]


def has_phone(s: ChangedSubscription) -> bool:
    return bool(s.phone or s.cell)


def name(s: ChangedSubscription) -> str:
    """Receivers ask for one."""
    return s.name or s.email


def cancelled_at(s: ChangedSubscription) -> datetime | None:
    return s.cancelled_at or s.changed_at


def charged_until(s: ChangedSubscription) -> datetime | None:
    """When the next charge would have been; receivers ask for one, so where none was due: when it was cancelled."""
    return s.next_charge_at or cancelled_at(s)
