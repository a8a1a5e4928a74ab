"""Send what is due: claim, post side by side, record, until nothing is due or the time is up.

The main thread alone speaks to the database; the threads of the pool make the post and send it, so no database
transaction is open while a post is on its way. A slot that becomes free is filled at once: nobody waits for the
slowest post of a batch.

How the engine and `disabling` work together:

- After every batch, inside the transaction that records it, `disabling.after_attempts(results)` is called with a
  list of `results.Result`: it moves the EndpointHealth rows in bulk and disables or enables configurations.
  `result.delivery.config` (with `owner`) and `result.delivery.event` are loaded; `result.delivered`,
  `result.outcome` (the transport's), `result.next`, `result.probe`, `result.late` and `result.at` (the present
  time by the database's clock) say what came of it. A problem of OURS is nobody else's fault. What it raises is
  logged and undone, and the attempts are kept all the same. Mails go out by
  `transaction.on_commit(..., robust=True)`, and not from here: while the main thread waits, no lease is renewed.
- Before a batch is recorded, `breaker.judge(results, …)` marks as `behind` those whose failure uses up no try.
  `breaker.probes_due()` names waiting posts to send as a trial of an endpoint that fails, and `outage.probes_due()`
  the only ones that go while we are out of reach of all.
- In every drain `disabling.probes_due()` is asked for the ids of held deliveries to try as a probe. They are
  claimed from HELD, one at a time for each configuration. A 2xx delivers the post and gives
  `result.probe and result.delivered`, whereupon `disabling` enables the configuration; any other outcome puts the
  post back to HELD with no try used up.
"""

import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.utils import timezone

from . import (
    apart,
    breaker,
    disabling,
    in_hand,
    leases,
    looks,
    outage,
    outcomes,
    post_log,
    posting,
    sending,
    wake,
)
from .choices import BULK_LANES, OWN_LANES, Lane
from .in_hand import SLOW, Post
from .models import LEASE, Delivery
from .process import garbage_collected_rarely, told_to_end
from .results import Result, ours
from .slots import FEWEST, Answers, Kind, Slots
from .transport import Transport
from .workers import Workers

logger = logging.getLogger(__name__)

# Posts that wait ready for a thread while all answers are fast: enough to keep the threads at work while the main one
# records a batch and claims another.
AHEAD = 100
BATCH, BATCH_PER_SLOT = 400, 100  # rows claimed at once, at most
RENEW_EVERY = LEASE.total_seconds() / 6
MARGIN = LEASE.total_seconds() / 9  # of the lease that is left when the slowest answer is here
PROBE_EVERY = 1.0  # seconds between two looks for probes that are due
LOOK = looks.SOON  # seconds between two looks whether anything takes long
WAIT_FOR_A_RATE = (
    1.0  # seconds that a drain without work waits for the rate of an own queue; then the clock does
)
TICK = 0.2  # seconds: how soon a stop is noticed
RECORD_SOON = 0.1  # seconds that an outcome may wait for others to be recorded with
IN_A_BACKLOG = 0.5  # seconds, while more waits to be sent
RECORD_AT = 400  # outcomes
RECORD_AGAIN = 0.5  # seconds
KEEP_TRYING = 30.0  # seconds in which a drain tries to record while the database is out of reach


Told = Callable[[Sequence[Result]], None]


def drain(
    budget: float | None = None, stop: Callable[[], bool] | None = None, told: Told | None = None
) -> int:
    """Post all that is due, and recover what a dead worker held. Returns the number of attempts made.

    `told` hears of the results as they are recorded, in the main thread: it must be quick.

    Once `stop()` is true or it is told by SIGTERM or SIGINT it starts nothing new, gives back what it has not begun,
    and waits for what is in flight: at most DELIVERY_DEADLINE longer. The same after `budget` seconds
    (DELIVERY_DRAIN_BUDGET), but that it goes on as long as a post from before is in flight: at most twice
    DELIVERY_DEADLINE longer.
    Raises DatabaseError if the database is out of reach.
    """
    budget = settings.DELIVERY_DRAIN_BUDGET if budget is None else budget
    sending.look()
    with told_to_end() as ends, garbage_collected_rarely():
        until = time.monotonic() + budget
        return _Drain(until, lambda: ends() or (stop is not None and stop()), told).run()


@lru_cache(maxsize=1)
def _answers() -> Answers:
    """How long endpoints took, as far as this process has seen."""
    return Answers()


@lru_cache(maxsize=1)
def _transport_of(pid: int) -> Transport:
    return Transport()


def transport() -> Transport:
    """This process's own, with its open connections; made after the fork."""
    return _transport_of(os.getpid())


def forget_transport() -> None:
    """Close its connections; the next drain makes a new one, by the settings of then."""
    if _transport_of.cache_info().currsize:
        transport().close()
        _transport_of.cache_clear()


class _Drain:
    """One run of the engine. A post goes from `unsent` to `flying` to `landed`, and leaves when it is recorded."""

    def __init__(self, until: float, stop: Callable[[], bool], told: Told | None) -> None:
        self.until, self.stop, self.told = until, stop, told
        self.workers = Workers(self._send)
        self.claim_id: UUID = uuid4()
        self.transport = transport()
        self.unsent: list[Post] = []
        self.flying: dict[int, Post] = {}  # by the delivery's id, the oldest first
        self.landed: list[Post] = []
        self.slots = Slots()
        self.slow: set[int] = set()  # configurations that answer slowly, as far as is known here
        self.found_slow: set[int] = set()  # of those, by their answers and just now
        self.part_at = 0.0
        self.blocked = False  # whether slots are free that nothing unsent may take
        self.looks = looks.Looks()
        self.permitted_at = math.inf  # when the rate of an own queue permits its next post
        self.renew_at = time.monotonic() + RENEW_EVERY
        self.renewed_at = 0.0  # when the last good renewal began
        self.renewals_missed = 0
        self.record_again_at = 0.0
        self.failing_since: float | None = None  # recording, for the database's sake
        self.called_for_help = False
        self.probe_at = math.inf  # when to look for probes again; after the first look
        self.only_probes = False  # an outage of ours: nothing else is claimed
        self.ended = False  # nothing new is claimed or begun any more
        self.made = 0

    def run(self) -> int:
        with self.workers:
            return self._run()

    def _run(self) -> int:
        for recorded in outcomes.keep_owed():
            self._count(recorded)
        self._claim_more()  # what is fresh does not wait for the looks at what is old
        if leases.recover():
            self._claim_more()
        if not (self.only_probes or self._is_over()):
            self._claim_probes(time.monotonic())
        while self._goes_on():
            self._start_what_can()
            self._collect()
            self._part_in_time()
            self._renew_in_time()
            self._record_in_time()
            self._end_in_time()
            self._claim_more()
        if not self.ended:
            leases.settle_strays()
            apart.settle()
        return self.made

    def _goes_on(self) -> bool:
        """Whether anything is in hand, or, after waiting for it, may be: what the rate of an own queue permits soon."""
        if self.unsent or self.flying or self.landed:
            return True
        if not self._waits_for_a_rate():
            return False
        time.sleep(max(0.0, min(TICK, self.permitted_at - time.monotonic())))
        return True

    def _is_over(self) -> bool:
        if not self.ended:
            self.ended = self.stop() or (self._hands_on() and not self._has_some_from_before())
        return self.ended

    def _hands_on(self) -> bool:
        """Its time is up: nothing more is begun that is known to take long."""
        return time.monotonic() >= self.until

    def _has_some_from_before(self) -> bool:
        """Posts that were begun in its time are still on their way. Beside them it goes on, for DELIVERY_DEADLINE at
        most: where all workers waited for an endpoint that hangs, everybody else's posts would wait too."""
        if time.monotonic() >= self.until + settings.DELIVERY_DEADLINE:
            return False
        return any(0 < post.started_at < self.until for post in self.flying.values())

    # --- claim

    def _claim_more(self) -> None:
        """Claim before what is unsent gets too little to fill the slots; beside what cannot start, what can."""
        now = time.monotonic()
        idle = not (self.unsent or self.flying)
        waiting = [post for post in self.unsent if post.kind is not Kind.SLOW] if self.slow else self.unsent
        many = len(waiting) >= self.slots.size
        enough = many and not self.blocked and not waiting[self.slots.size - 1].is_bulk
        if (
            enough
            or self.only_probes
            or not (idle or now >= self.looks.more_at or self._sees_new(now))
            or self._is_over()
        ):
            return
        limit = min(BATCH, BATCH_PER_SLOT * self.slots.size)
        try:
            if outage.is_on():
                self._claim_none_but_probes(now)
                return
            if now >= self.probe_at:
                self._claim_probes(now)
            self._give_back_halted()
            # While posts of a bulk reprocess wait here, for fresh ones alone: none of these is kept away by those.
            only_fresh = many or any(post.delivery.lane == Lane.BULK for post in self.unsent)
            full = self._full(now, only_fresh=only_fresh)
            only_first = self._has_retries_enough()
            rows = leases.claim(self.claim_id, limit, full, only_fresh=only_fresh, only_first=only_first)
            self._take_on(rows, now)
            self._start_what_can()
            if idle or now >= self.looks.apart_at:
                self.permitted_at = now + self._claim_apart(now)
                self.looks.looked_apart(now, self.permitted_at)
            in_vain = not (rows or idle) and leases.anything_new()  # else another worker was first
        except DatabaseError:
            if idle and not self.landed:
                raise
            self._lose_the_database("Nothing more can be claimed.")
            return
        got_all = len(rows) < limit
        self.looks.claimed(now, in_vain=in_vain, all_until=self.permitted_at if got_all else None)
        if not (got_all or self.called_for_help):
            self.called_for_help = True
            wake.wake()  # there is more than this: an idle worker may join

    def _claim_none_but_probes(self, now: float) -> None:
        """In an outage of ours. A drain that it catches at work ends; the next one makes the probes."""
        if self.probe_at < math.inf:
            self.ended = True
            return
        self.only_probes = True
        self._take_on(leases.claim_trials(self.claim_id, outage.probes_due()), now, trial=True)

    def _claim_probes(self, now: float) -> None:
        """What is sent to see whether its endpoint works again."""
        self.probe_at = now + PROBE_EVERY
        self._take_on(leases.claim_probes(self.claim_id, disabling.probes_due()), now, probe=True)
        self._take_on(leases.claim_trials(self.claim_id, breaker.probes_due()), now, trial=True)

    def _sees_new(self, now: float) -> bool:
        """A look that costs little, taken often, so that a new post need not wait while others are on their way."""
        if self.slots.is_full() or not self.looks.is_due(now):
            return False
        try:
            return leases.anything_new()
        except DatabaseError:
            return True  # the claim will see to it

    def _full(self, now: float, *, only_fresh: bool) -> set[int]:
        """The configurations that have enough here.

        `only_fresh`: of those that are fresh, since no bulk reprocess keeps its own configuration's from going.
        """
        unsent = [post for post in self.unsent if not (only_fresh and post.is_bulk)]
        flying = [post for post in self.flying.values() if not (only_fresh and post.is_bulk)]
        places = in_hand.full_places(flying, self.slots, now)
        return in_hand.full_configurations(unsent, flying, self.slots, now) | leases.configurations_at(places)

    def _has_retries_enough(self) -> bool:
        retries = sum(post.kind is Kind.RETRY for post in self.unsent)
        return retries >= self.slots.size and self.slots.retries_are_full()

    def _take_on(
        self, deliveries: list[Delivery], claimed_at: float, *, probe: bool = False, trial: bool = False
    ) -> None:
        if not deliveries:
            return
        keys = posting.Keys.of(deliveries)
        self.unsent += [
            Post(delivery, keys, claimed_at, self._kind_of(delivery), probe, trial) for delivery in deliveries
        ]
        self.unsent.sort(key=Post.urgency)

    def _kind_of(self, delivery: Delivery) -> Kind:
        if delivery.config_id in self.slow:
            return Kind.SLOW
        if delivery.lane in BULK_LANES:
            return Kind.BULK
        return Kind.RETRY if delivery.tries else Kind.FIRST

    def _claim_apart(self, now: float) -> float:
        """From the own queues; in how many seconds the rate of one of them permits the next post."""
        here = Counter(post.config for post in (*self.unsent, *self.flying.values()))
        slow_here = sum(post.kind is Kind.SLOW for post in self.unsent) + self.slots.taken[Kind.SLOW]
        slow_room = 0 if self._hands_on() else self.slots.slow_ones() - slow_here
        room = apart.Room(BATCH, slow_room, here)
        heads = leases.claim_apart(self.claim_id, room)
        self.slow |= heads.slow
        self._take_on(heads.deliveries, now)
        return heads.again_in

    def _make_room_apart(self, deliveries: Iterable[Delivery]) -> None:
        """They landed, which frees a place here; or are recorded: until then a slow endpoint's count as under way."""
        if any(delivery.lane in OWN_LANES for delivery in deliveries):
            self.looks.apart_has_room()

    def _waits_for_a_rate(self) -> bool:
        """Whether an own queue has posts that its rate permits so soon that it is worth waiting for."""
        return not self.ended and self.permitted_at < time.monotonic() + WAIT_FOR_A_RATE

    # --- post

    def _start_what_can(self) -> None:
        """Fill the slots, most urgent first: one of each configuration, then up to its share, then beyond while slots
        are free."""
        shares = 1, settings.DELIVERY_SLOTS_OF_A_CONFIGURATION, settings.DELIVERY_SLOTS_WHILE_IDLE
        few = self.slots.size == FEWEST <= min(shares[1], self.slots.of_a_place)
        self.slots.ahead = AHEAD if few else 0
        slow_may = not self._hands_on()
        for share in shares:
            kept = []
            for place, post in enumerate(self.unsent):
                if self.ended or (post.kind is not Kind.SLOW and self.slots.is_full()):
                    kept += self.unsent[place:]
                    break
                may = (slow_may or post.kind is not Kind.SLOW) and self.slots.may_start(post, share)
                if not (may and self._start(post)):
                    kept.append(post)
            self.unsent = kept
        self.blocked = bool(self.unsent) and not self.slots.is_full()

    def _start(self, post: Post) -> bool:
        """False, and the drain ends, if the lease might run out before the answer is here."""
        post.start_by = max(post.claimed_at, self.renewed_at) + lease_left_to_start()
        if time.monotonic() > post.start_by:
            self.ended = True
            return False
        self.flying[post.pk] = post
        self.slots.take(post)
        self.workers.give(post)
        self.workers.at_least(min(self.slots.threads(), len(self.flying)))
        return True

    def _send(self, post: Post) -> None:
        """In a thread of its own: no database, all that is needed was read with the claim.

        It stays without an outcome if it came to the thread too late.
        """
        delivery, now = post.delivery, time.monotonic()
        if now > post.start_by:
            return
        post.started_at = now
        try:
            body = posting.body_of(delivery)
            delivery.body = body.decode()
            sealed = post.keys.seal(delivery, body, int(time.time()))
            post.headers = sealed.headers
            post.outcome = posting.send(self.transport, delivery.config_id, post.url, sealed)
        except Exception as error:  # this one payload cannot be made: the others go
            logger.exception("%s cannot be posted.", delivery, extra=post_log.ids(delivery))
            post.outcome = ours(error, timezone.now())
        post.done_at = time.monotonic()

    def _collect(self) -> None:
        """Wait for an answer, but no longer than until something else may be due; take all that are there."""
        if not self.flying:
            return
        for post in self.workers.done(timeout=LOOK):
            self._land(post)
        self._grow()

    def _land(self, post: Post) -> None:
        self._no_longer_flying(post)
        if post.outcome is None:
            self.ended = True
            self.unsent.append(post)
            return
        self.landed.append(post)
        self._make_room_apart([post.delivery])
        took = post.done_at - post.started_at
        if took < in_hand.HANGS:
            self.slots.heard.add(post.config)
        if took < SLOW and post.kind is not Kind.SLOW:
            self.slots.shrink()
        if post.config not in self.slow and _answers().note(post.config, took):
            self.found_slow.add(post.config)

    def _no_longer_flying(self, post: Post) -> None:
        del self.flying[post.pk]
        self.slots.free(post)

    def _grow(self) -> None:
        """More slots where half of them or more wait for slow answers while others want to start."""
        now, slots = time.monotonic(), self.slots
        slow = sum(post.kind is not Kind.SLOW and post.takes(now, SLOW) for post in self.flying.values())
        wanted = self.unsent or self.workers.waiting()
        if wanted and slots.grow(slow):
            self._take_back()  # from now on each configuration has its share
            self._start_what_can()

    # --- those that take long

    def _part_in_time(self) -> None:
        """Give an endpoint that is slow, or for which many wait here, its own queue, and what of it waits here back."""
        now = time.monotonic()
        if self.ended or (now < self.part_at and not self.found_slow):
            return
        self.part_at = now + LOOK
        flying = list(self.flying.values())
        slow = self.found_slow | in_hand.hanging(flying, self.slots, now) - self.slow
        crowded = in_hand.crowded(self.unsent, flying, self.slots, now)
        if not slow | crowded:
            return
        apart_now = slow | crowded
        try:
            apart.begin(crowded)
            apart.begin(slow, slow=True, mean_answer=in_hand.HANGS)
        except DatabaseError:
            self._lose_the_database("What takes long is not moved out of the way.")
            return
        self._keep_from(apart_now, aside=True)
        for post in self.flying.values():
            if post.config in slow and post.kind is not Kind.SLOW:
                self.slots.now_slow(post)
        self.slow |= slow
        for config in slow:
            _answers().forget(config)
        self.found_slow.clear()

    # --- keep the lease

    def _renew_in_time(self) -> None:
        began = time.monotonic()
        claimed = len(self.unsent) + len(self.flying) + len(self.landed)
        if began < self.renew_at or not claimed:
            return
        self.renew_at = began + RENEW_EVERY
        try:
            rows = leases.renew(self.claim_id)
        except DatabaseError:
            self.renewals_missed += 1
            if self.renewals_missed > 1:
                self._lose_the_database("The lease could not be renewed twice.")
            return
        self.renewals_missed, self.renewed_at = 0, began
        if rows < claimed:
            logger.warning(
                "Of %s claimed posts %s are gone: nothing new is started.", claimed, claimed - rows
            )
            self.ended = True

    def _end_in_time(self) -> None:
        """Once the time is up, what has not begun goes back."""
        if not (self.unsent or self.workers.waiting()) or not self._is_over():
            return
        self._take_back()
        try:
            for probes in (False, True):
                leases.give_back(
                    self.claim_id, [p.delivery for p in self.unsent if p.probe == probes], probes=probes
                )
        except DatabaseError:
            self._lose_the_database("What has not begun is left to its lease.")
        self.unsent.clear()

    def _take_back(self) -> None:
        """What waits ready for a thread."""
        taken = self.workers.take_back()
        for post in taken:
            self._no_longer_flying(post)
        self.unsent = sorted(taken + self.unsent, key=Post.urgency)

    def _give_back_halted(self) -> None:
        """What has not begun of a bulk reprocess that was paused or stopped."""
        if halted := leases.halted(post.delivery for post in self.unsent):
            self._give_back([post for post in self.unsent if post.pk in halted])

    def _keep_from(self, configs: set[int], *, aside: bool = False) -> None:
        """What was claimed for these endpoints and has not begun goes back, but for probes; or into their own queues."""
        self._give_back(
            [post for post in self.unsent if post.config in configs and not (post.probe or post.trial)],
            aside=aside,
        )

    def _give_back(self, theirs: list[Post], *, aside: bool = False) -> None:
        if not theirs:
            return
        try:
            leases.give_back(self.claim_id, [post.delivery for post in theirs], aside=aside)
        except DatabaseError:
            self._lose_the_database("What has not begun is left to its lease.")
        gone = {post.pk for post in theirs}
        self.unsent = [post for post in self.unsent if post.pk not in gone]

    def _lose_the_database(self, consequence: str) -> None:
        """Called while a DatabaseError is handled: go on without, for the sake of what is in flight."""
        logger.error(consequence, exc_info=True)  # noqa: LOG014  every caller is in an except clause
        self.ended = True
        if not connection.in_atomic_block:
            connection.close()  # the next query opens a new one

    # --- record

    def _record_in_time(self) -> None:
        if not self.landed:
            return
        now = time.monotonic()
        quiet = not (self.flying or self.unsent)
        if now < self.record_again_at:
            if quiet:
                time.sleep(TICK)
        elif quiet or len(self.landed) >= RECORD_AT or now - self.landed[0].done_at >= self._record_within():
            self._record(now)

    def _record_within(self) -> float:
        return IN_A_BACKLOG if len(self.unsent) > AHEAD else RECORD_SOON

    def _record(self, now: float) -> None:
        """Outcomes outlive a database that is away for a while; after that the next drain begins with them."""
        results = [post.result() for post in self.landed]
        try:
            for recorded in outcomes.keep(self.claim_id, results):
                self._count(recorded)
        except (OperationalError, InterfaceError):
            self._lose_the_database(f"{len(results)} outcomes cannot be recorded yet.")
            self.failing_since = self.failing_since or now
            self.record_again_at = now + RECORD_AGAIN
            if now - self.failing_since < KEEP_TRYING:
                return
            outcomes.owe(self.claim_id, results)
        else:
            self.failing_since = None
            self.ended = self.ended or any(result.outage for result in results)
            if shut := {result.delivery.config_id for result in results if result.shut}:
                self._take_back()  # what waits ready for a thread, too
                self._keep_from(shut)
        self.landed.clear()

    def _count(self, recorded: Sequence[Result]) -> None:
        self.made += len(recorded)
        post_log.say(recorded)
        self._make_room_apart([result.delivery for result in recorded])
        self._note_answers([result for result in recorded if result.delivery.config_id in self.slow])
        if self.told is not None:
            self.told(recorded)

    def _note_answers(self, of_slow_ones: Sequence[Result]) -> None:
        try:
            apart.note_answers(of_slow_ones)
        except DatabaseError:
            self._lose_the_database("It is not noted how long slow endpoints took.")


def lease_left_to_start() -> float:
    """Seconds after a good renewal in which a post may begin, so that its answer is here before the lease ends."""
    return LEASE.total_seconds() - settings.DELIVERY_DEADLINE - MARGIN
