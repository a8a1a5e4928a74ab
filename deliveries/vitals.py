"""Whether posts go out at all: the figures of `health` and of the staff's first page, each at most one query."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Case, Count, F, Min, OuterRef, Q, Subquery, When
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django_q.status import Stat

from configurations.events import Priority
from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from . import wake
from .choices import Lane
from .circuit import Phase
from .figures import FAILING
from .models import Delivery, DeliveryAttempt, HeldHost, Outage, WakeFlag

logger = logging.getLogger(__name__)

LATELY = timedelta(minutes=5)
SAMPLE = 1000  # first tries that the lag is taken from, at most


@dataclass(frozen=True, slots=True)
class Posts:
    """Those that should be gone. `…_since`: since when the oldest should; None where it cannot be told."""

    due: int  # of configurations that are on
    due_since: datetime | None
    lapsed: int  # claimed by a worker that renews no more
    lapsed_since: datetime | None


@dataclass(frozen=True, slots=True)
class Lag:
    """From an event to its first try, of the events of the last five minutes that were tried."""

    tries: int
    p50: timedelta | None
    p95: timedelta | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """What there is to send with. `queue` counts jobs, not posts; all None: the queue cannot be reached."""

    queue: int | None
    clusters: int | None
    workers: int | None


@dataclass(frozen=True, slots=True)
class Configurations:
    failing: int  # on, and nothing comes through, several times in a row
    disabled: int  # by us
    together: int  # on, and their posts wait together for their server to work again


@dataclass(frozen=True, slots=True)
class Hold:
    """All sending is held: what is due would count as due, were it not."""

    since: datetime
    why: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Vitals:
    at: datetime
    posts: Posts
    lag: Lag
    cluster: Cluster
    configurations: Configurations
    swept_at: datetime | None  # None: never
    held: Hold | None
    outage_since: datetime | None  # of our own: nothing is posted

    def age(self, since: datetime | None) -> timedelta | None:
        """Of something since then, by the moment of these figures."""
        return None if since is None else max(self.at - since, timedelta(0))


def vitals() -> Vitals:
    """All of them. Raises DatabaseError where the database is out of reach; a queue that is, is a figure."""
    now = timezone.now()
    return Vitals(now, posts(), lag(now), cluster(), configurations(), swept_at(), held(), outage_since())


def posts() -> Posts:
    # A first try is due since its event, since its configuration was switched on, or since the approved ended that
    # it waited for. Of what was asked for again nobody knows since when, and a bulk reprocess takes as long as it
    # takes; so does an endpoint with its own queue.
    approved = Delivery.objects.filter(config=OuterRef("config"), opens=OuterRef("closes"))
    in_turn = Subquery(approved.finished().order_by("-finished_at").values("finished_at")[:1])
    in_turn = Case(When(closes__isnull=False, then=Coalesce(in_turn, "created_at")), default="created_at")
    since_event = Greatest("created_at", "config__state_changed_at", in_turn)
    since = Case(
        When(lane__gt=Lane.FRESH, then=None),
        When(next_try_at__isnull=False, then=F("next_try_at")),
        When(attempts_made=0, priority__lt=Priority.BACKLOG, then=since_event),
    )
    due = Delivery.objects.sendable().aggregate(count=Count("pk"), since=Min(since))
    lapsed = Delivery.objects.lease_ran_out().aggregate(count=Count("pk"), since=Min("lease_until"))
    return Posts(due["count"], due["since"], lapsed["count"], lapsed["since"])


def held() -> Hold | None:
    held = HeldHost.everything()
    return held and Hold(held.since, held.why, Delivery.objects.ready().count())


def due_by_host() -> dict[str, int]:
    """{host: posts that are due there}, the most first."""
    by_host = Delivery.objects.sendable().values_list("config__host").annotate(count=Count("pk"))
    return dict(by_host.order_by("-count", "config__host"))


def lag(now: datetime) -> Lag:
    """By the index of what arose lately, newest first: attempts have none by their time."""
    first = DeliveryAttempt.objects.filter(delivery=OuterRef("pk"), number=1).values("started_at")[:1]
    tried = Delivery.objects.filter(
        created_at__gt=now - LATELY, attempts_made__gt=0, priority__lt=Priority.BACKLOG
    )
    newest = tried.newest_first().annotate(started_at=Subquery(first)).values_list("created_at", "started_at")
    waits = sorted(max(started - arose, timedelta(0)) for arose, started in newest[:SAMPLE] if started)
    return Lag(len(waits), _percentile(waits, 0.5), _percentile(waits, 0.95))


def _percentile(ordered: Sequence[timedelta], share: float) -> timedelta | None:
    """The least that `share` of them do not exceed."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None


def cluster() -> Cluster:
    """A frozen cluster looks alive for a while: what is due since when tells the truth."""
    try:
        broker = wake.broker()
        stats = Stat.get_all(broker)
        return Cluster(broker.queue_size(), len(stats), sum(len(stat.workers) for stat in stats))
    except DatabaseError:
        raise
    except Exception as error:  # whatever the queue's client raises
        logger.warning("The queue cannot be reached (%s: %s).", type(error).__name__, str(error)[:200])
        return Cluster(None, None, None)


def configurations() -> Configurations:
    return Configurations(
        **WebhookConfig.objects.aggregate(
            failing=Count("pk", filter=FAILING),
            disabled=Count("pk", filter=Q(state=ConfigState.DISABLED)),
            together=Count("pk", filter=Q(state=ConfigState.ON, own_queue__circuit=Phase.OPEN)),
        )
    )


def outage_since() -> datetime | None:
    """Since when we reach hardly any host; None: we do."""
    return Outage.objects.on().values_list("since", flat=True).first()


def swept_at() -> datetime | None:
    """When the last sweep ended, the job that the queue itself runs every minute."""
    return WakeFlag.objects.values_list("swept_at", flat=True).first()
