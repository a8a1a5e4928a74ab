"""What waits in a configuration's own queue: how posts come into it, how they go out, how it ends.

The front claim meets a post of such a configuration at most once: it moves it aside, some hundreds at a time. Each own
queue is read by an index of its own, a few of its first posts at a time, so that very many of them cost nobody anything.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Value, When
from django.db.models.functions import Now

from configurations.models import State as ConfigState

from . import standing
from .choices import BULK_LANES, OWN_LANES, Lane, State
from .held import EVERY
from .models import CONFIG_SECRETS, Delivery, DeliveryQuerySet, HeldHost, OwnQueue
from .results import Result
from .slots import QUICK, WEIGHT

BATCH = 500  # rows that are moved in one statement: all that a claim meets, 5 ms in which SQLite lets nobody else write
FEW = 20  # so many waiting posts need no own queue
QUEUES = 50  # that are claimed from at once
AT_ONCE = 50  # of one own queue, claimed by one worker

ASIDE = Case(When(lane__in=BULK_LANES, then=Value(Lane.OWN_BULK)), default=Value(Lane.OWN))
_BACK = Case(When(lane=Lane.OWN_BULK, then=Value(Lane.BULK)), default=Value(Lane.FRESH))


# --- In


def has_own_queue(config: str = "config") -> Exists:
    """Of the configuration of the outer query's rows; `config` is the column that names it."""
    return Exists(OwnQueue.objects.filter(pk=OuterRef(config)))


def without_own_queue(configs: Iterable[int]) -> set[int]:
    """Those of them that have none."""
    configs = set(configs)
    if not configs:
        return configs  # so that most claims ask nothing
    return configs - set(OwnQueue.objects.filter(pk__in=configs).values_list("pk", flat=True))


def begin(configs: Iterable[int], **facts: Any) -> None:
    """From now on they have their own queue, with these facts; where there is one, the facts are written into it."""
    configs = list(configs)
    if configs:
        OwnQueue.objects.bulk_create([OwnQueue(config_id=pk) for pk in configs], ignore_conflicts=True)
        if facts:
            OwnQueue.objects.filter(pk__in=configs).update(**facts)


def move_aside(posts: Iterable[int]) -> int:
    """Of these, in front and of configurations that have an own queue, a batch at most. Returns how many."""
    pks = list(islice(posts, BATCH))
    return Delivery.objects.filter(pk__in=pks, state=State.WAITING).update(lane=ASIDE) if pks else 0


# --- Out


@dataclass(slots=True)
class Heads:
    """The first posts of own queues, claimed; in `again_in` seconds the rate of one of them permits the next."""

    deliveries: list[Delivery] = field(default_factory=list)
    slow: set[int] = field(default_factory=set)  # the configurations among theirs that are slow
    again_in: float = math.inf


@dataclass(frozen=True, slots=True)
class Room:
    """What a worker can take from own queues."""

    posts: int
    slow_posts: int  # of these, to slow endpoints
    here: Mapping[int, int]  # {configuration: how many of its posts the worker has already}

    def of(self, queue: OwnQueue, sending: int, taken: int, slow_taken: int) -> int:
        """How many of `queue`, of which `sending` are under way in all workers, beside those that are taken."""
        most = min(self.posts - taken, AT_ONCE - self.here.get(queue.pk, 0))
        if queue.slow:
            share = settings.DELIVERY_SLOTS_OF_A_CONFIGURATION
            most = min(most, self.slow_posts - slow_taken, share - sending)
        permitted = queue.allowance(queue.now)
        return max(0, most if permitted is None else min(most, permitted))


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


def that_may_send(room: Room) -> tuple[list[int], float]:
    """The own queues from which `heads` would take something, and in how many seconds another's rate permits a post.

    Nothing is locked.
    """
    queues = list(with_due_posts())
    sending = _sending(queues)
    ready = [queue.pk for queue in queues if room.of(queue, sending[queue.pk], 0, 0)]
    waits = [queue.wait(queue.now) for queue in queues if queue.allowance(queue.now) == 0]
    return ready[:QUEUES], min(waits, default=math.inf)


def heads(configs: Collection[int], room: Room) -> tuple[list[int], set[int]]:
    """The ids of their first posts, locked, and which of the configurations are slow.

    To be called in the transaction that claims them, which locks the own queues.
    """
    queues = with_due_posts().filter(pk__in=configs)
    if connection.features.has_select_for_update:  # else, on SQLite, the transaction locked them at its start
        queues = queues.select_for_update(skip_locked=True, of=("self",))
    queues = list(queues)
    sending, found, slow = _sending(queues), [], set()
    slow_taken = 0
    for queue in queues:
        most = room.of(queue, sending[queue.pk], len(found), slow_taken)
        pks = _first_of(queue, most) if most else []
        if pks:
            found += pks
            queue.use(len(pks), queue.now)
            queue.save(update_fields=["next_free_at"])
        if queue.slow:
            slow.add(queue.pk)
            slow_taken += len(pks)
    return found, slow


def _first_of(queue: OwnQueue, most: int) -> list[int]:
    posts = Delivery.objects.filter(config=queue.pk).apart().due().in_turn().most_urgent_first()
    return list(posts.unlocked().values_list("pk", flat=True)[:most])


def _sending(queues: Iterable[OwnQueue]) -> Counter[int]:
    """{configuration: how many of its posts are under way, in all workers}, of those that are slow."""
    slow = [queue.pk for queue in queues if queue.slow]
    if not slow:
        return Counter()
    rows = Delivery.objects.filter(state=State.SENDING, config__in=slow).order_by()
    return Counter(dict(rows.values_list("config").annotate(n=Count("pk"))))


def note_answers(results: Iterable[Result]) -> None:
    """How long slow endpoints took. One whose mean falls below QUICK is slow no more."""
    took = defaultdict(list)
    for result in results:
        took[result.delivery.config_id].append(result.outcome.took.total_seconds())
    for config, seconds in took.items():
        newest = (1 - WEIGHT) ** len(seconds)
        mean = F("mean_answer") * newest + sum(seconds) / len(seconds) * (1 - newest)
        OwnQueue.objects.filter(pk=config, slow=True).update(mean_answer=mean)
    if took:
        OwnQueue.objects.filter(pk__in=took, slow=True, mean_answer__lt=QUICK).update(slow=False)


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
