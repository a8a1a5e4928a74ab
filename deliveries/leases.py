"""The engine's hold on the rows: claim, renew, give back. Each is one short transaction.

Nothing is popped: a delivery is claimed by a `claim_id` until `lease_until`, and whoever writes its outcome (`outcomes`)
checks first that the claim still is its own.
"""

from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, models, transaction
from django.db.models import Case, Exists, OuterRef, Value, When
from django.db.models.base import ModelState
from django.db.models.functions import Now

from configurations.models import SECRETS, WebhookConfig
from configurations.models import State as ConfigState

from . import apart, breaker, bulk, disabling, outage, retries, standing, writing
from .choices import Lane
from .models import LEASE, Delivery, DeliveryQuerySet, Event, HeldHost, State
from .reprocessing import OUT_OF_BULK, BulkReprocess, discarded_or_as_before, held_or_as_before
from .slots import Place, place_of

Row = TypeVar("Row", bound=models.Model)

NEWEST = 4  # of so many posts in a backlog, one is of the newest
MOVES = 10  # batches that one claim moves aside, at most

# What is read of a post and its event to send and judge it: to make Python's moments, ids and numbers of the rest costs
# as much again.
_OF_POST = (
    *("id", "event_id", "config_id", "owner_id", "bulk_id", "webhook_id", "audience", "version", "lane"),
    *("priority", "state", "body", "tries", "next_try_at", "state_before"),
)
_OF_EVENT = ("id", "type", "occurred_at", "snapshot", "transaction_code")


def anything_to_do() -> bool:
    """Whether a drain would find something: a post that is due, a lease that ran out, a probe.

    What waits for a host that staff hold is none, nor is anything while they hold all: its release wakes. What waits
    for an approved neither: its end does.
    """
    if HeldHost.everything():
        return False
    if outage.is_on():
        return outage.a_probe_is_due() or standing.any_row(_lapsed)
    return (
        Delivery.objects.due().in_front().in_turn().to_open_hosts().exists()
        or apart.anything_to_send()
        or standing.any_row(_lapsed)
        or disabling.a_probe_is_due()
        or breaker.a_probe_is_due()
    )


def _lapsed() -> DeliveryQuerySet:
    return Delivery.objects.lease_ran_out()


def recover() -> int:
    """Make those due again whose worker renews no more; no try is counted. Returns how many.

    What a bulk reprocess has taken back meanwhile is as before it.
    """
    lapsed = _lapsed()
    if not standing.any_row(_lapsed):  # so that an idle drain takes no write lock
        bulk.settle()
        return 0
    with transaction.atomic():
        _discard_redacted(lapsed)
        moved = lapsed.update(state=State.WAITING, claim_id=None, lease_until=None)
        bulk.settle()
    return moved


def settle_strays() -> int:
    """Hold or discard what is due to a configuration that is not on, to a held host too. Returns how many.

    Its listeners did so when it was switched off; a post that was just then written, or in flight, is left over.
    """
    strays = Delivery.objects.due().exclude(config__state=ConfigState.ON)
    pks = list(strays.values_list("pk", flat=True)[:1000])
    if not pks:
        return 0
    removed = WebhookConfig.objects.filter(pk=OuterRef("config"), state=ConfigState.REMOVED)
    held, discarded = held_or_as_before(), discarded_or_as_before()
    return (
        Delivery.objects.due()
        .filter(pk__in=pks)
        .annotate(is_removed=Exists(removed))
        .update(
            **{name: Case(When(is_removed=True, then=discarded[name]), default=held[name]) for name in held},
            **OUT_OF_BULK,
        )
    )


def claim(
    claim_id: UUID,
    limit: int,
    full: Iterable[int] = (),
    *,
    only_fresh: bool = False,
    only_first: bool = False,
) -> list[Delivery]:
    """Posts that are due, most urgent first, now ours. `full`: configurations to leave out.

    Up to `limit`; where there are more, a few of the newest besides, so that what arises now does not wait until an
    old backlog is done. `only_fresh`: nothing of a bulk reprocess; `only_first`: no retries. What it meets of a
    configuration that has its own queue, it moves there, be it full: else each worker would look for what is new in
    vain, as long as that endpoint hangs.
    """
    full = apart.without_own_queue(full)
    # That hardly ever changes, and to build it takes Django longer than the database takes to answer.
    as_ever = not full and not HeldHost.names()

    def front() -> DeliveryQuerySet:
        return _front(only_fresh, only_first).exclude(config__in=full).to_open_hosts()

    for _ in range(MOVES):
        with writing.soon(), transaction.atomic():
            writing.by_index(in_order=True)
            met = _meet(limit, only_fresh, only_first) if as_ever else list(_first_of(front(), limit))
            if len(met) == limit >= NEWEST:
                met += _newest_of(front(), met[-1], limit // NEWEST)
            others = {config for _pk, config, _priority, is_apart in met if is_apart}
            if others:
                apart.move_aside(pk for pk, config, *_ in met if config in others)
            pks = [pk for pk, config, *_ in met if config not in others]
            _make_ours(pks, claim_id)
        if pks or not others:
            return _whole(pks, claim_id)
    return []


# Of a post that a claim meets: id, configuration, priority, whether it has its own queue.
Met = tuple[int, int, int, bool]
_OF_MET = ("pk", "config_id", "priority", "is_apart")


def _front(only_fresh: bool, only_first: bool) -> DeliveryQuerySet:
    """What a claim chooses from."""
    front = Delivery.objects.due().in_front().in_turn().filter(config__state=ConfigState.ON)
    if only_first:
        front = front.filter(next_try_at=None)
    if only_fresh:
        return front.filter(lane=Lane.FRESH)
    return front.exclude(bulk__in=BulkReprocess.objects.halted().values("pk"), state_before__gt="")


def _first_of(front: DeliveryQuerySet, limit: int) -> DeliveryQuerySet:
    front = front.annotate(is_apart=apart.has_own_queue()).unlocked().most_urgent_first()
    return front.values_list(*_OF_MET)[:limit]


def _newest_of(front: DeliveryQuerySet, last: Met, limit: int) -> list[Met]:
    """Of the newest, as urgent as the last of the oldest."""
    pk, _config, priority, _is_apart = last
    newer = front.filter(lane=Lane.FRESH, priority=priority, next_try_at=None, pk__gt=pk)
    newer = newer.annotate(is_apart=apart.has_own_queue()).unlocked().newest_of_the_front()
    return list(newer.values_list(*_OF_MET)[:limit])


def _meet(limit: int, only_fresh: bool, only_first: bool) -> list[Met]:
    with connection.cursor() as cursor:
        cursor.execute(
            *_sql_to_meet(limit, only_fresh, only_first, connection.vendor, retries.longest_wait())
        )
        return cursor.fetchall()


@cache
def _sql_to_meet(
    limit: int, only_fresh: bool, only_first: bool, *_what_else_it_depends_on: Any
) -> tuple[str, tuple[Any, ...]]:
    return _first_of(_front(only_fresh, only_first), limit).query.sql_with_params()


def claim_apart(claim_id: UUID, room: apart.Room) -> apart.Heads:
    """The first posts of own queues, now ours."""
    if not apart.there_are_any():
        return apart.Heads()
    ready, again_in = apart.that_may_send(room)
    if not ready:  # so that it takes no write lock where there is nothing to do
        return apart.Heads(again_in=again_in)
    with writing.soon(), transaction.atomic():
        writing.by_index(in_order=True)
        pks, slow = apart.heads(ready, room)
        _make_ours(pks, claim_id)
    return apart.Heads(_whole(pks, claim_id), slow, again_in)


def halted(deliveries: Iterable[Delivery]) -> set[int]:
    """Of these posts those that a bulk reprocess had not sent yet when it was paused or stopped."""
    unsent = {delivery.pk: delivery.bulk_id for delivery in deliveries if delivery.state_before}
    if not unsent:
        return set()
    bulks = BulkReprocess.objects.halted().filter(pk__in=set(unsent.values()))
    halted = set(bulks.values_list("pk", flat=True))
    return {pk for pk, bulk_id in unsent.items() if bulk_id in halted}


def _new() -> DeliveryQuerySet:
    return Delivery.objects.in_front().filter(state=State.WAITING, next_try_at=None)


def anything_new() -> bool:
    """Whether first tries wait in front, be it that they cannot go at present."""
    return standing.any_row(_new)


def configurations_at(places: Collection[Place]) -> set[int]:
    """Those of these accounts and hosts."""
    if not places:
        return set()
    configs = WebhookConfig.objects.not_removed().filter(owner__in={owner for owner, _host in places})
    rows = configs.values_list("pk", "owner_id", "url")
    return {pk for pk, owner, url in rows if place_of(owner, url) in places}


def claim_probes(claim_id: UUID, pks: Sequence[int]) -> list[Delivery]:
    """Those of these held posts that may be tried as a probe, now ours: one at a time for each configuration."""
    if not pks:
        return []
    on_its_way = Delivery.objects.filter(config=OuterRef("config"), state=State.SENDING)
    probes = Delivery.objects.held().filter(pk__in=pks, config__state=ConfigState.DISABLED)
    probes = probes.in_turn().exclude(Exists(on_its_way)).to_open_hosts().most_urgent_first()
    with writing.soon(), transaction.atomic():
        pks = list(probes.unlocked().values_list("pk", flat=True))
        _make_ours(pks, claim_id)
    return _whole(pks, claim_id)


def claim_trials(claim_id: UUID, pks: Sequence[int]) -> list[Delivery]:
    """Those of these waiting posts that may be sent to see whether their endpoint works again, now ours."""
    if not pks:
        return []
    trials = Delivery.objects.filter(pk__in=pks, state=State.WAITING, config__state=ConfigState.ON)
    with transaction.atomic():
        pks = list(trials.in_turn().to_open_hosts().unlocked().values_list("pk", flat=True))
        _make_ours(pks, claim_id)
    return _whole(pks, claim_id)


def _make_ours(pks: Sequence[int], claim_id: UUID) -> None:
    if pks:
        writing.commit_soon()
        Delivery.objects.these(pks).update(
            state=State.SENDING, claim_id=claim_id, lease_until=Now() + Value(LEASE, models.DurationField())
        )


def _whole(pks: Sequence[int], claim_id: UUID) -> list[Delivery]:
    """These, claimed, with all that a post is made of."""
    if not pks:
        return []
    rows = Delivery.objects.these(pks).filter(claim_id=claim_id).most_urgent_first()
    rows = rows.values_list(*_OF_POST, *(f"event__{name}" for name in _OF_EVENT))
    found = [
        (_instance(Delivery, _OF_POST, row), _instance(Event, _OF_EVENT, row[len(_OF_POST) :]))
        for row in rows
    ]
    # Apart, and once for each; without its secrets, which cost 50 µs to decrypt.
    configs = WebhookConfig.objects.select_related("owner__user").defer(*SECRETS)
    configs = configs.in_bulk({delivery.config_id for delivery, _event in found})
    for delivery, event in found:
        delivery._state.fields_cache |= {"event": event, "config": configs[delivery.config_id]}
    return [delivery for delivery, _event in found]


def _instance(model: type[Row], names: Sequence[str], values: Sequence[Any]) -> Row:
    """As `only(*names)` gives it. There Django looks at each of the model's fields for each row, which took as long
    as to read them."""
    instance = model.__new__(model)
    instance._state = ModelState()
    instance._state.adding, instance._state.db = False, DEFAULT_DB_ALIAS
    instance.__dict__.update(zip(names, values, strict=False))
    return instance


def renew(claim_id: UUID) -> int:
    """Lengthen the lease of all that is claimed by `claim_id`. Returns how many rows that still are."""
    return _held_by(claim_id).update(lease_until=Now() + Value(LEASE, models.DurationField()))


def give_back(
    claim_id: UUID, deliveries: Iterable[Delivery], *, probes: bool = False, aside: bool = False
) -> int:
    """What was claimed and not begun is as before: due, or held where it was a probe. No try is counted.

    `aside`: it waits in its configuration's own queue from now on.
    """
    pks = [delivery.pk for delivery in deliveries]
    if not pks:
        return 0
    theirs = _held_by(claim_id).filter(pk__in=pks)
    with transaction.atomic():
        _discard_redacted(theirs)
        as_before = {"state": State.HELD if probes else State.WAITING, "claim_id": None, "lease_until": None}
        moved = theirs.update(**as_before, **({"lane": apart.ASIDE} if aside else {}))
        bulk.settle()
    return moved


def _discard_redacted(claimed: DeliveryQuerySet) -> None:
    """What was claimed while its buyer's data were erased waits no more."""
    claimed.filter(event__redacted_at__isnull=False).still(State.SENDING).update(
        **discarded_or_as_before(), **OUT_OF_BULK, claim_id=None, lease_until=None, next_try_at=None
    )


def _held_by(claim_id: UUID) -> DeliveryQuerySet:
    return Delivery.objects.filter(claim_id=claim_id, state=State.SENDING)
