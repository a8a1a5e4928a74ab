"""The posts that a drain has in hand, and what they tell of their endpoints: who is full, who is slow."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from django.conf import settings

from . import posting
from .choices import BULK_LANES, OWN_LANES
from .models import Delivery
from .results import Result
from .slots import Kind, Place, Slots, place_of
from .transport import Outcome

SLOW = 0.05  # seconds: an answer that takes longer makes room for more threads
HANGS = 1.0  # seconds: where all that an endpoint may have under way takes longer, it is slow
CROWD = 20  # so many posts of one configuration that cannot start are moved out of the others' way


@dataclass(slots=True)
class Post:
    """A claimed delivery on its way through the drain. Times are monotonic seconds."""

    delivery: Delivery
    keys: posting.Keys
    claimed_at: float
    kind: Kind
    probe: bool = False
    trial: bool = False
    # Of the delivery: they are asked for many times.
    pk: int = field(init=False)
    url: str = field(init=False)
    config: int = field(init=False)
    place: Place = field(init=False)
    headers: dict[str, str] = field(default_factory=dict)
    start_by: float = 0.0  # later its answer might come after the lease
    started_at: float = 0.0  # 0 while it waits for a thread
    done_at: float = 0.0
    outcome: Outcome | None = None

    def __post_init__(self) -> None:
        delivery = self.delivery
        self.pk, self.url, self.config = delivery.pk, delivery.config.url, delivery.config_id
        self.place = place_of(delivery.owner_id, self.url)

    @property
    def is_bulk(self) -> bool:
        return self.delivery.lane in BULK_LANES

    def urgency(self) -> tuple[bool, bool, int]:
        """The least goes first. Slow ones have slots of their own, so they keep nobody waiting."""
        return self.kind is not Kind.SLOW, self.is_bulk, self.delivery.priority

    def takes(self, now: float, seconds: float) -> bool:
        """Whether it is under way for longer."""
        return 0 < self.started_at < now - seconds

    def result(self) -> Result:
        return Result(
            self.delivery, self.url, posting.stored(self.headers), self.outcome, self.probe, self.trial
        )


def full_configurations(unsent: Iterable[Post], flying: Iterable[Post], slots: Slots, now: float) -> set[int]:
    """Those of which rows wait here for their turn, or whose answers take long."""
    share = settings.DELIVERY_SLOTS_OF_A_CONFIGURATION
    waiting = Counter(post.config for post in unsent)
    return {config for config, count in waiting.items() if count >= share} | _share_takes(
        flying, slots, now, SLOW
    )


def full_places(flying: Iterable[Post], slots: Slots, now: float) -> set[Place]:
    """Those that may have no more under way, since their answers take long."""
    return {post.place for post in flying if post.takes(now, SLOW) and slots.place_is_full(post)}


def hanging(flying: Iterable[Post], slots: Slots, now: float) -> set[int]:
    """The configurations that answer nothing at present."""
    return _share_takes(flying, slots, now, HANGS)


def crowded(unsent: Iterable[Post], flying: Collection[Post], slots: Slots, now: float) -> set[int]:
    """The configurations of which many wait here, and do not come to go; what comes from their own queue is few."""
    waiting = Counter(post.config for post in unsent if post.delivery.lane not in OWN_LANES)
    many = {config for config, count in waiting.items() if count > CROWD}
    return many & _share_takes(flying, slots, now, SLOW) if many else set()


def _share_takes(flying: Iterable[Post], slots: Slots, now: float, seconds: float) -> set[int]:
    """The configurations whose share of the slots has been under way for longer."""
    counts = Counter(post.config for post in flying if post.takes(now, seconds))
    return {config for config, count in counts.items() if count >= slots.share_of(config)}
