"""What the owner of a configuration reads while its posts wait together, or go again."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.utils import timezone

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from .circuit import Phase
from .models import Delivery, OwnQueue, State


@dataclass(frozen=True, slots=True)
class Together:
    """`kind`: failing, paused (its server asked for it) or releasing. `waiting` counts its posts."""

    kind: str
    waiting: int
    since: datetime | None
    probe_at: datetime | None  # None: in this moment
    paused_until: datetime | None
    paused_by: int | None  # 429 or 503

    @property
    def is_open(self) -> bool:
        return self.kind != "releasing"


def together_of(configs: Iterable[WebhookConfig]) -> dict[int, Together]:
    """{configuration: how its posts wait}, of those only whose circuit is not closed. One query, or two."""
    on = {config.pk for config in configs if config.state == ConfigState.ON}
    return of_queues(OwnQueue.objects.filter(pk__in=on).exclude(circuit=Phase.CLOSED)) if on else {}


def of_queues(queues: Iterable[OwnQueue]) -> dict[int, Together]:
    """The same of their own queues, where these are known; those whose circuit is closed are left out."""
    now = timezone.now()
    # What is released so fast that nothing holds it back, or is all gone, is no news any more.
    queues = [queue for queue in queues if queue.rate_of_release(now) is not None]
    if not queues:
        return {}
    waiting = Delivery.objects.filter(config__in=[queue.pk for queue in queues], state=State.WAITING)
    waiting = waiting.apart().order_by()
    counts = dict(waiting.values_list("config").annotate(n=Count("pk")))
    found = {queue.pk: _together(queue, counts.get(queue.pk, 0), now) for queue in queues}
    return {pk: together for pk, together in found.items() if together.is_open or together.waiting}


def _together(queue: OwnQueue, waiting: int, now: datetime) -> Together:
    kind = "releasing" if queue.is_releasing else "paused" if queue.paused_until else "failing"
    ahead = queue.probe_at if queue.probe_at and queue.probe_at > now else None
    return Together(kind, waiting, queue.opened_at, ahead, queue.paused_until, queue.paused_by)
