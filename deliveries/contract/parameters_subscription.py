"""The parameters of the events of a subscription, in both formats. Affiliates get none of these posts.

Where the subscriber's code sits differs in each body, and so do the names of the offer: receivers look there.
"""

from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType

from . import subscription
from .kinds import BOOLEAN, INTEGER, MILLISECONDS, NO, NUMBER, STRING, TIME_MS, Kind, Parameter, along

CANCELLATION = frozenset({EventType.SUBSCRIPTION_CANCELLATION})
SWITCH = frozenset({EventType.SWITCH_PLAN})
CHARGE_DATE = frozenset({EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE})
SUBSCRIPTION = CANCELLATION | SWITCH | CHARGE_DATE
_TOKEN = _("The account’s security token: the proof that the post is ours.")

_STATUS = _("Status of the subscription, such as ACTIVE or CANCELLED_BY_CUSTOMER.")
_PRODUCT, _PRODUCT_NAME = _("Product code."), _("Product name.")
_SUBSCRIBER, _NAME, _EMAIL = (
    _("Subscriber code."),
    _("The subscriber’s full name."),
    _("The subscriber’s e-mail."),
)
_PLAN, _PLAN_NAME, _OFFER = _("Plan code."), _("Plan name."), _("Offer code of the plan.")
_NEXT, _CANCELLED = _("Next charge."), _("When it was cancelled.")
_VALUE, _SWITCHED = _("What a charge costs at present."), _("When the plan was switched.")


def _rows(events: frozenset[EventType]) -> Callable[..., Parameter]:
    return partial(Parameter, affiliate=NO, events=events)


_cancellation, _switch, _charge_date = _rows(CANCELLATION), _rows(SWITCH), _rows(CHARGE_DATE)


def _of_plan(fact: str) -> Callable[[Any], Any]:
    """Reads it off an entry of `subscription.plans`."""
    read = along(fact)
    return lambda entry: read(entry[0])


def _phone(key: str, description: Promise, fact: str) -> Parameter:
    """All four are there as soon as one is known."""
    return _cancellation(
        f"subscriber.phone.{key}", STRING, description, fact, when=subscription.has_phone, may_be_empty=True
    )


V2: tuple[Parameter, ...] = (
    _cancellation("actual_recurrence_value", NUMBER, _VALUE, "actual_recurrence_value"),
    _cancellation("cancellation_date", MILLISECONDS, _CANCELLED, subscription.cancelled_at),
    _cancellation("date_next_charge", MILLISECONDS, _NEXT, subscription.charged_until),
    _cancellation("product.id", INTEGER, _PRODUCT, "product.code"),
    _cancellation("product.name", STRING, _PRODUCT_NAME, "product.name"),
    _cancellation("subscriber.code", STRING, _SUBSCRIBER, "subscriber_code"),
    _cancellation("subscriber.name", STRING, _NAME, subscription.name, like="name"),
    _cancellation("subscriber.email", STRING, _EMAIL, "email"),
    _phone("dddPhone", _("Area code of the phone, if known."), "phone_code"),
    _phone("phone", _("The subscriber’s phone, if known: digits."), "phone"),
    _phone("dddCell", _("Area code of the mobile phone, if known."), "cell_code"),
    _phone("cell", _("The subscriber’s mobile phone, if known: digits."), "cell"),
    _cancellation("subscription.id", INTEGER, _("Number of the subscription."), "number"),
    _cancellation("subscription.plan.id", INTEGER, _PLAN, "plan.code"),
    _cancellation("subscription.plan.name", STRING, _PLAN_NAME, "plan.name"),
    _switch("switch_plan_date", MILLISECONDS, _SWITCHED, "changed_at"),
    _switch("subscription.subscriber_code", STRING, _SUBSCRIBER, "subscriber_code"),
    _switch("subscription.status", STRING, _STATUS, "status", longest=30),
    _switch("subscription.date_next_charge", MILLISECONDS, _NEXT, "next_charge_at"),
    _switch("subscription.product.id", INTEGER, _PRODUCT, "product.code"),
    _switch("subscription.product.name", STRING, _PRODUCT_NAME, "product.name"),
    _switch("subscription.user.email", STRING, _EMAIL, "email"),
    _switch("plans[].id", INTEGER, _("Plan code; the new plan comes first."), _of_plan("code")),
    _switch("plans[].name", STRING, _PLAN_NAME, _of_plan("name"), like="plan.name"),
    _switch("plans[].offer.key", STRING, _OFFER, _of_plan("offer_code"), like="plan.offer_code"),
    _switch("plans[].current", BOOLEAN, _("Whether it is the new plan."), itemgetter(1)),
    _charge_date("subscriber.code", STRING, _SUBSCRIBER, "subscriber_code"),
    _charge_date("subscriber.name", STRING, _NAME, subscription.name, like="name"),
    _charge_date("subscriber.email", STRING, _EMAIL, "email"),
    _charge_date("subscription.status", STRING, _STATUS, "status", longest=30),
    _charge_date("subscription.product.id", INTEGER, _PRODUCT, "product.code"),
    _charge_date("subscription.product.name", STRING, _PRODUCT_NAME, "product.name"),
    _charge_date(
        "subscription.old_charge_day",
        INTEGER,
        _("The day of the month that it was charged on, 1 to 31."),
        "previous_charge_day",
    ),
    _charge_date(
        "subscription.new_charge_day",
        INTEGER,
        _("The day of the month that it is charged on from now on, 1 to 31."),
        "charge_day",
    ),
    _charge_date("subscription.date_next_charge", TIME_MS, _NEXT, "next_charge_at"),
    _charge_date("plan.id", INTEGER, _PLAN, "plan.code"),
    _charge_date("plan.name", STRING, _PLAN_NAME, "plan.name"),
    _charge_date("plan.offer.code", STRING, _OFFER, "plan.offer_code"),
)


def _plan_v1(path: str, whose: str) -> tuple[Parameter, ...]:
    facts: tuple[tuple[str, Kind, Promise, str], ...] = (
        ("name", STRING, _PLAN_NAME, "name"),
        ("maxChargeCycles", INTEGER, _("Number of charges; 0: until it is cancelled."), "max_charge_cycles"),
        ("recurrencyPeriod", INTEGER, _("Days between two charges."), "recurrency_period"),
        ("offer.key", STRING, _OFFER, "offer_code"),
        ("value", NUMBER, _("Price of the plan."), "price"),
        ("currencyCode", STRING, _("Its currency by ISO 4217, such as BRL."), "currency"),
    )
    return tuple(
        _switch(f"{path}.{key}", kind, description, f"{whose}.{fact}", like=f"plan.{fact}")
        for key, kind, description, fact in facts
    )


# The bodies are told apart by `cancellationDate` and `switchPlanDate`: no other may have them.
V1: tuple[Parameter, ...] = (
    Parameter(
        "hottok",
        STRING,
        _TOKEN,
        None,
        NO,
        CANCELLATION | SWITCH,
        longest=64,
    ),
    _cancellation("subscriptionId", INTEGER, _("Number of the subscription."), "number"),
    _cancellation("subscriberCode", STRING, _SUBSCRIBER, "subscriber_code"),
    _cancellation("cancellationDate", MILLISECONDS, _CANCELLED, subscription.cancelled_at),
    _cancellation("dateNextCharge", MILLISECONDS, _NEXT, subscription.charged_until),
    _cancellation("actualRecurrenceValue", NUMBER, _VALUE, "actual_recurrence_value"),
    _cancellation("userName", STRING, _NAME, subscription.name, like="name"),
    _cancellation("userEmail", STRING, _EMAIL, "email"),
    _cancellation("productName", STRING, _PRODUCT_NAME, "product.name"),
    _cancellation("subscriptionPlanName", STRING, _PLAN_NAME, "plan.name"),
    _switch("switchPlanDate", MILLISECONDS, _SWITCHED, "changed_at"),
    _switch("subscription.product.id", INTEGER, _PRODUCT, "product.code"),
    _switch("subscription.product.name", STRING, _PRODUCT_NAME, "product.name"),
    _switch(
        "subscription.recurrenceNumber", INTEGER, _("The last charge, from 1."), "last_recurrence_number"
    ),
    _switch("subscription.status", STRING, _STATUS, "status", longest=30),
    _switch("subscription.subscriber.code", STRING, _SUBSCRIBER, "subscriber_code"),
    _switch("subscription.subscriber.user.name", STRING, _NAME, subscription.name, like="name"),
    _switch("subscription.subscriber.user.email", STRING, _EMAIL, "email"),
    *_plan_v1("subscription.plan", "plan"),
    *_plan_v1("newSubscriptionPlan", "plan"),
    *_plan_v1("previousSubscriptionPlan", "previous_plan"),
)

# The one event whose 2.0.0 post holds the token in every body, asked for or not.
TOKEN_ALWAYS = CHARGE_DATE
TOKEN = Parameter("hottok", STRING, _TOKEN, None, NO, TOKEN_ALWAYS, longest=64)
