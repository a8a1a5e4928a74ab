"""A bulk reprocess: many posts that were asked for again at once. `bulk` starts, pauses and stops it."""

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sales.models import Seller

from .choices import FINISHED, BulkState, Lane, State

ON_THE_WAY = (State.WAITING, State.SENDING)

# What is taken out of what a bulk reprocess has still to send; it is counted there by its state all the same.
OUT_OF_BULK = {"state_before": "", "lane": Lane.FRESH}


def held_or_as_before() -> dict[str, models.Case]:
    """To be held: state and finished_at of a waiting row. A post that had arrived, or was given up, is not held."""
    before = Q(state_before__in=(State.DELIVERED, State.DISCARDED))
    return {
        "state": Case(When(before, then=F("state_before")), default=Value(State.HELD)),
        "finished_at": Case(When(before, then=F("finished_at"))),
    }


def discarded_or_as_before() -> dict[str, models.Case]:
    """The same, to be discarded."""
    before = Q(state_before__in=FINISHED)
    discarded = Value(State.DISCARDED)
    return {
        "state": Case(When(before, then=F("state_before")), default=discarded),
        "finished_at": Case(When(before, then=F("finished_at")), default=Now()),
    }


class BulkReprocessQuerySet(models.QuerySet["BulkReprocess"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "BulkReprocessQuerySet":
        """Those of the posts of `user`: a page's only door."""
        return self.filter(owner__user=user) if user.is_authenticated else self.none()

    def newest_first(self) -> "BulkReprocessQuerySet":
        return self.order_by("-created_at", "-pk")

    def halted(self) -> "BulkReprocessQuerySet":
        """Paused or stopped: nothing more of them is claimed."""
        return self.exclude(state=BulkState.RUNNING)

    def under_way(self) -> "BulkReprocessQuerySet":
        """Neither stopped nor finished: something is still to send, or to be queued."""
        return self.filter(_under_way())

    def under_way_first(self) -> "BulkReprocessQuerySet":
        """Each with `is_under_way`; the others behind them."""
        flag = Case(When(_under_way(), then=Value(True)), default=Value(False))
        return self.annotate(is_under_way=flag).order_by("-is_under_way", "-created_at", "-pk")


def _under_way() -> Q:
    posts = BulkReprocess.deliveries.rel.related_model.objects.filter(bulk=OuterRef("pk"))
    # Each state by itself, so that the index finds the unsent ones among very many that were sent.
    unsent = posts.filter(state__in=State.values, state_before__gt="")
    return ~Q(state=BulkState.STOPPED) & (Q(queued_to__isnull=False) | Exists(unsent))


class BulkReprocess(models.Model):
    """Who asked for which posts to be sent again. It is nothing but rows of low priority.

    Its posts are the deliveries whose `bulk` it is. One that it has not sent yet keeps in `state_before` what it
    was; so pausing and stopping give every unsent post back as it was, and what was sent is counted by its state.
    """

    class Nothing(Exception):
        """No post of those that were chosen can be reprocessed."""

    class NotPossible(Exception):
        """`str()` of it is a sentence for the page."""

    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("asked for by"),  # empty: by a command, or by a user who is gone
    )
    owner = models.ForeignKey(
        Seller, models.PROTECT, null=True, related_name="+", verbose_name=_("owner of the posts")
    )  # empty: of several
    asked_for = models.TextField(_("asked for"))  # which posts, in words; no buyer's data
    # Which, for the queueing to go on by after an interruption; empty once all are queued.
    selection = models.JSONField(default=dict, editable=False)
    # Neither what arose nor what was finished after it is reprocessed: who presses twice sends once.
    asked_at = models.DateTimeField(_("chosen"))
    created_at = models.DateTimeField(_("started"), default=timezone.now)
    state = models.CharField(_("status"), max_length=10, choices=BulkState, default=BulkState.RUNNING)
    total = models.PositiveIntegerField(_("posts"))  # chosen; once all are queued, the queued
    queued = models.PositiveIntegerField(_("queued"), default=0)
    queued_to = models.BigIntegerField(null=True, default=0, editable=False)  # their ids; empty: all are

    objects = BulkReprocessQuerySet.as_manager()

    class Meta:
        verbose_name = _("bulk reprocess")
        verbose_name_plural = _("bulk reprocesses")
        constraints = (
            models.CheckConstraint(condition=Q(state__in=BulkState.values), name="bulk_state_known"),
            models.UniqueConstraint(fields=["owner", "asked_at"], name="bulk_once_per_question"),
        )
        indexes = (models.Index(fields=["owner", "-created_at", "-id"], name="bulk_newest_first"),)

    def __str__(self) -> str:
        return f"#{self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("deliveries:bulk", args=[self.pk])
