"""The events of the last days that a configuration was not told of, to be sent to it on its owner's word."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models, transaction
from django.db.models import Count, Exists, OuterRef, Q

from configurations.events import EventType, Priority
from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from sales.models import AbandonedCart, Transaction

from . import contract, relevance, wake
from .models import NOT_ON, Audience, Delivery, Event
from .recording import new_delivery
from .relevance import Relevance
from .words import Words

LOOKS_BACK = timedelta(days=30)
BATCH = 500  # rows of one short transaction, so that sales go on being recorded meanwhile


@dataclass(frozen=True, slots=True)
class Group:
    """The events of one type that help alike; what is not fresh is a group of its own, with `words` for why."""

    event: EventType
    relevance: Relevance
    events: int

    @property
    def key(self) -> str:
        return f"{self.event}.{self.relevance}"

    @property
    def words(self) -> Words:
        return relevance.words(self.relevance, self.event)


KEYS = [f"{event}.{of_it}" for event in EventType for of_it in Relevance]


def groups(config: WebhookConfig, now: datetime) -> list[Group]:
    """What could be sent to `config`, counted, in the order of its form; one query a copy."""
    counts: Counter[tuple[str, str]] = Counter()
    for audience in Audience:
        rows = _missed(config, audience, now).order_by().values("type", "relevance").annotate(n=Count("pk"))
        for row in rows:
            counts[row["type"], row["relevance"]] += row["n"]
    return [
        Group(event, of_it, counts[event, of_it])
        for event in EventType
        for of_it in Relevance
        if counts[event, of_it]
    ]


def send(config: WebhookConfig, keys: Collection[str], now: datetime) -> int:
    """Have the events of the groups `keys` posted to `config`, oldest first, behind all that is fresh.

    Returns how many are on their way; an event that was posted to it already is not among them. Raises
    Delivery.NotPossible if the configuration is not on.
    """
    if config.state != ConfigState.ON:
        raise Delivery.NotPossible(NOT_ON[config.state])
    chosen = [key.split(".") for key in keys if key in KEYS]
    if not chosen:
        return 0
    wanted = Q()
    for event, of_it in chosen:
        wanted |= Q(type=event, relevance=of_it)
    sent = 0
    for audience in Audience:
        missed = _missed(config, audience, now).filter(wanted).order_by("occurred_at", "pk")
        events = list(missed.only("pk", "type", "occurred_at", "transaction_code"))
        for start in range(0, len(events), BATCH):
            sent += _write(config, audience, events[start : start + BATCH])
    return sent


def _write(config: WebhookConfig, audience: Audience, events: list[Event]) -> int:
    """Who was quicker, by the same button or by hand, keeps the row: it is counted for them."""
    deliveries = [new_delivery(event, config, audience) for event in events]
    for delivery in deliveries:
        delivery.priority = Priority.BACKLOG
    with transaction.atomic():
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        ours = [delivery.webhook_id for delivery in deliveries]
        written = Delivery.objects.filter(webhook_id__in=ours).count()
        if written:
            transaction.on_commit(wake.wake)
    return written


def _missed(config: WebhookConfig, audience: Audience, now: datetime) -> models.QuerySet[Event]:
    """The events of the last days whose copy for `audience` the configuration asks for now, and never got.

    Those whose buyer's data were erased are not among them.
    """
    types = [type_ for type_ in config.events if contract.sends(config.version, type_, audience)]
    recent = Event.objects.filter(type__in=types, occurred_at__gt=now - LOOKS_BACK, occurred_at__lte=now)
    recent = recent.filter(redacted_at=None)
    # Of a post of the former system there is no snapshot, so there is nothing to make another post from.
    recent = recent.exclude(sale=None, cart=None, subscription=None)
    if audience == Audience.PRODUCER:
        recent = recent.filter(producer=config.owner_id)
    else:
        recent = recent.filter(_brought_by(config)).exclude(producer=config.owner_id)
    if config.product_id:
        recent = recent.filter(product=config.product_id)
    got = Delivery.objects.filter(event=OuterRef("pk"), config=config)
    return recent.exclude(Exists(got)).annotate(relevance=relevance.of_events(now))


def _brought_by(config: WebhookConfig) -> Q:
    """By the sale as it is now, which has an index, and as it was when the event arose, which counts."""
    sales = Transaction.objects.filter(affiliate=config.owner_id).values("pk")
    carts = AbandonedCart.objects.filter(affiliate=config.owner_id).values("pk")
    was_theirs = Q(snapshot__affiliate__code=config.owner.code)
    return (Q(sale__in=sales) | Q(cart__in=carts)) & was_theirs
