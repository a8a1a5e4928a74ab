"""The engine's hold on the rows: claim, renew, give back, record. Each is one short transaction.

Nothing is popped: a delivery is claimed by a `claim_id` until `lease_until`, and whoever writes its outcome checks
first that the claim still is its own.
"""

import logging
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, models, transaction
from django.db.models import Case, Exists, F, OuterRef, Value, When
from django.db.models.base import ModelState
from django.db.models.functions import Now

from configurations.models import SECRETS, WebhookConfig
from configurations.models import State as ConfigState

from . import apart, breaker, bulk, disabling, outage, retries, standing, writing
from .choices import FINISHED, Lane
from .models import LEASE, Delivery, DeliveryAttempt, DeliveryQuerySet, Event, HeldHost, State
from .reprocessing import OUT_OF_BULK, BulkReprocess, discarded_or_as_before, held_or_as_before
from .results import Result
from .slots import Place, place_of

logger = logging.getLogger(__name__)

Row = TypeVar("Row", bound=models.Model)

NEWEST = 4  # of so many posts in a backlog, one is of the newest
MOVES = 10  # batches that one claim moves aside, at most

# What recording writes; the claim ends with it.
_RECORDED = [
    "state",
    "tries",
    "attempts_made",
    "next_try_at",
    "claim_id",
    "lease_until",
    "finished_at",
    "body",
    "last_status",
    "last_problem",
    "answered_page",
    "state_before",
    "lane",
]

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
    front = Delivery.objects.due().in_front().in_turn().to_open_hosts()
    front = front.filter(config__state=ConfigState.ON).exclude(config__in=apart.without_own_queue(full))
    if only_first:
        front = front.filter(next_try_at=None)
    if only_fresh:
        front = front.filter(lane=Lane.FRESH)
    else:
        front = front.exclude(bulk__in=BulkReprocess.objects.halted().values("pk"), state_before__gt="")
    for _ in range(MOVES):
        with writing.soon(), transaction.atomic():
            _by_index(in_order=True)
            met = _meet(front, limit)
            others = {config for _pk, config, _priority, is_apart in met if is_apart}
            if others:
                apart.move_aside(front.most_urgent_first(), others)
            pks = [pk for pk, config, *_ in met if config not in others]
            _make_ours(pks, claim_id)
        if pks or not others:
            return _whole(pks, claim_id)
    return []


def _meet(front: DeliveryQuerySet, limit: int) -> list[tuple[int, int, int, bool]]:
    """Of each: id, configuration, priority, whether it has its own queue."""
    front = front.annotate(is_apart=apart.has_own_queue()).unlocked()
    facts = ("pk", "config_id", "priority", "is_apart")
    met = list(front.most_urgent_first().values_list(*facts)[:limit])
    if len(met) < limit or limit < NEWEST:
        return met
    last, _config, priority, _is_apart = met[-1]
    newer = front.filter(lane=Lane.FRESH, priority=priority, next_try_at=None, pk__gt=last)
    return met + list(newer.newest_of_the_front().values_list(*facts)[: limit // NEWEST])


def claim_apart(claim_id: UUID, room: apart.Room) -> apart.Heads:
    """The first posts of own queues, now ours."""
    if not apart.there_are_any():
        return apart.Heads()
    ready, again_in = apart.that_may_send(room)
    if not ready:  # so that it takes no write lock where there is nothing to do
        return apart.Heads(again_in=again_in)
    with writing.soon(), transaction.atomic():
        _by_index(in_order=True)
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
        _commit_soon()
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


def _by_index(*, in_order: bool = False) -> None:
    """In this transaction rows are found by an index; `in_order`: and the most urgent ones read off the end of one.

    With statistics from before a burst PostgreSQL takes it that the table is small, and little due. To find 400 rows by
    their ids it reads all of them, with what updates have left of them: a tenth of the time that a post took. And it
    sorts all of 20,000 that are due for each claim: 28 ms, where the index gives 200 in 0.6.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off" + "; SET LOCAL enable_sort = off" * in_order)


def _commit_soon() -> None:
    """The commit of this transaction does not wait for the disk, where the database can do that.

    A power loss may take the last moment of it: the post is then claimed once more, and sent once more. That it is
    to be sent, the sale's own transaction has made sure of.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")


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


def record(claim_id: UUID, results: Sequence[Result]) -> None:
    """Keep the attempts, move the deliveries that still are ours, judge the configurations.

    Fills in each result's `next`, `late` and `at`, and its delivery as it stands now. A DatabaseError leaves
    nothing written, and the call may be repeated.
    """
    with transaction.atomic():
        _by_index()
        _commit_soon()
        rows = (
            Delivery.objects.these([result.delivery.pk for result in results])
            .select_for_update()
            .order_by("pk")
        )
        # Compared by the database: to make a UUID and a moment of Python's for each row costs more than all else.
        ours = Case(When(state=State.SENDING, claim_id=claim_id, then=1), default=0)
        facts = ("pk", "tries", "attempts_made", "state_before", "is_ours")
        present = {pk: rest for pk, *rest in rows.annotate(is_ours=ours).values_list(*facts)}
        configs = WebhookConfig.objects.filter(pk__in={r.delivery.config_id for r in results})
        as_they_are = {pk: rest for pk, *rest in configs.values_list("pk", "state", "url", Now())}
        now = next(iter(as_they_are.values()))[-1]
        # Read once their deliveries are locked: `privacy` erases with these same rows locked.
        redacted = set(
            Delivery.objects.these(present)
            .filter(event__redacted_at__isnull=False)
            .values_list("pk", flat=True)
        )
        urls = {pk: url for pk, (state, url, _now) in as_they_are.items() if state == ConfigState.ON}
        breaker.judge(results, urls, now)
        kept, late = [], []
        for result in results:
            delivery = result.delivery
            tries, attempts_made, before, is_ours = present[delivery.pk]
            # Of what a bulk reprocess sends for the first time, the tries are those of the set before.
            if result.behind:
                delivery.tries, delivery.state_before = tries, before
            else:
                delivery.tries = (0 if before else tries) + (not result.probe)
                delivery.state_before = ""
            delivery.attempts_made = attempts_made + 1
            result.late = not is_ours
            _conclude(result, now, as_they_are[delivery.config_id][0])
            if redacted and delivery.pk in redacted:
                _forget_the_buyer(result)
            (late if result.late else kept).append(result)
        writing.update(Delivery, _RECORDED, [writing.values(result.delivery, _RECORDED) for result in kept])
        if late:
            Delivery.objects.filter(pk__in=[r.delivery.pk for r in late]).update(
                attempts_made=F("attempts_made") + 1
            )
        attempts = [result.attempt() for result in results]
        writing.insert(DeliveryAttempt, list(attempts[0]), [list(row.values()) for row in attempts])
        _judge(results)


def _conclude(result: Result, now: datetime, config_state: str) -> None:
    """Write what became of it onto the instance."""
    delivery, outcome = result.delivery, result.outcome
    tries = max(delivery.tries, 1)  # a probe may be a post that was never tried
    result.at = now
    result.next = retries.after(outcome, result.url, tries, at=now, chance=random.random())  # noqa: S311
    if result.late:
        return
    waits_until = delivery.next_try_at
    delivery.claim_id = delivery.lease_until = delivery.next_try_at = delivery.finished_at = None
    delivery.last_status = outcome.status
    delivery.last_problem = outcome.problem or ""
    delivery.answered_page = result.answered_page()
    if result.delivered:
        delivery.state = State.DELIVERED
    elif config_state == ConfigState.REMOVED:
        delivery.state = State.DISCARDED
    elif result.probe:
        delivery.state = State.HELD
    elif result.behind:
        delivery.state = State.WAITING if config_state == ConfigState.ON else State.HELD
        delivery.next_try_at = waits_until
    elif result.next.wait is None:
        delivery.state = State.FAILED
    elif config_state == ConfigState.ON:
        delivery.state = State.WAITING
        delivery.next_try_at = now + result.next.wait
    else:
        delivery.state = State.HELD
    if delivery.state in FINISHED:
        delivery.finished_at = now
    if delivery.state != State.WAITING:
        delivery.lane, delivery.state_before = Lane.FRESH, ""
    elif result.apart:
        delivery.lane = Lane(delivery.lane).apart


def _forget_the_buyer(result: Result) -> None:
    """Its data were erased while the post was in flight: what came back may repeat them, and it is not tried again."""
    result.outcome = replace(result.outcome, headers=[], body=b"", detail="")
    delivery = result.delivery
    delivery.body = ""
    if not result.late and delivery.state in (State.WAITING, State.HELD):
        delivery.state, delivery.next_try_at, delivery.finished_at = State.DISCARDED, None, result.at
        delivery.lane = Lane.FRESH


def _judge(results: Sequence[Result]) -> None:
    """The outcomes are kept whatever becomes of this: a post that is not recorded would be sent again and again."""
    try:
        with transaction.atomic():
            disabling.after_attempts(list(results))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("The health of the configurations could not be judged.")
