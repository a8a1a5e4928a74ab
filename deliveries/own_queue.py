"""The queue of an endpoint that may not take all as it comes: its posts wait apart, in nobody else's way.

A row stands for as long as there is a reason: the owner wants only so many posts a second, the endpoint answers
slowly, it fails or asked for a pause (`circuit`), or very many posts wait for it. Its waiting posts are in the lane OWN (or OWN_BULK), which
the front claim never reads; `apart` moves them there and back, and claims them.
"""

import math
from datetime import datetime, timedelta

from django.db import connection, models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from configurations.models import WebhookConfig

from .circuit import Circuit, Phase

# What a rate that was not used for a while may catch up with, since workers look about ten times a second. Shorter,
# and a rate is missed between two jobs; longer, and it is exceeded after a rest.
BURST = timedelta(seconds=0.5)


class OwnQueueQuerySet(models.QuerySet["OwnQueue"]):
    def shut(self) -> "OwnQueueQuerySet":
        """Those of which nothing goes at present but a probe: their circuit is open."""
        return self.filter(circuit=Phase.OPEN)

    def open(self) -> "OwnQueueQuerySet":
        return self.exclude(circuit=Phase.OPEN)

    def needed(self) -> "OwnQueueQuerySet":
        """Those with a reason that does not end by their posts being sent."""
        return self.filter(
            ~Q(circuit=Phase.CLOSED) | Q(slow=True) | Q(config__posts_per_second__isnull=False)
        )

    def ask_for(self, post: int, config: int) -> bool:
        """Have the post be the next probe, at once. False where the circuit of its configuration is not open."""
        return bool(self.filter(pk=config, circuit=Phase.OPEN).update(probe_at=Now(), asked_post=post))

    def unlocked(self) -> "OwnQueueQuerySet":
        """As DeliveryQuerySet.unlocked."""
        return self._locked(skip_locked=True)

    def locked(self) -> "OwnQueueQuerySet":
        """The same, and waits for those that another worker has locked."""
        return self._locked()

    def _locked(self, **how: bool) -> "OwnQueueQuerySet":
        if connection.features.has_select_for_update:
            return self.select_for_update(of=("self",), **how)
        return self

    def in_rotation(self) -> "OwnQueueQuerySet":
        """Whose turn was longest ago is first."""
        return self.order_by(F("next_free_at").asc(nulls_first=True), "pk")


class OwnQueue(Circuit):
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

    objects = OwnQueueQuerySet.as_manager()

    class Meta:
        verbose_name = _("own queue")
        verbose_name_plural = _("own queues")

    def __str__(self) -> str:
        return f"#{self.config_id}"

    def rate(self, now: datetime) -> float | None:
        """Posts a second, over all workers together; None: no limit. Slower while it is released after a failure."""
        rates = [self.config.posts_per_second, self.rate_of_release(now)]
        return min((rate for rate in rates if rate is not None), default=None)

    def allowance(self, now: datetime) -> int | None:
        """How many posts its rate permits at `now`; None: any number."""
        rate = self.rate(now)
        if rate is None:
            return None
        used_for = (now - self._used_up_to(now, rate)).total_seconds()
        return math.floor(used_for * rate + 1e-6)

    def use(self, posts: int, now: datetime) -> None:
        """So many were claimed at `now`. Not saved."""
        rate = self.rate(now)
        if rate is None:
            self.next_free_at = now
        else:
            self.next_free_at = self._used_up_to(now, rate) + timedelta(seconds=posts / rate)

    def wait(self, now: datetime) -> float:
        """Seconds until its rate permits a post."""
        rate = self.rate(now)
        if rate is None:
            return 0.0
        free_at = self._used_up_to(now, rate) + timedelta(seconds=1 / rate)
        return max(0.0, (free_at - now).total_seconds())

    def _used_up_to(self, now: datetime, rate: float | None) -> datetime:
        """A time ahead is one from before the clock was set back."""
        burst = max(BURST, timedelta(seconds=1 / rate)) if rate else BURST
        earliest = now - burst
        if self.next_free_at is None:
            return earliest
        return min(max(self.next_free_at, earliest), now)
