"""When an endpoint fails as a whole its posts wait together, and how they go again once it works.

The rules, which know no query: `Circuit` holds the columns that they need, and moves them. As long as all is well no
row of it is there. `breaker` finds, makes and locks the rows.

- Open: nothing goes but a probe now and then, and no try is used up, whatever comes of it.
- Releasing: a post was accepted. All that waited is due, and goes at a rate that doubles as long as it goes well.

A server that asks for a pause (429, or 503 with a Retry-After) gets it: then it is open too, for as long as it asks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from django.conf import settings
from django.db import models

from . import retries
from .choices import Problem

# Source: RELIABILITY.md, section 3; the breakers of GitLab and Convoy have numbers of this size.
OF_THE_ENDPOINT = frozenset({401, 403, 404, 405, 408, 419, 425})  # beside 3xx, 5xx and no answer at all
SPREAD = 0.2  # each wait is lengthened or shortened by up to this share, so that not all probe in one moment
# The longest wait between two probes, by how long ago the last post was accepted.
LONG_AGO = (
    (timedelta(hours=24), timedelta(minutes=15)),
    (timedelta(hours=6), timedelta(minutes=5)),
)
DOUBLES_EVERY = timedelta(seconds=5)  # the rate of the release
MOST_DOUBLINGS = 7  # then nothing holds it back any more
SLOWEST = 1.0  # posts a second, however often it was halved
STUMBLES = 2  # failures in a row, while it is released, that open it again


class Facts(Protocol):
    """What is asked of a `transport.Outcome`."""

    @property
    def status(self) -> int | None: ...

    @property
    def problem(self) -> str | None: ...

    @property
    def headers(self) -> Iterable[Iterable[str]]: ...


class Says(Enum):
    """What the outcome of one post tells of its endpoint."""

    WORKS = "it took the post"
    FAILS = "it would fail with any post"
    PAUSE = "it wants to be left alone for a while"
    NOTHING = "it did not like this one post, or we could not make it"


def says(outcome: Facts, url: str, at: datetime) -> Says:
    """A code that is about the post alone, such as 400 or 422, says nothing of the endpoint; nor does 410, which is
    about the address and is for `disabling`."""
    status = outcome.status
    if retries.accepted(outcome, url):
        return Says.WORKS
    if status is None:
        return Says.NOTHING if outcome.problem == Problem.OURS else Says.FAILS
    if status == 429 or (status == 503 and retries.retry_after(outcome.headers, at)):
        return Says.PAUSE
    if 300 <= status < 400 or 500 <= status < 600 or status in OF_THE_ENDPOINT:
        return Says.FAILS
    return Says.NOTHING


@dataclass(frozen=True, slots=True)
class Run:
    """Failures of the endpoint in a row, while its circuit is closed."""

    failures: int = 0
    sales: tuple[str, ...] = ()  # the first few that they were of; all that is asked is how many there are

    def after(self, said: Says, sale: str) -> "Run":
        """`sale`: its code, or whatever else tells what the post was about."""
        if said == Says.WORKS:
            return Run()
        if said != Says.FAILS:
            return self
        sales = self.sales
        if sale not in sales and len(sales) < settings.DELIVERY_CIRCUIT_SALES:
            sales = (*sales, sale)
        return Run(min(self.failures + 1, 32767), sales)

    @property
    def is_enough(self) -> bool:
        """One sale that a server cannot bear is no reason to keep the others waiting."""
        return (
            self.failures >= settings.DELIVERY_CIRCUIT_FAILURES
            and len(self.sales) >= settings.DELIVERY_CIRCUIT_SALES
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of one post to `url`, and all that the rules ask beside it."""

    at: datetime  # the present time by the database's clock
    url: str
    said: Says
    probe: bool = False  # it was sent to see whether the endpoint works again
    status: int | None = None
    asked: timedelta = timedelta(0)  # for how long the server wants to be left alone; zero: it names no time
    last_success: datetime | None = None  # of the endpoint
    chance: float = 0.5  # from 0 to 1: spreads the waits


class Phase(models.TextChoices):
    CLOSED = ""
    OPEN = "open"
    RELEASING = "releasing"


class Circuit(models.Model):
    """One endpoint's. The times are the database's."""

    # db_default: workers of the release before write rows without these.
    circuit = models.CharField(
        max_length=10, choices=Phase, blank=True, default=Phase.CLOSED, db_default=Phase.CLOSED
    )
    # The URL that failed: of another, which its owner has entered since, nothing is known.
    circuit_url = models.CharField(max_length=2000, blank=True, default="", db_default="", editable=False)
    opened_at = models.DateTimeField(null=True, blank=True)
    probe_at = models.DateTimeField(null=True, blank=True)
    probes = models.PositiveSmallIntegerField(default=0, db_default=0)
    # The server asked for a pause until then, with this status.
    paused_until = models.DateTimeField(null=True, blank=True)
    paused_by = models.PositiveSmallIntegerField(null=True, blank=True)
    # The post that somebody wants to be sent now: it is the next probe.
    asked_post = models.BigIntegerField(null=True, editable=False)
    released_at = models.DateTimeField(null=True, blank=True)  # the first time
    release_rate = models.FloatField(null=True, editable=False)  # posts a second, at the time beside it
    release_rate_at = models.DateTimeField(null=True, editable=False)
    # Failures in a row, while it is released.
    stumbles = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        abstract = True

    @property
    def is_open(self) -> bool:
        return self.circuit == Phase.OPEN

    @property
    def is_releasing(self) -> bool:
        return self.circuit == Phase.RELEASING

    def rate_of_release(self, at: datetime) -> float | None:
        """Posts a second that may go at `at`, over all workers; 0 while it is open, None where it holds none back."""
        if self.is_open:
            return 0.0
        if not self.is_releasing or self.release_rate is None or self.release_rate_at is None:
            return None
        doubled = max(0, (at - self.release_rate_at) // DOUBLES_EVERY)
        rate = self.release_rate * 2 ** min(doubled, 30)
        return rate if rate < settings.DELIVERY_CIRCUIT_RATE * 2**MOST_DOUBLINGS else None

    def open(self, seen: Seen) -> None:
        """After the failure `seen`, from whatever it is. Who opens it again waits for longer than before."""
        if self.circuit == Phase.CLOSED or self.circuit_url != seen.url:
            self.forget()
            self.opened_at = seen.at
        self.circuit, self.circuit_url = Phase.OPEN, seen.url
        self.release_rate = self.release_rate_at = None
        self.stumbles = 0
        self._wait(seen)

    def release(self, at: datetime, url: str) -> bool:
        """After a success. Whether all that waits is due from now on: at the first since it was opened.

        A post that fails while it is released has used up a try, and waits by its own schedule. If each new start
        made it due, a server that comes and goes would use up its five tries in minutes.
        """
        first = self.released_at is None
        self.circuit, self.circuit_url = Phase.RELEASING, url
        self.release_rate, self.release_rate_at = settings.DELIVERY_CIRCUIT_RATE, at
        self.released_at = self.released_at or at
        self.probe_at = self.paused_until = self.paused_by = self.asked_post = None
        self.stumbles = 0
        return first

    def forget(self) -> None:
        """Closed, as if it had never failed."""
        for name in COLUMNS:
            setattr(self, name, Circuit._meta.get_field(name).get_default())

    def note(self, seen: Seen) -> bool:
        """What follows, where it is not closed. Whether all that waits is due from now on."""
        if seen.said == Says.PAUSE:
            self._pause(seen)
        elif self.is_open:
            if seen.said == Says.WORKS and (seen.probe or not self._is_paused(seen.at)):
                return self.release(seen.at, seen.url)
            if seen.probe:
                self._wait(seen)
        elif seen.said == Says.WORKS:
            self.stumbles = 0
        elif seen.said == Says.FAILS:
            self.stumbles += 1
            if self.stumbles >= STUMBLES:
                self.open(seen)
            elif rate := self.rate_of_release(seen.at):
                self.release_rate, self.release_rate_at = max(SLOWEST, rate / 2), seen.at
        return False

    def _pause(self, seen: Seen) -> None:
        """As long as the server asks for; where it names no time, as if it had failed."""
        if self.is_open and not seen.probe and self._is_paused(seen.at):
            return  # one of several that were in flight together
        self.open(seen)
        if seen.asked:
            self.probes -= 1
            self.probe_at = seen.at + min(seen.asked, settings.DELIVERY_RETRY_AFTER_CAP)
        self.paused_until, self.paused_by = self.probe_at, seen.status

    def _is_paused(self, at: datetime) -> bool:
        return self.paused_until is not None and at < self.paused_until

    def _wait(self, seen: Seen) -> None:
        """Until the next probe, twice as long as the last time."""
        alive = seen.last_success or self.opened_at or seen.at
        longest = next(
            (wait for age, wait in LONG_AGO if seen.at - alive >= age), settings.DELIVERY_CIRCUIT_LONGEST
        )
        span = min(settings.DELIVERY_CIRCUIT_WAIT * 2 ** min(self.probes, 20), longest)
        self.probes = min(self.probes + 1, 32767)
        self.probe_at = seen.at + span * (1 + SPREAD * (2 * seen.chance - 1))
        self.paused_until = self.paused_by = None


COLUMNS = (
    "circuit",
    "circuit_url",
    "opened_at",
    "probe_at",
    "probes",
    "paused_until",
    "paused_by",
    "asked_post",
    "released_at",
    "release_rate",
    "release_rate_at",
    "stumbles",
)
