"""What waits in a configuration's own queue: how posts come into it, how they go out, how it ends.

The front claim meets a post of such a configuration at most once: it moves it aside, some hundreds at a time. Each own
queue is read by an index of its own, a few of its first posts at a time, so that very many of them cost nobody anything.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, models, transaction
from django.db.models import Case, Count, Exists, OuterRef, Value, When
from django.db.models.functions import Now

from configurations.models import State as ConfigState

from . import standing
from .choices import OWN_LANES, Lane, State
from .held import EVERY
from .models import CONFIG_SECRETS, Delivery, DeliveryQuerySet, HeldHost, OwnQueue

BATCH = 1000  # rows that are moved in one statement
FEW = 20  # so many waiting posts need no own queue
AT_ONCE = 50  # of one own queue, claimed by one worker

_ASIDE = Case(When(lane=Lane.BULK, then=Value(Lane.OWN_BULK)), default=Value(Lane.OWN))
_BACK = Case(When(lane=Lane.OWN_BULK, then=Value(Lane.BULK)), default=Value(Lane.FRESH))


# --- In


def has_own_queue(config: str = "config") -> Exists:
    """Of the configuration of the outer query's rows; `config` is the column that names it."""
    return Exists(OwnQueue.objects.filter(pk=OuterRef(config)))


def begin(configs: Iterable[int], **facts: Any) -> None:
    """From now on they have their own queue, with these facts; where there is one, the facts are written into it."""
    configs = list(configs)
    if configs:
        OwnQueue.objects.bulk_create([OwnQueue(config_id=pk) for pk in configs], ignore_conflicts=True)
        if facts:
            OwnQueue.objects.filter(pk__in=configs).update(**facts)


def move_aside(front: DeliveryQuerySet, configs: Collection[int]) -> int:
    """Of `front`, which waits, what is for these configurations, which have an own queue. Returns how many.

    At most a batch: the ids are read first, since an UPDATE that joins is planned badly while much is new.
    """
    pks = list(front.filter(config__in=configs).unlocked().values_list("pk", flat=True)[:BATCH])
    return Delivery.objects.filter(pk__in=pks, state=State.WAITING).update(lane=_ASIDE) if pks else 0


# --- Out


@dataclass(slots=True)
class Heads:
    """The ids of the first posts of some own queues, locked; in `again_in` seconds the next of one is permitted."""

    pks: list[int] = field(default_factory=list)
    again_in: float = math.inf


def with_due_posts() -> models.QuerySet[OwnQueue]:
    """The own queues that are open and have something to send, whose turn was longest ago first.

    Each with its configuration and `now`, the database's time.
    """
    due = Delivery.objects.due().in_turn().filter(config=OuterRef("pk"), lane__in=OWN_LANES)
    queues = OwnQueue.objects.open().filter(Exists(due), config__state=ConfigState.ON)
    held = HeldHost.names()
    queues = queues.none() if EVERY in held else queues.exclude(config__host__in=held)
    return queues.annotate(now=Now()).select_related("config").defer(*CONFIG_SECRETS).in_rotation()


def _own_queues() -> models.QuerySet[OwnQueue]:
    return OwnQueue.objects.all()


def there_are_any() -> bool:
    """Whether any configuration has its own queue: mostly none has."""
    return standing.any_row(_own_queues)


def anything_to_send() -> bool:
    """Whether a post of an own queue may go now."""
    return there_are_any() and any(queue.allowance(queue.now) != 0 for queue in with_due_posts())


def heads(room: int, slow_room: int, here: Mapping[int, int], slow_share: int) -> Heads:
    """To be called in the transaction that claims them, which locks the own queues that it takes from.

    `room`: how many at most; of slow ones `slow_room`. `here`: {configuration: how many of its posts this worker has}.
    `slow_share`: how many of a slow one may be under way in all workers together.
    """
    found, queues = Heads(), with_due_posts()
    if connection.features.has_select_for_update:  # else, on SQLite, the transaction locked them at its start
        queues = queues.select_for_update(skip_locked=True, of=("self",))
    queues = list(queues)
    sending = _sending([queue.pk for queue in queues if queue.slow])
    for queue in queues:
        most = min(room, AT_ONCE - here.get(queue.pk, 0))
        if queue.slow:
            most = min(most, slow_room, slow_share - sending.get(queue.pk, 0))
        permitted = queue.allowance(queue.now)
        if permitted is not None:
            most = min(most, permitted)
            if not permitted:
                found.again_in = min(found.again_in, queue.wait(queue.now))
        if most <= 0:
            continue
        pks = _first_of(queue, most)
        if not pks:
            continue
        found.pks += pks
        room -= len(pks)
        slow_room -= len(pks) if queue.slow else 0
        queue.use(len(pks), queue.now)
        queue.save(update_fields=["next_free_at"])
    return found


def _first_of(queue: OwnQueue, most: int) -> list[int]:
    posts = Delivery.objects.filter(config=queue.pk).apart().due().in_turn().most_urgent_first()
    return list(posts.unlocked().values_list("pk", flat=True)[:most])


def _sending(configs: Collection[int]) -> dict[int, int]:
    """{configuration: how many of its posts are under way, in all workers}"""
    if not configs:
        return {}
    rows = Delivery.objects.filter(state=State.SENDING, config__in=configs).order_by()
    return dict(rows.values_list("config").annotate(n=Count("pk")))


# --- The end


def settle() -> None:
    """End the own queues that nothing needs any more; what few posts still wait there go back to the front."""
    if not there_are_any():
        return
    needed = OwnQueue.objects.needed().values("pk")
    sending = Delivery.objects.filter(config=OuterRef("pk"), state=State.SENDING, lane__in=OWN_LANES)
    idle = OwnQueue.objects.exclude(pk__in=needed).exclude(Exists(sending))
    for pk in list(idle.values_list("pk", flat=True)):
        with transaction.atomic():
            if not idle.filter(pk=pk).select_for_update(of=("self",)).exists():
                continue  # something needs it again
            pks = _waiting(Delivery.objects.filter(config=pk), FEW + 1)
            if len(pks) <= FEW:
                _take_back(pks)
                OwnQueue.objects.filter(pk=pk).delete()


def settle_strays() -> int:
    """What was written into an own queue just as that ended goes back to the front. Returns how many."""
    with transaction.atomic():
        return _take_back(_waiting(Delivery.objects.exclude(has_own_queue()), BATCH))


def _waiting(posts: DeliveryQuerySet, most: int) -> list[int]:
    apart = posts.filter(state=State.WAITING).apart().unlocked()
    return list(apart.values_list("pk", flat=True)[:most])


def _take_back(pks: Collection[int]) -> int:
    return Delivery.objects.filter(pk__in=pks, state=State.WAITING).update(lane=_BACK) if pks else 0
