"""What becomes of the posts that are held when a configuration is enabled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Count

from configurations.events import EventType
from configurations.models import WebhookConfig

from .models import Delivery, DeliveryQuerySet


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """The held posts of one event; the stale ones, which help nobody any more, are a group of their own."""

    event: EventType
    stale: bool
    posts: int

    @property
    def key(self) -> str:
        return f"{self.event}.{'stale' if self.stale else 'fresh'}"

    def of(self, held: DeliveryQuerySet, now: datetime) -> DeliveryQuerySet:
        # By id: a post without a date is neither before nor after it, so exclude() would lose it.
        stale = Delivery.objects.stale(now).values("pk")
        held = held.filter(event__type=self.event)
        return held.filter(pk__in=stale) if self.stale else held.exclude(pk__in=stale)


def held_groups(config: WebhookConfig, now: datetime) -> list[HeldGroup]:
    """In the order of the configuration's form; two queries."""
    held = config.deliveries.held().order_by()
    stale = _by_event(held.stale(now))
    every = _by_event(held)
    groups = []
    for event in EventType:
        counts = (False, every.get(event, 0) - stale.get(event, 0)), (True, stale.get(event, 0))
        groups += [HeldGroup(event, is_stale, posts) for is_stale, posts in counts if posts]
    return groups


def _by_event(held: DeliveryQuerySet) -> dict[str, int]:
    return dict(
        held.values("event__type").annotate(n=Count("pk", distinct=True)).values_list("event__type", "n")
    )


class HeldForm(forms.Form):
    """Ticked is sent. What was shown and is not ticked is discarded; what arose since is sent."""

    send = forms.MultipleChoiceField(required=False)
    shown = forms.MultipleChoiceField()

    def __init__(self, groups: Sequence[HeldGroup], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = groups
        keys = [f"{event}.{age}" for event in EventType for age in ("fresh", "stale")]
        self.fields["send"].choices = self.fields["shown"].choices = [(key, key) for key in keys]

    def settle(self, config: WebhookConfig, now: datetime) -> tuple[int, int]:
        """Send and discard as chosen, once the configuration is on. Returns how many of each."""
        held = config.deliveries.held()
        unwanted = set(self.cleaned_data["shown"]) - set(self.cleaned_data["send"])
        discarded = sum(group.of(held, now).discard() for group in self.groups if group.key in unwanted)
        return held.release(), discarded
