"""What happened becomes Events, and a Delivery for each configuration that asks for it.

All in the transaction that changed the sales: they are there together, or not at all.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from django.db import models, transaction
from django.utils import timezone

from configurations.events import BY_CHANGE, BY_STATUS, BY_TYPE, EventType
from configurations.models import Mismatch, WebhookConfig
from configurations.models import State as ConfigState
from sales.bulkwrite import insert, new
from sales.models import AbandonedCart, StatusChange
from sales.subscriptions import Subscription, SubscriptionChange

from . import apart, contract, order, wake
from .choices import Lane
from .contract import snapshot
from .contract.subscription import ChangedSubscription, Plan
from .models import Audience, Delivery, Event, State, new_webhook_id

Row = TypeVar("Row", bound=models.Model)
Configs = dict[int, list[WebhookConfig]]  # by owner


def record_events(changes: Iterable[StatusChange]) -> None:
    """Write an Event, with its Deliveries, for each change to a status that an event announces.

    Raises ValueError for a sale that no post could be made from, such as one with commissions that
    `validate_commissions` refuses; its transaction is undone with it.
    """
    announced = [change.sale for change in changes if change.sale.status in BY_STATUS]
    events = []
    for sale in _with_facts(announced, "product__owner", "affiliate", "subscription__plan"):
        facts = snapshot.Sale.json_of(sale)
        event = _event(BY_STATUS[sale.status].type, sale.product, facts)
        event.sale, event.transaction_code = sale, facts.get("code", "")
        event.amount, event.currency = Decimal(facts["price"]), facts.get("currency", "")
        events.append((event, sale.affiliate_id))
    _record(events)


def record_carts(carts: Iterable[AbandonedCart]) -> None:
    """Write an Event, with its Deliveries, for each abandoned cart."""
    events = []
    for cart in _with_facts(list(carts), "product__owner", "affiliate"):
        event = _event(EventType.CART_ABANDONED, cart.product, snapshot.Cart.json_of(cart))
        event.cart = cart
        events.append((event, cart.affiliate_id))
    _record(events)


def record_subscription_changes(changes: Iterable[SubscriptionChange]) -> None:
    """Write an Event, with its Deliveries, for each change of a subscription. Affiliates hear of none."""
    changes, now = list(changes), timezone.now()
    rows = _with_facts([change.subscription for change in changes], "product__owner", "plan")
    events = []
    for change, row in zip(changes, rows, strict=True):
        facts = replace(_changed(row, change.previous), changed_at=now)
        event = _event(BY_CHANGE[change.kind].type, row.product, facts.to_json())
        event.subscription = row
        events.append((event, None))
    _record(events)


def _changed(row: Subscription, previous: Subscription | None) -> ChangedSubscription:
    facts = ChangedSubscription.of(row)
    if previous is None:
        return facts
    return replace(facts, previous_plan=Plan.of(previous.plan), previous_charge_day=previous.charge_day)


def _event(type_: EventType, product: Any, facts: dict[str, Any]) -> Event:
    return new(
        Event,
        type=type_,
        snapshot=facts,
        product=product,
        producer_id=product.owner_id,
        # Those of a subscription are the subscriber's.
        buyer_email=facts.get("buyer_email") or facts.get("email", ""),
        buyer_name=facts.get("buyer_name") or facts.get("name", ""),
    )


def _record(events: list[tuple[Event, int | None]]) -> None:
    """Write the events, each given with the id of its affiliate, and their deliveries; then wake the worker."""
    if not events:
        return
    configs = _configurations({event.producer_id for event, _ in events} | {a for _, a in events if a})
    now = timezone.now()
    deliveries = []
    for event, affiliate in events:
        event.occurred_at = now
        deliveries += _deliveries(event, affiliate, configs)
    with transaction.atomic():
        insert(event for event, _ in events)
        insert(deliveries)
    if any(delivery.state == State.WAITING for delivery in deliveries):
        transaction.on_commit(wake.wake)


def _configurations(owners: set[int]) -> Configs:
    """All in one query, without the secrets: decrypting them would hold up the sale."""
    found = defaultdict(list)
    facts = ("owner", "events", "product", "version", "state")
    configs = WebhookConfig.objects.owned_by(owners).only(*facts).annotate(is_apart=apart.has_own_queue("pk"))
    for config in configs.order_by("pk"):
        found[config.owner_id].append(config)
    return found


def _deliveries(event: Event, affiliate: int | None, configs: Configs) -> list[Delivery]:
    """One for each configuration that matches; for the others the event keeps why not."""
    audiences = {event.producer_id: Audience.PRODUCER}
    if affiliate:
        audiences.setdefault(affiliate, Audience.AFFILIATE)  # who sells their own product gets the whole post
    made = []
    for owner, audience in audiences.items():
        for config in configs.get(owner, ()):
            if mismatch := why_not(event, config, audience):
                event.mismatches[str(config.pk)] = str(mismatch)
            else:
                lane = Lane.OWN if config.is_apart else Lane.FRESH
                made.append(new_delivery(event, config, audience, lane))
    return made


def why_not(event: Event, config: WebhookConfig, audience: Audience) -> Mismatch | None:
    """Why the event is not posted to `config`, a configuration of who gets the copy `audience`; None if it is."""
    if mismatch := config.mismatch(event.type, event.product_id):
        return mismatch
    if contract.sends(config.version, event.type, audience):
        return None
    if contract.sends(config.version, event.type, Audience.PRODUCER):
        return Mismatch.AFFILIATE
    return Mismatch.FORMAT


def new_delivery(
    event: Event, config: WebhookConfig, audience: Audience, lane: Lane = Lane.FRESH
) -> Delivery:
    """Not saved yet; held if the configuration is disabled."""
    return new(
        Delivery,
        webhook_id=new_webhook_id(),
        event=event,
        config=config,
        owner_id=config.owner_id,
        audience=audience,
        version=config.version,
        lane=lane,
        priority=BY_TYPE[event.type].priority,
        created_at=event.occurred_at,
        state=State.HELD if config.state == ConfigState.DISABLED else State.WAITING,
        **order.keys_of(event),
    )


def _with_facts(rows: list[Row], *relations: str) -> list[Row]:
    """The rows with all that a snapshot reads; those that lack some of it are read again, in one query."""
    paths, whole = [relation.split("__") for relation in relations], set[int]()
    lacking = [row.pk for row in rows if not all(_has(row, path, whole) for path in paths)]
    if not lacking:
        return rows
    found = type(rows[0])._default_manager.select_related(*relations).in_bulk(lacking)
    return [found.get(row.pk, row) for row in rows]


def _has(row: models.Model, path: list[str], whole: set[int]) -> bool:
    """Whether the row, and all along the path of relations, is in memory with every field. `whole` remembers by `id()`
    of which the fields are there: many sales are of one product."""
    if id(row) not in whole:
        if not _fields(type(row)) <= vars(row).keys():
            return False
        whole.add(id(row))
    if not path:
        return True
    relation = row._meta.get_field(path[0])
    if getattr(row, relation.attname) is None:
        return True
    return relation.is_cached(row) and _has(getattr(row, path[0]), path[1:], whole)


@cache
def _fields(model: type[models.Model]) -> frozenset[str]:
    return frozenset(f.attname for f in model._meta.concrete_fields)
