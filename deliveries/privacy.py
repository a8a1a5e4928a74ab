"""What events, deliveries and attempts hold on one buyer: told, or erased. sales.privacy says how it is asked.

An event is the buyer's if it names their e-mail, or arose from a sale, cart or subscription of theirs. Its posts
go with it: each body is made from the event, and what a receiver answered may repeat it.
"""

import json
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import ngettext
from django_q.models import Task

from configurations.models import WebhookConfig
from sales.models import AbandonedCart, Subscription, Transaction
from sales.privacy import CART_FACTS, SALE_FACTS, SUBSCRIBER_FACTS, Buyer, Held, Mentions, batches

from .models import (
    BulkReprocess,
    Delivery,
    DeliveryAttempt,
    EndpointHealth,
    Event,
    HeldHost,
    Problem,
    SamplePost,
    State,
)

BATCH = 100  # events of one transaction, with all their posts and attempts
UNSENT = (State.WAITING, State.HELD, State.SENDING)
# What the details of these quote: the answer's first line, or a fact that no post could be made from.
_QUOTING = (Problem.NOT_HTTP, Problem.OURS)


class _InJobs(Mentions):
    """Of a job of the queue that failed, what went wrong, and what it was called with: pickles."""

    def some(self, buyer: Buyer) -> QuerySet[Any]:
        return Task.objects.only("pk", *self.columns)


_BY_THE_WAY = (
    # A test is of an invented buyer, but its receiver answers whatever it likes.
    Mentions(SamplePost, ("detail", "response_headers", "response_body")),
    Mentions(EndpointHealth, ("last_detail",)),
    Mentions(WebhookConfig, ("disabled_detail",)),
    Mentions(HeldHost, ("reason",)),
    Mentions(BulkReprocess, ("asked_for",)),
    _InJobs(Task, ("result", "args", "kwargs")),
)
_EVENT = (
    "id", "type", "occurred_at", "transaction_code", "product__name", "amount", "currency", "buyer_name", "buyer_email",
    "snapshot",
)  # fmt: skip
_DELIVERY = (
    "webhook_id", "event__type", "event__transaction_code", "created_at", "state", "owner__name", "config__name",
    "config__url", "audience", "body",
)  # fmt: skip
_ATTEMPT = (
    "delivery__webhook_id", "number", "started_at", "url", "status", "detail", "response_headers", "response_body",
)  # fmt: skip


def hold_on(buyer: Buyer) -> list[Held]:
    events = Event.objects.filter(pk__in=_events_of(buyer))
    posts = Delivery.objects.filter(event__in=events.values("pk"))
    attempts = DeliveryAttempt.objects.filter(delivery__in=posts.values("pk"))
    return [
        Held.of("deliveries.event", events, _EVENT),
        Held.of("deliveries.delivery", posts, _DELIVERY, _note(posts.filter(state__in=UNSENT).count())),
        Held.of("deliveries.deliveryattempt", attempts, _ATTEMPT),
        *(mentions.held(buyer) for mentions in _BY_THE_WAY),
    ]


def redact(buyer: Buyer) -> dict[str, int]:
    """Erase what tells of the buyer, and discard what is not sent yet. Returns {"deliveries.model": rows}.

    A post that is in flight ends as it began; `outcomes.record` keeps nothing of its answer.
    """
    counts = {"deliveries.event": 0, "deliveries.delivery": 0, "deliveries.deliveryattempt": 0}
    for mentions in _BY_THE_WAY:
        counts[mentions.model._meta.label_lower] = mentions.forget(buyer)
    for keys in batches(Event.objects.filter(pk__in=_events_of(buyer)), BATCH):
        with transaction.atomic():
            posts = Delivery.objects.filter(event__in=keys)
            pks = [post.pk for post in posts.only("pk").order_by("pk").select_for_update()]
            posts.discard()
            counts["deliveries.delivery"] += posts.update(body="")
            counts["deliveries.deliveryattempt"] += _forget_answers(pks)
            counts["deliveries.event"] += _redact_events(keys, buyer)
    for bulk in BulkReprocess.objects.exclude(selection={}).only("selection"):
        if buyer.is_in(
            json.dumps(bulk.selection)
        ):  # a search for the buyer, of which nothing is left to be sent
            BulkReprocess.objects.filter(pk=bulk.pk).update(selection={})
    return counts


def erased(snapshot: dict[str, Any], buyer: Buyer) -> dict[str, Any]:
    """The snapshot of a sale, a cart or a subscription without the buyer; texts that name them are emptied too."""
    facts = {*SALE_FACTS, *CART_FACTS, *SUBSCRIBER_FACTS} & snapshot.keys()
    strays = {name: "" for name, value in snapshot.items() if isinstance(value, str) and buyer.is_in(value)}
    return snapshot | strays | buyer.erased(facts)


def _events_of(buyer: Buyer) -> list[Any]:
    """The keys of those that are not redacted yet. A redacted sale may have later ones: they never named anybody."""
    sales = Transaction.objects.filter(buyer.owns("buyer_email"))
    carts = AbandonedCart.objects.filter(buyer.owns("buyer_email")).values("pk")
    subscriptions = Subscription.objects.filter(buyer.owns("email")).values("pk")
    theirs = Q(sale__in=sales.values("pk")) | Q(cart__in=carts) | Q(subscription__in=subscriptions)
    theirs |= Q(sale=None, transaction_code__in=sales.values("code"))  # of a post of the former system
    events = Event.objects.filter(redacted_at=None).filter(
        buyer.named("buyer_email") | (theirs & ~Q(buyer_email=buyer.pseudonym))
    )
    return list(events.values_list("pk", flat=True))


def _redact_events(keys: list[Any], buyer: Buyer) -> int:
    events = list(Event.objects.filter(pk__in=keys).only("snapshot").select_for_update())
    for event in events:
        event.snapshot = erased(event.snapshot, buyer)
    Event.objects.bulk_update(events, ["snapshot"])
    return Event.objects.filter(pk__in=keys).update(
        redacted_at=Now(), **buyer.erased(["buyer_name", "buyer_email"])
    )


def _forget_answers(deliveries: list[int]) -> int:
    """Whole, with their headers: a receiver may repeat the post in any of them, however it writes it."""
    attempts = DeliveryAttempt.objects.filter(delivery__in=deliveries)
    attempts.exclude(detail="").filter(problem__in=_QUOTING).update(detail="")
    return attempts.update(response_body=b"", response_headers=[])


def _note(unsent: int) -> str:
    if not unsent:
        return ""
    text = ngettext(
        "%(n)d of them has not arrived yet: it is not tried any more.",
        "%(n)d of them have not arrived yet: they are not tried any more.",
        unsent,
    )
    return text % {"n": unsent}
