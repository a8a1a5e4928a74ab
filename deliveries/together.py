"""What the owner of a configuration reads while its posts wait together, go again, or go a few at a time."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.utils import timezone

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from .models import Delivery, DeliveryQuerySet, OwnQueue, State

# Its posts go, as many as may: one that failed is tried again at its own time, as anywhere.
GOES_ON = frozenset({"slow", "limited"})


@dataclass(frozen=True, slots=True)
class Together:
    """`kind`: failing, paused (its server asked for it), releasing, slow, or limited (its owner asked for it).

    `waiting` counts its posts; of what goes on those that would go now.
    """

    kind: str
    waiting: int
    since: datetime | None
    probe_at: datetime | None  # None: in this moment
    paused_until: datetime | None
    paused_by: int | None  # 429 or 503
    answers_in: int | None  # milliseconds, about, where it is slow
    most: int | None  # posts a second that its owner wants

    @property
    def is_open(self) -> bool:
        return self.kind in ("failing", "paused")

    @property
    def goes_on(self) -> bool:
        return self.kind in GOES_ON


def together_of(configs: Iterable[WebhookConfig]) -> dict[int, Together]:
    """{configuration: how its posts wait}, of those only that wait in a queue of their own. One query to three."""
    on = {config.pk: config for config in configs if config.state == ConfigState.ON}
    if not on:
        return {}
    queues = list(OwnQueue.objects.filter(pk__in=on))
    for queue in queues:
        queue.config = on[queue.pk]
    return of_queues(queues)


def of_queues(queues: Iterable[OwnQueue]) -> dict[int, Together]:
    """The same of their own queues, where these are known."""
    now = timezone.now()
    kinds = {queue: kind for queue in queues if (kind := _kind(queue, now))}
    posts = Delivery.objects.filter(state=State.WAITING).apart()
    counts = _count(posts.due(), {queue.pk for queue, kind in kinds.items() if kind in GOES_ON})
    counts |= _count(posts, {queue.pk for queue, kind in kinds.items() if kind not in GOES_ON})
    found = {queue.pk: _together(queue, kind, counts.get(queue.pk, 0), now) for queue, kind in kinds.items()}
    return {pk: together for pk, together in found.items() if together.is_open or together.waiting}


def _kind(queue: OwnQueue, now: datetime) -> str:
    """Empty where nothing but very many posts at once is the reason of the queue, which is gone in a minute."""
    if queue.is_open:
        return "paused" if queue.paused_until else "failing"
    # What is released so fast that nothing holds it back is no news any more.
    if queue.rate_of_release(now) is not None:
        return "releasing"
    if queue.slow:
        return "slow"
    return "limited" if queue.config.posts_per_second else ""


def _count(posts: DeliveryQuerySet, configs: Collection[int]) -> dict[int, int]:
    if not configs:
        return {}
    theirs = posts.filter(config__in=configs).order_by()
    return dict(theirs.values_list("config").annotate(n=Count("pk")))


def _together(queue: OwnQueue, kind: str, waiting: int, now: datetime) -> Together:
    return Together(
        kind,
        waiting,
        since=queue.opened_at,
        probe_at=queue.probe_at if queue.probe_at and queue.probe_at > now else None,
        paused_until=queue.paused_until,
        paused_by=queue.paused_by,
        answers_in=round(1000 * queue.mean_answer) if queue.mean_answer is not None else None,
        most=queue.config.posts_per_second,
    )
