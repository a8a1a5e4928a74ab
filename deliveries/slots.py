"""Who may be posted to next: how the slots of a drain are shared out. No row, no clock, no thread.

The front has `size` slots, which grow while answers take long. First tries may use all of them; retries a share, and
bulk reprocesses what is left over, up to theirs. Slow endpoints have a few beside them, so that however long they take,
they take nobody's place.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings

FEWEST = 4
# Share of all slots beyond which only those get one who have none yet: so that many endpoints that begin to hang at
# once do not take all, before they are known to be slow.
NOT_FOR_ALL = 0.875
# Seconds of the mean answer above which an endpoint is slow, and below which it is so no more.
SLOW_MEAN, QUICK = 1.0, 0.5
WEIGHT = 0.3  # of the newest answer in the mean
ENOUGH = 3  # answers to judge by
TWO_EACH = 2  # of a slow endpoint, while half of all slots are not theirs
# Under way to an endpoint that has not answered in this drain: of the FEWEST, half. With all of them taken by one that
# hangs, the others' posts would wait until that is noticed.
UNHEARD = 2


# An account, and a host with its port: thousands of accounts share a host such as hooks.zapier.com.
Place = tuple[int, str]


class Kind(Enum):
    FIRST = auto()  # tries
    RETRY = auto()
    BULK = auto()
    SLOW = auto()  # whatever it is, to an endpoint that answers slowly


class Post(Protocol):
    """What is asked of a post that wants a slot."""

    kind: Kind
    config: int
    place: Place


@lru_cache(maxsize=1000)
def place_of(owner: int, url: str) -> Place:
    return owner, urlsplit(url).netloc


@dataclass(slots=True)
class Slots:
    """What is under way, and so what may start."""

    size: int = FEWEST
    # Posts beyond `size` that may wait ready for a thread. As long as any may, there are no more threads than one
    # configuration may have posts under way, so nobody's share has to be looked at.
    ahead: int = 0
    # Read once: a setting costs more than all else that is asked here of each post.
    most: int = field(default_factory=lambda: settings.DELIVERY_SLOTS)
    of_a_place: int = field(default_factory=lambda: settings.DELIVERY_SLOTS_OF_A_PLACE)
    taken: Counter[Kind] = field(default_factory=Counter)
    by_config: Counter[int] = field(default_factory=Counter)
    by_place: Counter[Place] = field(default_factory=Counter)
    heard: set[int] = field(default_factory=set)  # configurations whose endpoint has answered

    def take(self, post: Post) -> None:
        self._count(post, 1)

    def free(self, post: Post) -> None:
        self._count(post, -1)

    def _count(self, post: Post, one: int) -> None:
        self.taken[post.kind] += one
        self.by_config[post.config] += one
        self.by_place[post.place] += one

    def now_slow(self, post: Post) -> None:
        """A post that is under way turns out to be to a slow endpoint: it gives its slot back."""
        self.taken[post.kind] -= 1
        post.kind = Kind.SLOW
        self.taken[Kind.SLOW] += 1

    def may_start(self, post: Post, of_a_configuration: int) -> bool:
        """Whether there is a slot for it, and neither its configuration nor its place has too many."""
        if post.kind is not Kind.SLOW and post.config not in self.heard:
            of_a_configuration = min(of_a_configuration, UNHEARD)
        elif self.ahead and post.kind in (Kind.FIRST, Kind.RETRY):
            return self._has_room(post)
        return (
            self.by_config[post.config] < of_a_configuration
            and not self.place_is_full(post)
            and self._has_room(post)
        )

    def share_of(self, config: int) -> int:
        """How many posts it may have under way while others want to."""
        share: int = settings.DELIVERY_SLOTS_OF_A_CONFIGURATION
        return share if config in self.heard else min(share, UNHEARD)

    def place_is_full(self, post: Post) -> bool:
        return self.by_place[post.place] >= self.of_a_place

    def slow_ones(self) -> int:
        """How many posts to slow endpoints may be under way, if there are enough of these."""
        return self.most // 2

    def is_full(self) -> bool:
        """Nothing of the front can start, whatever it is."""
        return self.front() >= self._most_of_front()

    def front(self) -> int:
        """How many of the front are under way, or wait ready for a thread."""
        return self.taken[Kind.FIRST] + self.taken[Kind.RETRY]

    def _most_of_front(self) -> int:
        return self.size + (0 if self.taken[Kind.BULK] else self.ahead)

    def _has_room(self, post: Post) -> bool:
        taken, most = self.taken, self.most
        if post.kind is Kind.SLOW:
            if taken[Kind.SLOW] < most * settings.DELIVERY_SLOW_SHARE:
                return True
            return self.by_config[post.config] < TWO_EACH and taken[Kind.SLOW] < self.slow_ones()
        if post.kind is Kind.BULK:
            return (
                self.front() + taken[Kind.BULK] < self.size
                and taken[Kind.BULK] < most * settings.DELIVERY_BULK_SHARE
            )
        if self.is_full():
            return False
        if not self.ahead and self.by_config[post.config] and self.front() >= most * NOT_FOR_ALL:
            return False
        return post.kind is Kind.FIRST or not self.retries_are_full()

    def grow(self, slow: int) -> bool:
        """Where all are taken, and half of them or more by posts that wait for `slow` answers, there are twice as many.

        Doubled, and not a few at a time: the more endpoints hang at once, the more slots it takes to find them all.
        """
        all_taken = self.front() + self.taken[Kind.BULK] >= self.size
        if self.size >= self.most or not all_taken or slow * 2 < self.size:
            return False
        self.size = min(self.most, 2 * self.size)
        return True

    def shrink(self) -> None:
        """By one, for an answer that was fast."""
        self.size = max(FEWEST, self.size - 1)

    def retries_are_full(self) -> bool:
        return self.taken[Kind.RETRY] >= max(1, self._most_of_front() * settings.DELIVERY_RETRY_SHARE)

    def threads(self) -> int:
        """How many there are to be, so that nothing of the front waits behind what is beside it."""
        return self.size + self.taken[Kind.BULK] + self.taken[Kind.SLOW]


@dataclass(slots=True)
class Answers:
    """How long endpoints take, as far as one worker process has seen: a moving mean of those that are not quick."""

    of: dict[int, tuple[float, int]] = field(default_factory=dict)

    def note(self, config: int, seconds: float) -> bool:
        """Whether the endpoint is slow by now."""
        mean, count = self.of.get(config, (0.0, 0))
        if seconds < QUICK / 2 and not count:
            return False  # as nearly all are: nothing is kept of them
        mean = seconds if not count else mean + WEIGHT * (seconds - mean)
        if mean < QUICK / 2:
            self.forget(config)
            return False
        self.of[config] = mean, count + 1
        return mean > SLOW_MEAN and count + 1 >= ENOUGH

    def forget(self, config: int) -> None:
        self.of.pop(config, None)
