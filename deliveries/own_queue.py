"""The queue of an endpoint that may not take all as it comes: its posts wait apart, in nobody else's way.

A row stands for as long as there is a reason: the owner wants only so many posts a second, the endpoint answers
slowly, it asked for a pause, or very many posts wait for it. Its waiting posts are in the lane OWN (or OWN_BULK), which
the front claim never reads; `apart` moves them there and back, and claims them.
"""

import math
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from configurations.models import WebhookConfig

# What a rate that was not used for a while may catch up with, since workers look about ten times a second. Shorter,
# and a rate is missed between two jobs; longer, and it is exceeded after a rest.
BURST = timedelta(seconds=0.5)


class OwnQueueQuerySet(models.QuerySet["OwnQueue"]):
    def shut(self) -> "OwnQueueQuerySet":
        """Those of which nothing goes at present."""
        return self.filter(_paused())

    def open(self) -> "OwnQueueQuerySet":
        return self.exclude(_paused())

    def needed(self) -> "OwnQueueQuerySet":
        """Those with a reason that does not end by their posts being sent."""
        return self.filter(_paused() | Q(slow=True) | Q(config__posts_per_second__isnull=False))

    def in_rotation(self) -> "OwnQueueQuerySet":
        """Whose turn was longest ago is first."""
        return self.order_by(F("next_free_at").asc(nulls_first=True), "pk")


def _paused() -> Q:
    """A pause that is longer than any is from before the clock was set back."""
    longest = Value(settings.DELIVERY_RETRY_AFTER_CAP, models.DurationField())
    return Q(paused_until__gt=Now(), paused_until__lte=Now() + longest)


class OwnQueue(models.Model):
    """One row for each configuration whose posts wait apart; the times are the database's."""

    config = models.OneToOneField(
        WebhookConfig,
        models.CASCADE,
        primary_key=True,
        related_name="own_queue",
        verbose_name=_("configuration"),
    )
    since = models.DateTimeField(_("since"), db_default=Now())
    slow = models.BooleanField(_("slow"), default=False, db_default=False)
    # Seconds that it takes to answer: a moving mean, kept while it is slow or was just now.
    mean_answer = models.FloatField(_("mean answer"), null=True)
    # Up to when its rate is used up ("theoretical arrival time" of the GCRA); without a rate, when it last had a turn.
    next_free_at = models.DateTimeField(null=True)
    paused_until = models.DateTimeField(_("paused until"), null=True)  # it asked for it: Retry-After

    objects = OwnQueueQuerySet.as_manager()

    class Meta:
        verbose_name = _("own queue")
        verbose_name_plural = _("own queues")

    def __str__(self) -> str:
        return f"#{self.config_id}"

    @property
    def rate(self) -> float | None:
        """Posts a second, over all workers together; None: no limit."""
        return self.config.posts_per_second

    def allowance(self, now: datetime) -> int | None:
        """How many posts its rate permits at `now`; None: any number."""
        if self.rate is None:
            return None
        used_for = (now - self._used_up_to(now)).total_seconds()
        return math.floor(used_for * self.rate + 1e-6)

    def use(self, posts: int, now: datetime) -> None:
        """So many were claimed at `now`. Not saved."""
        if self.rate is None:
            self.next_free_at = now
        else:
            self.next_free_at = self._used_up_to(now) + timedelta(seconds=posts / self.rate)

    def wait(self, now: datetime) -> float:
        """Seconds until its rate permits a post."""
        if self.rate is None:
            return 0.0
        free_at = self._used_up_to(now) + timedelta(seconds=1 / self.rate)
        return max(0.0, (free_at - now).total_seconds())

    def _used_up_to(self, now: datetime) -> datetime:
        """A time ahead is one from before the clock was set back."""
        burst = max(BURST, timedelta(seconds=1 / self.rate)) if self.rate else BURST
        earliest = now - burst
        if self.next_free_at is None:
            return earliest
        return min(max(self.next_free_at, earliest), now)
