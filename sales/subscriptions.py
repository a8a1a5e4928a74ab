"""Plans and subscriptions, and what is told of them: a cancellation, another plan, another charge day.

Whoever changes one of these facts does it by `Subscription.save()` or by `record_subscription_changes()`; both
tell the listeners of `sales.signals`. The ways past them (`update()`, `bulk_update()`) refuse these fields.
"""

import calendar
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .signals import subscription_changed
from .statuses import CANCELLED, RecurrencyPeriod, SubscriptionChangeKind, SubscriptionStatus
from .validators import currency_code, digits

TOLD = ("status", "plan", "charge_day")  # the facts whose changes are told


class Plan(models.Model):
    """What a product's subscribers pay, and how often."""

    code = models.PositiveBigIntegerField(_("plan code"), unique=True)
    product = models.ForeignKey(
        "sales.Product", models.PROTECT, related_name="plans", verbose_name=_("product")
    )
    name = models.CharField(_("name"), max_length=255)
    recurrency_period = models.PositiveSmallIntegerField(
        _("days between charges"), choices=RecurrencyPeriod, default=RecurrencyPeriod.MONTHLY
    )
    price = models.DecimalField(
        _("price"), max_digits=12, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0)]
    )
    currency = models.CharField(_("currency"), max_length=3, default="BRL", validators=[currency_code])
    offer_code = models.CharField(_("offer"), max_length=40, blank=True)
    max_charge_cycles = models.PositiveSmallIntegerField(
        _("number of charges"), default=0, help_text=_("0: until it is cancelled.")
    )

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


@dataclass(frozen=True, slots=True)
class SubscriptionChange:
    """One thing that became different. `previous` is None for a subscription that is new."""

    kind: SubscriptionChangeKind
    subscription: "Subscription"
    previous: "Subscription | None"  # as its row was, with its plan


class SubscriptionQuerySet(models.QuerySet["Subscription"]):
    def update(self, **values: Any) -> int:
        _refuse(values)
        return super().update(**values)

    def bulk_update(
        self, objs: Iterable["Subscription"], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        _refuse(fields := list(fields))
        return super().bulk_update(objs, fields, batch_size)

    def with_facts(self) -> "SubscriptionQuerySet":
        """With all that a post about the subscription needs, in the same query."""
        return self.select_related("product__owner", "plan")

    def locked(self) -> "SubscriptionQuerySet":
        """The rows with their plans, locked until the end of the transaction; the plans are not."""
        return self.select_related("plan").select_for_update(of=("self",))


def _refuse(fields: Iterable[str]) -> None:
    if {name.removesuffix("_id") for name in fields} & set(TOLD):
        raise ValueError(
            "A subscription that changes past save() would be posted to nobody: "
            "use record_subscription_changes(subscriptions)."
        )


class Subscription(models.Model):
    """One buyer's subscription to one product; its charges are transactions."""

    code = models.PositiveBigIntegerField(
        _("subscription code"), unique=True, null=True, blank=True, help_text=_("Empty: we number it.")
    )
    subscriber_code = models.CharField(_("subscriber code"), max_length=40, unique=True)
    product = models.ForeignKey(
        "sales.Product", models.PROTECT, related_name="subscriptions", verbose_name=_("product")
    )
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="subscriptions", verbose_name=_("plan"))
    status = models.CharField(
        _("status"), max_length=30, choices=SubscriptionStatus, default=SubscriptionStatus.STARTED
    )
    cancelled_at = models.DateTimeField(_("cancelled"), null=True, blank=True)  # empty: when it is saved so

    name = models.CharField(_("subscriber"), max_length=200)
    email = models.EmailField(_("subscriber's e-mail"))
    phone_code = models.CharField(_("area code"), max_length=8, blank=True, validators=[digits])
    phone = models.CharField(_("phone"), max_length=20, blank=True, validators=[digits])
    cell_code = models.CharField(_("mobile area code"), max_length=8, blank=True, validators=[digits])
    cell = models.CharField(_("mobile phone"), max_length=20, blank=True, validators=[digits])

    next_charge_at = models.DateTimeField(_("next charge"), null=True, blank=True)
    charge_day = models.PositiveSmallIntegerField(  # of the month; a renewal moves the date and not the day
        _("charge day"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(31)],
        help_text=_("Of the month, 1 to 31. Another one is posted as a new charge date."),
    )
    recurrence_value = models.DecimalField(
        _("present value of a charge"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text=_("Empty: the plan's price."),
    )
    last_recurrence_number = models.PositiveIntegerField(_("last charge"), null=True, blank=True)  # from 1

    objects = SubscriptionQuerySet.as_manager()

    class Meta:
        verbose_name = _("subscription")
        verbose_name_plural = _("subscriptions")
        indexes = (models.Index(fields=["email"], name="subscription_of_email"),)  # the admin's search

    def __str__(self) -> str:
        return self.subscriber_code

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and tell the listeners once of each told fact that the row did not have before.

        What counts is the row, not what this instance remembers: a rollback or another process would fool it.
        """
        update_fields = kwargs.get("update_fields")
        if update_fields is None:
            written = set(TOLD)
        else:
            written = {name.removesuffix("_id") for name in update_fields} & set(TOLD)
        if not written:
            return super().save(*args, **kwargs)
        with transaction.atomic(using=kwargs.get("using")):
            before = Subscription.objects.locked().filter(pk=self.pk).first() if self.pk else None
            if "status" in written and self.date_cancellation(before) and update_fields is not None:
                kwargs["update_fields"] = {*update_fields, "cancelled_at"}
            super().save(*args, **kwargs)
            if changes := self.changes_since(before, written):
                subscription_changed.send(Subscription, changes=changes)
        return None

    # The facts of the plan that posts about a charge hold.
    @property
    def plan_code(self) -> int:
        return self.plan.code

    @property
    def plan_name(self) -> str:
        return self.plan.name

    @property
    def recurrency_period(self) -> int:
        return self.plan.recurrency_period

    @property
    def number(self) -> int:
        """What the posts call the subscription's id."""
        return self.code or self.pk

    @property
    def actual_recurrence_value(self) -> Decimal:
        return self.plan.price if self.recurrence_value is None else self.recurrence_value

    def clean(self) -> None:
        if self.plan_id and self.product_id and self.plan.product_id != self.product_id:
            raise ValidationError({"plan": _("This plan is one of another product.")})

    def charge_on(self, day: int) -> None:
        """Move the charge to that day of the month (1 to 31): the next one is the first such day from now on.

        Nothing is saved. The hour stays; a month that is too short is charged on its last day.
        """
        self.charge_day = day
        now = timezone.now()
        hour = timezone.localtime(self.next_charge_at or now)
        at = _on_day(timezone.localtime(now).replace(day=1, hour=hour.hour, minute=hour.minute), day)
        if at <= now:
            at = _on_day(at.replace(day=1) + timedelta(days=31), day)
        self.next_charge_at = at

    def date_cancellation(self, before: "Subscription | None") -> bool:
        """Set `cancelled_at` as the status goes; whether that is another time than before."""
        was = before.cancelled_at if before else None
        if self.status not in CANCELLED:
            self.cancelled_at = None
        elif self.cancelled_at is None:
            self.cancelled_at = was or timezone.now()
        return self.cancelled_at != was

    def changes_since(
        self, before: "Subscription | None", facts: Collection[str] = TOLD
    ) -> list[SubscriptionChange]:
        """What is told where the row was `before`, None if there was none. A plan or day that is new is no change."""
        kinds = []
        if "status" in facts and self.status in CANCELLED and not (before and before.status in CANCELLED):
            kinds.append(SubscriptionChangeKind.CANCELLED)
        if before and "plan" in facts and self.plan_id != before.plan_id:
            kinds.append(SubscriptionChangeKind.PLAN_SWITCHED)
        days = {before.charge_day, self.charge_day} if before and "charge_day" in facts else set()
        if len(days) == 2 and None not in days:
            kinds.append(SubscriptionChangeKind.CHARGE_DAY_MOVED)
        return [SubscriptionChange(kind, self, before) for kind in kinds]

    def differing_facts(self, other: "Subscription") -> list[str]:
        """The names of the fields in which the two differ, but for the key."""
        return [
            f.name
            for f in self._meta.concrete_fields
            if not f.primary_key and getattr(self, f.attname) != getattr(other, f.attname)
        ]


def _on_day(moment: datetime, day: int) -> datetime:
    return moment.replace(day=min(day, calendar.monthrange(moment.year, moment.month)[1]))


@dataclass(slots=True)
class RecordedSubscriptions:
    """What `record_subscription_changes` did with each subscription it was given."""

    created: list[Subscription] = field(default_factory=list)
    changed: list[Subscription] = field(default_factory=list)  # a fact that is told is new
    updated: list[Subscription] = field(default_factory=list)  # other facts are new
    unchanged: list[Subscription] = field(default_factory=list)


def record_subscription_changes(
    subscriptions: Iterable[Subscription], *, notify: bool = True
) -> RecordedSubscriptions:
    """Write many subscriptions at once, found by their subscriber code, and tell the listeners with one signal.

    This is the way for imports and for whatever else writes in bulk. Each is a Subscription with all its facts,
    whose plan and product are saved; a row with the same code takes them over. One that stands there twice changes
    twice, in that order. All in one database transaction: a receiver that raises undoes it.

    `notify=False` writes without telling anyone: history that was posted long ago.
    """
    subscriptions = list(subscriptions)
    recorded = RecordedSubscriptions()
    changes: list[SubscriptionChange] = []
    if not subscriptions:
        return recorded
    with transaction.atomic():
        codes = {one.subscriber_code for one in subscriptions}
        rows = {
            row.subscriber_code: row
            for row in Subscription.objects.locked().filter(subscriber_code__in=codes)
        }
        latest, facts = dict(rows), set()
        for one in subscriptions:
            before = latest.get(one.subscriber_code)
            one.date_cancellation(before)
            told = one.changes_since(before)
            differing = one.differing_facts(before) if before else []
            if before is None:
                recorded.created.append(one)
            elif told:
                recorded.changed.append(one)
            else:
                (recorded.updated if differing else recorded.unchanged).append(one)
            changes += told
            facts.update(differing)
            latest[one.subscriber_code] = one
        _write(latest, rows, facts)
        for one in subscriptions:  # each has the key of its row, the earlier ones of a code too
            one.pk, one._state.adding = latest[one.subscriber_code].pk, False
        if notify and changes:
            subscription_changed.send(Subscription, changes=changes)
    return recorded


def _write(latest: dict[str, Subscription], rows: dict[str, Subscription], facts: set[str]) -> None:
    """The last state of each, in two statements; `rows` are those that are there, and locked."""
    Subscription.objects.bulk_create([one for code, one in latest.items() if code not in rows])
    there = []
    for code, row in rows.items():
        if latest[code] is not row:
            latest[code].pk, latest[code]._state.adding = row.pk, False
            there.append(latest[code])
    if there and facts:
        Subscription.objects.bulk_create(
            there, update_conflicts=True, unique_fields=["pk"], update_fields=sorted(facts)
        )
