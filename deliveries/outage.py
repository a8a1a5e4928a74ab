"""Our own outage: where hosts of all sorts are suddenly out of reach, the fault is most likely ours.

Then nothing is claimed and no try is used up, nobody is disabled or gets a mail about it, and staff hear of it once. A
few probes every some seconds find out when it is over. The one row of `Outage` says so to all workers.
"""

import logging
import random
import smtplib
import time
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice

from django.db import models, transaction
from django.db.models import Count, F, Max, Q, Value
from django.db.models.functions import Greatest, Now

from configurations.models import State as ConfigState

from . import alarm, standing, wake
from .choices import Problem, State
from .circuit import Phase
from .models import Delivery, DeliveryAttempt, DeliveryQuerySet, EndpointHealth, Outage, OwnQueue
from .results import Result

logger = logging.getLogger(__name__)

LATELY = timedelta(seconds=60)  # in which they all fail
TOOK_WITHIN = timedelta(hours=1)  # the hosts that are looked at: who failed before says nothing
FEWEST = 5  # hosts that must fail
PROBE_EVERY = timedelta(seconds=5)
PROBES = 3  # hosts
QUIET = timedelta(minutes=10)  # after it turned out not to be our fault; mails to sellers wait so long, too
ASK_AGAIN = 1.0  # seconds between two looks of a process while hosts fail


# --- The rule -----------------------------------------------------------------------------------------------


def is_ours(took: Collection[str], failing: Collection[str]) -> bool:
    """Whether it is our fault that the hosts `failing` are out of reach, of those that `took` a post lately."""
    among = set(took) & set(failing)
    return len(among) >= FEWEST and 2 * len(among) > len(set(took))


def is_lost(result: Result) -> bool:
    """Whether the host was out of reach: no answer came."""
    return result.outcome.status is None and result.outcome.problem != Problem.OURS


# --- Whether it is on ---------------------------------------------------------------------------------------


def _on() -> models.QuerySet[Outage]:
    return Outage.objects.on()


def is_on() -> bool:
    return standing.any_row(_on)


def is_recent() -> bool:
    """On, or over for so short a time that what it caused may still look like somebody else's fault."""
    return Outage.objects.filter(Q(since__isnull=False) | Q(ended_at__gt=Now() - _span(QUIET))).exists()


# --- It begins and ends -------------------------------------------------------------------------------------


class _Lately:
    """The hosts that were out of reach in this process: as long as it is one alone, nobody need be asked."""

    def __init__(self) -> None:
        self.seen: dict[str, float] = {}
        self.asked_at = 0.0

    def add(self, hosts: Iterable[str]) -> None:
        now = time.monotonic()
        self.seen |= dict.fromkeys(hosts, now)
        self.seen = {host: at for host, at in self.seen.items() if now - at < LATELY.total_seconds()}

    def is_worth_a_look(self) -> bool:
        if len(self.seen) < 2 or time.monotonic() - self.asked_at < ASK_AGAIN:
            return False
        self.asked_at = time.monotonic()
        return True


lately = _Lately()


def note(results: Sequence[Result], at: datetime) -> None:
    """Call it before they are recorded, in that transaction: marks as `behind` whose failure is our own fault.

    Nothing is asked while all hosts answer.
    """
    lost = [result for result in results if is_lost(result)]
    if not lost and not any(result.trial for result in results):
        return
    on = Outage.objects.on().first()
    if on is not None:
        answered = [result for result in results if result.trial and result.outcome.status is not None]
        if answered:
            _end(on, at, ours=any(_host(result) in on.hosts for result in answered))
    elif lost:
        lately.add(_host(result) for result in lost)
        if lately.is_worth_a_look():
            on = _begin(results, at)
    if on is not None:
        for result in lost:
            result.behind = result.outage = True


def _host(result: Result) -> str:
    return result.delivery.config.host


def _begin(results: Sequence[Result], at: datetime) -> Outage | None:
    row, _made = Outage.objects.get_or_create(pk=1)
    if row.quiet_until and row.quiet_until > at:
        return None
    after = max(
        at - LATELY, row.ended_at or at - LATELY
    )  # what failed before the last one ended is explained by it
    took, failing = _hosts(results, at, after)
    if not is_ours(took, failing):
        return None
    if not Outage.objects.filter(pk=1, since=None).update(
        since=at, hosts=sorted(failing)[:500], probe_at=at + PROBE_EVERY, told_at=None
    ):
        return Outage.objects.on().first()  # another worker was quicker
    logger.error(
        "%s of %s hosts are out of reach: nothing is posted until one answers.", len(failing), len(took)
    )
    _give_back(failing, after)
    return Outage.objects.get(pk=1)


def _hosts(results: Sequence[Result], at: datetime, after: datetime) -> tuple[set[str], set[str]]:
    """(those that took a post within the hour, those of them that are out of reach and were not since `after`)"""
    lost_at = Max(
        "last_failure_at", filter=Q(last_status=None, failures__gt=0) & ~Q(last_problem=Problem.OURS)
    )
    rows = (
        EndpointHealth.objects.filter(config__state=ConfigState.ON, config__host__gt="")
        .order_by()
        .values_list("config__host")
        .annotate(took_at=Max("last_success_at"), answered_at=_answered_at(), lost_at=lost_at)
        .filter(took_at__gte=at - TOOK_WITHIN)
    )
    took, failing = set(), set()
    for host, took_at, answered_at, lost_at in rows:
        took.add(host)
        if lost_at and lost_at > max(after, took_at, answered_at or took_at):
            failing.add(host)
    answered = {_host(result) for result in results if result.outcome.status is not None}
    lost = {_host(result) for result in results if is_lost(result)}
    return took, (failing | (lost & took)) - answered


def _answered_at() -> Max:
    """When one last answered with a failure of its own: then it is in reach."""
    return Max("last_failure_at", filter=Q(last_status__isnull=False, failures__gt=0))


def _give_back(hosts: Collection[str], after: datetime) -> None:
    """What these hosts failed since `after` uses up no try, and counts against nobody."""
    lost = DeliveryAttempt.objects.filter(
        started_at__gte=after - timedelta(seconds=20),
        status=None,
        late=False,
        delivery__config__host__in=hosts,
    ).exclude(problem=Problem.OURS)
    used = dict(lost.order_by().values_list("delivery").annotate(n=Count("pk")))
    by_count: dict[int, list[int]] = {}
    for pk, count in used.items():
        by_count.setdefault(count, []).append(pk)
    for count, pks in by_count.items():
        rows = Delivery.objects.filter(pk__in=pks, config__state=ConfigState.ON, event__redacted_at=None)
        pks = list(
            rows.filter(state__in=(State.WAITING, State.FAILED)).unlocked().values_list("pk", flat=True)
        )
        Delivery.objects.filter(pk__in=pks).update(
            state=State.WAITING,
            next_try_at=None,
            finished_at=None,
            tries=Greatest(F("tries") - count, Value(0)),
        )
    healths = EndpointHealth.objects.filter(
        config__host__in=hosts, first_failure_at__gte=after, last_status=None, failures__gt=0
    )
    EndpointHealth.objects.filter(pk__in=list(healths.values_list("pk", flat=True))).update(
        failures=0, first_failure_at=None, fault="", fault_since=None, run=0, run_sales=""
    )


def _end(on: Outage, at: datetime, *, ours: bool) -> None:
    """`ours`: a host answers that was out of reach. If it is another, the fault is not ours, whoever else fails."""
    over = {"since": None, "probe_at": None, "ended_at": at, "quiet_until": None if ours else at + QUIET}
    if Outage.objects.filter(pk=1, since=on.since).update(**over):
        logger.error("Hosts answer again, after %s.", at - on.since)
        opened = OwnQueue.objects.filter(circuit=Phase.OPEN, opened_at__gte=on.since - LATELY)
        opened.update(probe_at=at)
        transaction.on_commit(wake.wake)


# --- Staff hear of it -----------------------------------------------------------------------------------------


def tell() -> int:
    """One mail to each member of staff who may see posts, once for each outage. Returns how many were sent.

    Where the mail server is away, and in an outage of ours it may well be, it is tried again every minute.
    """
    on = Outage.objects.on().filter(told_at=None).first()
    if on is None or not Outage.objects.filter(pk=1, since=on.since, told_at=None).update(told_at=Now()):
        return 0
    try:
        return alarm.send(on)
    except (OSError, smtplib.SMTPException) as error:
        Outage.objects.filter(pk=1, since=on.since).update(told_at=None)
        logger.error("Staff cannot be told of the outage yet (%s: %s).", type(error).__name__, error)
        return 0


# --- Probes -------------------------------------------------------------------------------------------------


def a_probe_is_due() -> bool:
    return Outage.objects.on().filter(_its_time()).exists()


def probes_due() -> list[int]:
    """The ids of waiting posts to try now: the most urgent to each of a few hosts, one of them a host that was not
    seen failing. The next probes are some seconds away in the same step, so that no two workers make the same.

    Where nothing waits for any host that failed, it is over.
    """
    on = Outage.objects.on().filter(_its_time()).first()
    if on is None or not Outage.objects.filter(pk=1, since=on.since, probe_at=on.probe_at).update(
        probe_at=Now() + _span(PROBE_EVERY)
    ):
        return []
    waiting = (
        Delivery.objects.filter(state=State.WAITING, config__state=ConfigState.ON).in_turn().to_open_hosts()
    )
    failing = random.sample(on.hosts, min(len(on.hosts), 10 * PROBES))
    firsts = filter(None, (_first_for(waiting, host) for host in failing))
    found = list(islice(firsts, PROBES - 1))
    if not found:
        _end(on, Outage.objects.filter(pk=1).values_list(Now(), flat=True).get(), ours=True)
        return []
    other = (
        waiting.exclude(config__host__in=on.hosts).most_urgent_first().values_list("pk", flat=True).first()
    )
    return [*found, other] if other else found


def _first_for(waiting: DeliveryQuerySet, host: str) -> int | None:
    rows = waiting.filter(config__host=host).most_urgent_first()
    return rows.values_list("pk", flat=True).first()


def _its_time() -> Q:
    """A time further ahead than one wait is from before the clock was set back."""
    return Q(probe_at__lte=Now()) | Q(probe_at__gt=Now() + _span(PROBE_EVERY)) | Q(probe_at=None)


def _span(length: timedelta) -> Value:
    return Value(length, models.DurationField())
