"""What a configuration can ask for: the events, in groups, and what brings each about: a status of a sale, a change
of a subscription, a cart.

Source: the contract's table of events. The spelling is uneven there and stays so: PURCHASE_COMPLETE announces
COMPLETED, PURCHASE_PROTEST announces DISPUTE.
"""

from dataclasses import dataclass
from enum import IntEnum

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from sales.statuses import SaleStatus, SubscriptionChangeKind


class EventType(models.TextChoices):
    APPROVED = "PURCHASE_APPROVED", _("Order approved")
    COMPLETE = "PURCHASE_COMPLETE", _("Order complete")
    CANCELED = "PURCHASE_CANCELED", _("Order cancelled")
    BILLET_PRINTED = "PURCHASE_BILLET_PRINTED", _("Bank slip printed")
    EXPIRED = "PURCHASE_EXPIRED", _("Order expired")
    DELAYED = "PURCHASE_DELAYED", _("Payment overdue")
    PROTEST = "PURCHASE_PROTEST", _("Refund requested")
    REFUNDED = "PURCHASE_REFUNDED", _("Order refunded")
    CHARGEBACK = "PURCHASE_CHARGEBACK", _("Chargeback")
    CART_ABANDONED = "PURCHASE_OUT_OF_SHOPPING_CART", _("Cart abandoned")
    SUBSCRIPTION_CANCELLATION = "SUBSCRIPTION_CANCELLATION", _("Subscription cancelled")
    SWITCH_PLAN = "SWITCH_PLAN", _("Plan switched")
    UPDATE_SUBSCRIPTION_CHARGE_DATE = "UPDATE_SUBSCRIPTION_CHARGE_DATE", _("Charge date updated")


class Priority(IntEnum):
    """In which order posts that are due go out: by what they mean to the buyer."""

    GRANTS_ACCESS = 0
    TAKES_ACCESS_AWAY = 1
    THE_REST = 2
    BACKLOG = 3  # of the past, asked for later: behind all that is fresh


@dataclass(frozen=True, slots=True)
class Description:
    """`short` stands on the tags of the list, `meaning` under the tick box."""

    type: EventType
    short: Promise
    meaning: Promise
    status: SaleStatus | None = None  # the status of a sale that the event announces
    priority: Priority = Priority.THE_REST
    change: SubscriptionChangeKind | None = None  # the change of a subscription that the event announces


@dataclass(frozen=True, slots=True)
class Group:
    name: str  # for the page's ids
    label: Promise
    events: tuple[Description, ...]


GROUPS = (
    Group(
        "sales",
        _("Sales"),
        (
            Description(
                EventType.APPROVED,
                _("Approved"),
                _("The payment was approved, a subscription's renewal too: time to open the access."),
                SaleStatus.APPROVED,
                Priority.GRANTS_ACCESS,
            ),
            Description(
                EventType.COMPLETE,
                _("Complete"),
                _("The guarantee period is over: the sale is final."),
                SaleStatus.COMPLETED,
            ),
            Description(
                EventType.CANCELED,
                _("Cancelled"),
                _("The order was cancelled, or the payment was refused."),
                SaleStatus.CANCELED,
                Priority.TAKES_ACCESS_AWAY,
            ),
            Description(
                EventType.BILLET_PRINTED,
                _("Bank slip"),
                _("A bank slip or a PIX code was made and waits to be paid."),
                SaleStatus.BILLET_PRINTED,
            ),
            Description(
                EventType.EXPIRED,
                _("Expired"),
                _("The bank slip or PIX code ran out unpaid."),
                SaleStatus.EXPIRED,
                Priority.TAKES_ACCESS_AWAY,
            ),
            Description(
                EventType.DELAYED,
                _("Overdue"),
                _("A subscription's charge is overdue."),
                SaleStatus.DELAYED,
            ),
        ),
    ),
    Group(
        "money-back",
        _("Money back"),
        (
            Description(
                EventType.PROTEST,
                _("Refund request"),
                _("The buyer asked for the money back; nothing is decided yet."),
                SaleStatus.DISPUTE,
            ),
            Description(
                EventType.REFUNDED,
                _("Refunded"),
                _("The money went back to the buyer: time to close the access."),
                SaleStatus.REFUNDED,
                Priority.TAKES_ACCESS_AWAY,
            ),
            Description(
                EventType.CHARGEBACK,
                _("Chargeback"),
                _("The buyer's bank took the money back: time to close the access."),
                SaleStatus.CHARGEBACK,
                Priority.TAKES_ACCESS_AWAY,
            ),
        ),
    ),
    Group(
        "recovery",
        _("Recovery"),
        (
            Description(
                EventType.CART_ABANDONED,
                _("Cart abandoned"),
                _("Somebody filled in the checkout and left without paying."),
            ),
        ),
    ),
    Group(
        "subscription",
        _("Subscription"),
        (
            Description(
                EventType.SUBSCRIPTION_CANCELLATION,
                _("Subscription cancelled"),
                _("The subscription ends: no further charge, and no access once the paid time is over."),
                # As urgent as a refund: who cancelled counts on it, and a receiver that misses it goes on giving
                # access that nobody pays for.
                priority=Priority.TAKES_ACCESS_AWAY,
                change=SubscriptionChangeKind.CANCELLED,
            ),
            Description(
                EventType.SWITCH_PLAN,
                _("Plan switched"),
                _("The subscriber changed to another plan: another price, or another time between charges."),
                change=SubscriptionChangeKind.PLAN_SWITCHED,
            ),
            Description(
                EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE,
                _("Charge date"),
                _("The subscription is charged on another day of the month from now on."),
                change=SubscriptionChangeKind.CHARGE_DAY_MOVED,
            ),
        ),
    ),
)

BY_TYPE = {event.type: event for group in GROUPS for event in group.events}
BY_STATUS = {event.status: event for event in BY_TYPE.values() if event.status}
BY_CHANGE = {event.change: event for event in BY_TYPE.values() if event.change}
