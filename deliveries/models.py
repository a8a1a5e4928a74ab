"""What happened, to whom it is posted, and what came of each try.

Nothing but the named methods here, `bulk` and `engine` writes a delivery's `state`, each as one compare-and-set: who
finds the row moved on since raises or counts, and never overwrites.
"""

import uuid
from collections.abc import Collection
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.expressions import RawSQL
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType, Priority
from configurations.models import SECRETS, Reason, Version, WebhookConfig
from configurations.models import State as ConfigState
from sales.fast_json import Decoder, dumps
from sales.models import AbandonedCart, Product, Seller, Subscription, Transaction

from . import relevance, retries
from .choices import FINISHED, Audience, Lane, Problem, State
from .held import EVERY, HeldHost
from .home import Home as Home  # a model too
from .monitored import AttemptCounter as AttemptCounter  # a model too
from .own_queue import OwnQueue as OwnQueue  # a model too
from .posted import Posted
from .posted import SamplePost as SamplePost  # a model too, beside what it shares with attempts
from .posted import new_webhook_id as new_webhook_id
from .reach import Outage as Outage  # a model too
from .reprocessing import ON_THE_WAY, OUT_OF_BULK, discarded_or_as_before, held_or_as_before
from .reprocessing import BulkReprocess as BulkReprocess
from .tallies import Tally as Tally  # a model too

LEASE = settings.DELIVERY_LEASE  # of a claim; renewed at every sixth of it while anything of it is unfinished
LEASE_LIMIT = 2 * LEASE
CONFIG_SECRETS = tuple(f"config__{name}" for name in SECRETS)  # to defer, where a list names configurations


class Event(models.Model):
    """A snapshot of a sale, cart or subscription at the moment that something happened to it. It never changes.

    Written for every change, even when no configuration matches.
    """

    # The `id` of the 2.0.0 posts.
    id = models.UUIDField(_("id"), primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(_("event"), max_length=40, choices=EventType)
    occurred_at = models.DateTimeField(_("occurred"))
    # contract.snapshot's to_json(); empty of a post of the former system, whose deliveries have their body as it was.
    snapshot = models.JSONField(_("snapshot"), decoder=Decoder)
    # {id of a configuration: a value of configurations.models.Mismatch}
    mismatches = models.JSONField(_("why not"), default=dict)

    producer = models.ForeignKey(Seller, models.PROTECT, related_name="+", verbose_name=_("producer"))
    # Empty where the former system's post told of a product that is not known here: then `product_name` says it.
    product = models.ForeignKey(
        Product, models.PROTECT, null=True, related_name="+", verbose_name=_("product")
    )
    product_name = models.CharField(_("name of the product"), max_length=255, blank=True)
    sale = models.ForeignKey(
        Transaction, models.PROTECT, null=True, related_name="events", verbose_name=_("transaction")
    )
    cart = models.ForeignKey(
        AbandonedCart, models.PROTECT, null=True, related_name="events", verbose_name=_("abandoned cart")
    )
    subscription = models.ForeignKey(
        Subscription, models.PROTECT, null=True, related_name="events", verbose_name=_("subscription")
    )
    # Copied from the snapshot, for the search of the History.
    transaction_code = models.CharField(_("transaction"), max_length=20, blank=True)
    buyer_email = models.EmailField(_("buyer's e-mail"), blank=True)
    buyer_name = models.CharField(_("buyer"), max_length=200, blank=True)
    amount = models.DecimalField(_("amount"), max_digits=12, decimal_places=2, null=True)
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    # Since when nothing in it or in its posts tells who the buyer was; from then on it is not sent any more.
    redacted_at = models.DateTimeField(_("buyer's data erased"), null=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = (
            models.Index(fields=["transaction_code"], name="event_of_transaction"),
            models.Index(fields=["buyer_email"], name="event_of_buyer"),
            models.Index(fields=["-occurred_at", "-id"], name="event_newest_first"),  # the admin's list
        )

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.transaction_code}".strip()

    @property
    def about(self) -> str:
        """The product's name; empty where none is known."""
        return self.product.name if self.product else self.product_name

    def audience_of(self, seller: Seller) -> Audience | None:
        """Whose copy `seller` gets: the whole post, the affiliate's, or none, as it was when the event arose."""
        if self.producer_id == seller.pk:
            return Audience.PRODUCER
        affiliate = self.snapshot.get("affiliate") or {}
        return Audience.AFFILIATE if affiliate.get("code") == seller.code else None


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "DeliveryQuerySet":
        """The posts to the configurations of `user`, removed ones too: a page's only door."""
        if not user.is_authenticated:
            return self.none()
        # The owner as a scalar, not as a join: only so does PostgreSQL read the index in the History's order.
        return self.filter(owner=Seller.objects.filter(user=user).values("pk")[:1])

    def these(self, pks: Collection[int]) -> "DeliveryQuerySet":
        """By their ids, however many, as one parameter.

        A list of hundreds has PostgreSQL read the whole of a table that is not large, and is other SQL each time.
        """
        given, sql = list(pks), "SELECT unnest(%s::bigint[])"
        if connection.vendor == "sqlite":
            given, sql = dumps(given), "SELECT value FROM json_each(%s)"
        return self.filter(pk__in=RawSQL(sql, [given]))  # noqa: S611  the parameter is bound

    def newest_first(self) -> "DeliveryQuerySet":
        return self.order_by("-created_at", "-pk")

    def due(self) -> "DeliveryQuerySet":
        """Waiting, and its time has come by the database's clock; a first try has no time: due at once.

        A time further ahead than any wait is one from before the clock was set back.
        """
        far_ahead = Now() + models.Value(retries.longest_wait(), models.DurationField())
        its_time = Q(next_try_at=None) | Q(next_try_at__lte=Now()) | Q(next_try_at__gt=far_ahead)
        return self.filter(its_time, state=State.WAITING)

    def sendable(self) -> "DeliveryQuerySet":
        """Ready, and its host open: what a drain would send now."""
        return self.ready().to_open_hosts()

    def ready(self) -> "DeliveryQuerySet":
        """Due and in turn, its configuration is on and its own queue not shut: what would be sent now, were nothing
        held by staff."""
        ready = self.due().in_turn().filter(config__state=ConfigState.ON)
        shut = list(OwnQueue.objects.shut().values_list("pk", flat=True))
        return ready.exclude(config__in=shut) if shut else ready

    def in_front(self) -> "DeliveryQuerySet":
        """Those that do not wait in their configuration's own queue."""
        return self.filter(lane__lt=Lane.OWN)

    def apart(self) -> "DeliveryQuerySet":
        """Those that do."""
        return self.filter(lane__gte=Lane.OWN)

    def in_turn(self) -> "DeliveryQuerySet":
        """Without what waits for an approved of its sale that is on its way: see `order`."""
        return self.filter(Q(closes=None) | ~Exists(self._approved_ahead()))

    def with_approved_ahead(self) -> "DeliveryQuerySet":
        """Each with `approved_ahead`, the id of the approved that it waits for."""
        return self.annotate(approved_ahead=Subquery(self._approved_ahead().order_by("pk").values("pk")[:1]))

    def _approved_ahead(self) -> "DeliveryQuerySet":
        """Of the outer query's row. One that arose after it is no reason to wait: it opens the access anew."""
        return self.model.objects.filter(
            config=OuterRef("config"), opens=OuterRef("closes"), pk__lt=OuterRef("pk"), state__in=ON_THE_WAY
        )

    def to_open_hosts(self) -> "DeliveryQuerySet":
        """Without those to a host that staff hold. Where none is held, which is the rule, nothing is joined."""
        held = HeldHost.names()
        if not held:
            return self
        if EVERY in held:
            return self.none()
        return self.exclude(config__in=WebhookConfig.objects.filter(host__in=held).values("pk"))

    def unlocked(self) -> "DeliveryQuerySet":
        """Locks them, without those that another worker has locked; in a transaction.

        On SQLite the transaction locked all at its start.
        """
        if connection.features.has_select_for_update:
            return self.select_for_update(skip_locked=True, of=("self",))
        return self

    def most_urgent_first(self) -> "DeliveryQuerySet":
        return self.order_by("lane", "priority", F("next_try_at").asc(nulls_first=True), "pk")

    def newest_of_the_front(self) -> "DeliveryQuerySet":
        """Of one lane and priority: the index of the claim, read backwards."""
        return self.order_by("-lane", "-priority", F("next_try_at").desc(nulls_last=True), "-pk")

    def lease_ran_out(self) -> "DeliveryQuerySet":
        """Claimed by a worker that renews no more. A lease far ahead is one from before the clock was set back."""
        far_ahead = Now() + models.Value(LEASE_LIMIT, models.DurationField())
        return self.filter(Q(lease_until__lt=Now()) | Q(lease_until__gt=far_ahead), state=State.SENDING)

    def finished(self) -> "DeliveryQuerySet":
        return self.filter(state__in=FINISHED)

    def held(self) -> "DeliveryQuerySet":
        return self.filter(state=State.HELD)

    def stale(self, now: datetime) -> "DeliveryQuerySet":
        """Those that help nobody any more at `now`: carts left a day ago, bank slips and PIX codes past their date.

        An approved never goes stale. The day is that of the current time zone.
        """
        return self.filter(relevance.stale(now, of="event__"))

    def send_again(self) -> int:
        """Whatever is not on its way goes at once: what waits, with its next try; the others, with a fresh set.

        Only where the configuration is on and the buyer's data are not erased. What a bulk reprocess has not sent
        yet counts as fresh from now on. Returns how many.
        """
        has_tried = models.When(state=State.WAITING, state_before="", then=F("tries"))
        moved = self._to_sendable(State.WAITING).still(*FINISHED, State.HELD, State.WAITING)
        moved = moved.update(
            state=State.WAITING,
            tries=models.Case(has_tried, default=0),
            next_try_at=None,
            finished_at=None,
            **OUT_OF_BULK,
        )
        return _and_wake(moved)

    def release(self) -> int:
        """held -> waiting, tries counted afresh, where the configuration is on. Returns how many."""
        held = self.held().filter(config__state=ConfigState.ON, event__redacted_at=None)
        held = held.still(State.HELD)
        return _and_wake(held.update(state=State.WAITING, tries=0, next_try_at=None, **OUT_OF_BULK))

    def hold(self) -> int:
        """waiting -> held; what had arrived and only waited in a bulk reprocess, as it was. Returns how many."""
        return self.still(State.WAITING).update(**held_or_as_before(), **OUT_OF_BULK)

    def discard(self) -> int:
        """held | waiting -> discarded; what was finished and only waited in a bulk, as it was. Returns how many."""
        unsent = self.still(State.HELD, State.WAITING)
        return _and_wake(unsent.update(**discarded_or_as_before(), **OUT_OF_BULK, next_try_at=None))

    def still(self, *states: State) -> "DeliveryQuerySet":
        """Those in one of `states`, to be updated: by a condition on their own table alone.

        Where the condition joins another, Django's UPDATE names the ids, and PostgreSQL, having waited for another
        writer, does not look at the state again: it would move what was just claimed.
        """
        return self.model.objects.filter(pk__in=self.order_by().values("pk"), state__in=states)

    def _to_sendable(self, *also: State) -> "DeliveryQuerySet":
        states = (*FINISHED, State.HELD, *also)
        return self.filter(state__in=states, config__state=ConfigState.ON, event__redacted_at=None)


def _and_wake(moved: int) -> int:
    """Have the worker look after the commit, if any row was moved."""
    from . import wake  # it needs WakeFlag

    if moved:
        transaction.on_commit(wake.wake)
    return moved


NOT_ON = {
    ConfigState.OFF: _(
        "The configuration of this post is switched off. Switch it on first, then send the post."
    ),
    ConfigState.DISABLED: _(
        "The configuration of this post is disabled. Enable it first, then send the post."
    ),
    ConfigState.REMOVED: _(
        "The configuration of this post was removed, so the post cannot be sent any more."
    ),
}
BEHIND = _("This post waits until the approved post of this sale has ended.")
REDACTED = _("The buyer's data were erased, so this cannot be posted any more.")


class Delivery(models.Model):
    """One event on its way to one configuration: a row that is claimed, never popped."""

    class NotPossible(Exception):
        """The row has moved on, its configuration is not on, or its buyer was erased. `str()` of it says which."""

    webhook_id = models.CharField(
        _("webhook-id"), max_length=40, unique=True, editable=False
    )  # over all tries
    # Each of these three begins another index below, and every claim and outcome writes an entry into all indexes.
    event = models.ForeignKey(
        Event, models.PROTECT, related_name="deliveries", db_index=False, verbose_name=_("event")
    )
    config = models.ForeignKey(
        WebhookConfig,
        models.PROTECT,
        related_name="deliveries",
        db_index=False,
        verbose_name=_("configuration"),
    )
    owner = models.ForeignKey(  # of config
        Seller, models.PROTECT, related_name="+", db_index=False, verbose_name=_("owner")
    )
    audience = models.CharField(_("copy"), max_length=10, choices=Audience, default=Audience.PRODUCER)
    version = models.CharField(_("version"), max_length=10, choices=Version)
    # db_default: workers of the release before write rows without these two.
    lane = models.PositiveSmallIntegerField(
        _("lane"), choices=Lane, default=Lane.FRESH, db_default=Lane.FRESH
    )
    priority = models.PositiveSmallIntegerField(_("priority"), default=Priority.THE_REST)
    created_at = models.DateTimeField(_("time"))  # of the event: the History's order

    state = models.CharField(_("status"), max_length=10, choices=State, default=State.WAITING)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)  # of the present set, 0 to 5
    attempts_made = models.PositiveIntegerField(_("attempts"), default=0)  # of all sets
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    claim_id = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    bulk = models.ForeignKey(
        BulkReprocess,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="deliveries",
        db_index=False,  # delivery_of_bulk
        verbose_name=_("bulk reprocess"),
    )
    # What it was before its bulk reprocess, as long as that has not sent it; tries and finished_at still are of then.
    state_before = models.CharField(
        _("status before"), max_length=10, choices=State, blank=True, default="", db_default=""
    )

    # The transaction whose access an approved opens, or a refund and the like takes away: see `order`. Copied from
    # the event, so that the claim need not read it. Null, so that they are added to many rows at once.
    opens = models.CharField(max_length=20, null=True, editable=False)  # noqa: DJ001
    closes = models.CharField(max_length=20, null=True, editable=False)  # noqa: DJ001

    # The body, as it is posted at every try; empty until the first.
    body = models.TextField(_("payload"), blank=True)
    # What came of the last attempt, so that lists need no second query.
    last_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    last_problem = models.CharField(_("problem"), max_length=20, choices=Problem, blank=True)
    answered_page = models.BooleanField(_("answered with a web page"), default=False)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        permissions = (("reprocess_delivery", _("Can reprocess posts")),)
        constraints = (
            models.CheckConstraint(condition=Q(state__in=State.values), name="delivery_state_known"),
            models.CheckConstraint(
                condition=Q(state_before__in=["", *State.values]), name="delivery_state_before_known"
            ),
            models.UniqueConstraint(fields=["event", "config"], name="delivery_once_per_configuration"),
        )
        indexes = (
            # The claim: what is due, most urgent first. On PostgreSQL a migration puts the nulls first in it.
            models.Index(
                fields=["lane", "priority", "next_try_at", "id"],
                name="delivery_due_by_lane",
                condition=Q(state="waiting"),
            ),
            # The same of each configuration's own queue.
            models.Index(
                fields=["config", "lane", "priority", "next_try_at", "id"],
                name="delivery_in_own_queue",
                condition=Q(state="waiting", lane__gte=Lane.OWN),
            ),
            # The approved of a sale that its refund waits for. Its state is no part of it, which SQLite would
            # not see through the parameters of a query.
            models.Index(
                fields=["config", "opens"], name="delivery_that_opens", condition=Q(opens__isnull=False)
            ),
            # How far a bulk reprocess is, and what it has still to send.
            models.Index(
                fields=["bulk", "state", "state_before"],
                name="delivery_of_bulk",
                condition=Q(bulk__isnull=False),
            ),
            # Leases that ran out.
            models.Index(fields=["lease_until"], name="delivery_leased", condition=Q(state="sending")),
            # The History and its filters, by key.
            models.Index(fields=["owner", "-created_at", "-id"], name="delivery_newest_first"),
            models.Index(fields=["owner", "state", "-created_at", "-id"], name="delivery_by_state"),
            models.Index(fields=["config", "-created_at", "-id"], name="delivery_of_configuration"),
            models.Index(fields=["config", "state"], name="delivery_held", condition=Q(state="held")),
            models.Index(fields=["-created_at", "-id"], name="delivery_admin_list"),
            # Who paid and has no access yet: the warning asks every minute. Approved, and not accepted.
            models.Index(
                fields=["config", "created_at"],
                name="delivery_without_access",
                condition=Q(priority=0) & ~Q(state="delivered"),
            ),
        )

    def __str__(self) -> str:
        return self.webhook_id

    def get_absolute_url(self) -> str:
        return reverse("deliveries:detail", args=[self.pk])

    def reprocess(self) -> bool:
        """delivered | failed | discarded | held -> waiting, tries counted afresh; earlier attempts stay.

        Returns whether it goes as a probe, since its endpoint fails at present: then no try is used up. Raises NotPossible if it is on its way, its configuration is not on, or its buyer's data were erased.
        """
        if not self._rows()._to_sendable().send_again():
            raise self._not_possible(_("This post is already on its way."))
        return self._sent_again()

    def send_now(self) -> bool:
        """waiting -> due at once; it counts as the next try.

        Returns whether it goes as a probe, since its endpoint fails at present: then it counts as none. Raises NotPossible if it does not wait any more, waits for an approved, or its configuration is not on.
        """
        if not self._rows().in_turn().exists():
            raise self.NotPossible(BEHIND)
        if not self._rows().filter(state=State.WAITING).send_again():
            raise self._not_possible(_("This post is no longer waiting."))
        return self._sent_again()

    def _sent_again(self) -> bool:
        is_probe = OwnQueue.objects.ask_for(self.pk, self.config_id)
        if is_probe:  # it waits among the others until the probe takes it
            self._rows().filter(state=State.WAITING).update(lane=Lane.OWN)
        self.refresh_from_db()
        return is_probe

    def _rows(self) -> DeliveryQuerySet:
        return Delivery.objects.filter(pk=self.pk)

    def _not_possible(self, otherwise: Promise) -> "Delivery.NotPossible":
        """Why, as the rows stand now: it may be its configuration, or that somebody was quicker."""
        facts = ("state", "config__state", "event__redacted_at")
        state, config_state, redacted_at = self._rows().values_list(*facts).get()
        if redacted_at:
            return self.NotPossible(REDACTED)
        if config_state in NOT_ON:
            return self.NotPossible(NOT_ON[config_state])
        if state == State.SENDING:
            return self.NotPossible(_("This post is already on its way."))
        return self.NotPossible(otherwise)


class DeliveryAttempt(Posted):
    """One POST, or the try of one, as it went. It never changes."""

    delivery = models.ForeignKey(
        Delivery,
        models.PROTECT,
        related_name="attempts",
        db_index=False,  # attempt_in_order
        verbose_name=_("delivery"),
    )
    number = models.PositiveIntegerField(_("number"))  # counts over all sets of tries
    # Its worker had lost the claim by the time the answer came: kept as evidence, it moved nothing.
    late = models.BooleanField(_("late"), default=False)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        indexes = (
            models.Index(fields=["delivery", "number"], name="attempt_in_order"),
            models.Index(fields=["started_at"], name="attempt_started"),  # the staff's charts of a day
        )

    def __str__(self) -> str:
        return f"{self.delivery_id}#{self.number}"


class Told(models.TextChoices):
    """The trouble that the owner of a configuration last heard of, and has not heard the end of."""

    FAILING = "failing", _("Buyers wait")
    DISABLED = "disabled", _("Disabled by us")


class EndpointHealth(models.Model):
    """How a configuration's URL has fared, in a table of its own so that nobody's edit is lost.

    `disabling` writes it, and `mails` what the owner was told. The times are the database's.
    """

    config = models.OneToOneField(
        WebhookConfig,
        models.CASCADE,
        primary_key=True,
        related_name="health",
        verbose_name=_("configuration"),
    )
    url = models.CharField(
        _("URL"), max_length=2000, blank=True
    )  # which this is about: a new one starts anew
    last_success_at = models.DateTimeField(_("last success"), null=True)
    works_since = models.DateTimeField(
        _("works since"), null=True
    )  # the first success after the last failure
    # Since the last success:
    failures = models.PositiveIntegerField(_("failures"), default=0)
    first_failure_at = models.DateTimeField(_("failing since"), null=True)
    last_failure_at = models.DateTimeField(_("last failure"), null=True)
    # What came of the last failure; kept over a success.
    last_status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    last_problem = models.CharField(_("problem"), max_length=20, choices=Problem, blank=True)
    last_detail = models.CharField(_("in detail"), max_length=300, blank=True)
    # The run of failures that are the URL's fault and nothing else; any other outcome ends it.
    fault = models.CharField(_("fault of the URL"), max_length=20, choices=Reason, blank=True)
    fault_since = models.DateTimeField(_("its fault since"), null=True)
    next_probe_at = models.DateTimeField(_("next probe"), null=True)  # empty: none is made
    # The same of those failures that open its circuit (circuit.Run); the sales are in lines.
    run = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    run_sales = models.CharField(max_length=200, blank=True, default="", db_default="", editable=False)

    told = models.CharField(_("owner was told"), max_length=10, choices=Told, blank=True)
    told_at = models.DateTimeField(_("when"), null=True)  # of trouble, the last time
    mail_tried_at = models.DateTimeField(null=True)  # a mail that is on its way, or failed

    class Meta:
        verbose_name = _("health of a URL")
        verbose_name_plural = _("health of the URLs")
        indexes = (
            # The clock asks each second.
            models.Index(
                fields=["next_probe_at"], name="health_probe_due", condition=Q(next_probe_at__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.config_id}: {self.failures}"


class WakeFlag(models.Model):
    """One row: when a wake-up was last asked for (with the ORM broker; Redis keeps its own) and came through, and the last sweep."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    asked_at = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("wake flag")
        verbose_name_plural = _("wake flags")

    def __str__(self) -> str:
        return str(self.asked_at)
