"""What the admin's first page says at a glance. Each number leads to the list behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from auditlog.models import LogEntry
from django.core.cache import cache
from django.db.models import Count, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from configurations.models import SECRETS, WebhookConfig
from configurations.models import State as ConfigState
from deliveries import vitals
from deliveries.held import EVERY
from deliveries.models import CONFIG_SECRETS, Delivery, HeldHost, Outage, OwnQueue, State
from deliveries.words import Words
from sales import audit
from sales.templatetags.formats import age, number, percent

from . import day as tries
from .drawing import Chart, chart_of
from .kit import SEES_CONFIGS, SEES_POSTS, list_url

DAY, WEEK = timedelta(hours=24), timedelta(days=7)
FRESH_FOR = 15  # seconds that the counts of the last day's posts are kept
KEY = "deliveries.staff.posts"
FEW = 6  # rows of each list
LATE = timedelta(minutes=2)  # what is due for longer should be gone


@dataclass(frozen=True, slots=True)
class Tile:
    label: Words
    value: Words
    note: Words
    url: str = ""
    kind: str = ""  # ok, wait, bad or nothing


@dataclass(frozen=True, slots=True)
class HostLine:
    name: str
    url: str
    tally: tries.Tally
    bar: str  # its length, of a drawing 100 wide


@dataclass(frozen=True, slots=True)
class Noted:
    """An entry of the audit log: whose row, of what kind, and what happened to it."""

    entry: LogEntry
    what: Words
    who: str


@dataclass(frozen=True, slots=True)
class Board:
    """What a member of staff may see of it: the parts that they may not are None."""

    tiles: Sequence[Tile]
    chart: Chart
    slowest: Sequence[HostLine]
    failing: Sequence[HostLine]
    sending: HeldHost | None  # the hold of all of it
    held: Sequence[HeldHost]
    outage: Outage | None  # while we reach hardly any host
    together: Sequence[OwnQueue] | None  # of configurations whose servers fail, the longest first
    hosts_url: str
    disabled: Sequence[WebhookConfig] | None  # this week, the newest first
    more_disabled: int
    disabled_url: str
    noted: Sequence[Noted] | None
    audit_url: str


def board(user: Any, now: datetime | None = None) -> Board | None:
    """None for whoever may not see the posts."""
    if not user.has_perm(SEES_POSTS):
        return None
    now = now or timezone.now()
    day = tries.read(now)
    by_host = day.by_host()
    chart = chart_of(day, user)
    sees_configs = user.has_perm(SEES_CONFIGS)
    disabled = list(_disabled(now)[: FEW + 1]) if sees_configs else None
    audit_url = list_url(user, "auditlog_logentry")
    return Board(
        tiles=_tiles(user, now, chart.whole),
        chart=chart,
        slowest=_slowest(by_host, sees_configs),
        failing=_failing(by_host, sees_configs),
        sending=HeldHost.everything(),
        held=list(HeldHost.objects.exclude(host=EVERY).order_by("since", "pk")[:FEW]),
        outage=Outage.objects.on().first(),
        together=_together() if sees_configs else None,
        hosts_url=reverse("staff:hosts") if sees_configs else "",
        disabled=None if disabled is None else disabled[:FEW],
        more_disabled=len(disabled or ()) > FEW,
        disabled_url=list_url(
            user, "configurations_webhookconfig", state__exact=ConfigState.DISABLED, o="-state_changed_at"
        ),
        noted=_noted() if audit_url else None,
        audit_url=audit_url,
    )


# --- Tiles ----------------------------------------------------------------------------------------------


def _tiles(user: Any, now: datetime, whole: tries.Tally) -> list[Tile]:
    posts, alive, held = vitals.posts(), vitals.cluster(), vitals.held()
    waiting = [_held(user, held)] if held else [_oldest(user, posts, now), _queue(user, posts)]
    return [*_of_the_day(user, now, whole), *waiting, _workers(alive)]


def _of_the_day(user: Any, now: datetime, whole: tries.Tally) -> list[Tile]:
    since = (now - DAY).replace(microsecond=0).isoformat()
    posts = _posts_of_the_day(now)
    share = posts["delivered"] / posts["total"] if posts["total"] else None
    of_posts = ngettext(
        "%(delivered)s of %(n)s post of the last 24 hours",
        "%(delivered)s of %(n)s posts of the last 24 hours",
        posts["total"],
    )
    of_tries = ngettext(
        "%(accepted)s of %(n)s try of the last 24 hours",
        "%(accepted)s of %(n)s tries of the last 24 hours",
        whole.tries,
    )
    nothing = _("No posts in the last 24 hours")
    facts = {"delivered": number(posts["delivered"]), "n": number(posts["total"])}
    made = {"accepted": number(whole.accepted), "n": number(whole.tries)}
    return [
        Tile(
            _("Posts delivered"),
            percent(share) or "–",
            of_posts % facts if posts["total"] else nothing,
            list_url(user, "deliveries_delivery", created_at__gte=since),
            _grade(share),
        ),
        Tile(
            _("Tries accepted"),
            percent(whole.share) or "–",
            of_tries % made if whole.tries else _("Nothing was tried in the last 24 hours"),
            list_url(user, "deliveries_deliveryattempt", started_at__gte=since, delivered__exact=0),
            _grade(whole.share),
        ),
        Tile(
            _("Posts in the last hour"),
            number(posts["hour"]),
            _("On average %(n)s an hour over the last 24") % {"n": number(round(posts["total"] / 24))},
            list_url(
                user,
                "deliveries_delivery",
                created_at__gte=(now - timedelta(hours=1)).replace(microsecond=0).isoformat(),
            ),
        ),
    ]


def _grade(share: float | None) -> str:
    return "" if share is None else "ok" if share >= 0.98 else "wait" if share >= 0.9 else "bad"


def _posts_of_the_day(now: datetime) -> dict[str, int]:
    """By the time of the event. Counted anew every FRESH_FOR seconds: a busy day has many."""
    counted = cache.get(KEY)
    if counted is None:
        counted = Delivery.objects.filter(created_at__gte=now - DAY).aggregate(
            total=Count("pk"),
            delivered=Count("pk", filter=Q(state=State.DELIVERED)),
            hour=Count("pk", filter=Q(created_at__gte=now - timedelta(hours=1))),
        )
        cache.set(KEY, counted, FRESH_FOR)
    return counted


def _oldest(user: Any, posts: vitals.Posts, now: datetime) -> Tile:
    url = list_url(user, "deliveries_delivery", state__exact=State.WAITING)
    label = _("Oldest waiting post")
    if not posts.due:
        return Tile(label, "–", _("Nothing that is due waits"), url, "ok")
    if posts.due_since is None:
        return Tile(label, _("not known"), _("What is due was asked for again"), url)
    late = now - posts.due_since
    kind = "ok" if late < LATE else "wait" if late < 5 * LATE else "bad"
    return Tile(label, age(posts.due_since), _("So long it should have been tried"), url, kind)


def _held(user: Any, held: vitals.Hold) -> Tile:
    url = list_url(user, "deliveries_delivery", state__exact=State.WAITING)
    return Tile(_("Queue"), number(held.waiting), _("They wait until sending is released"), url, "bad")


def _queue(user: Any, posts: vitals.Posts) -> Tile:
    lost = ngettext(
        "%(n)s more was left behind by a dead worker",
        "%(n)s more were left behind by a dead worker",
        posts.lapsed,
    )
    note = lost % {"n": number(posts.lapsed)} if posts.lapsed else _("Posts that should be tried now")
    return Tile(
        _("Queue"),
        number(posts.due),
        note,
        list_url(user, "deliveries_delivery", state__exact=State.WAITING),
        "bad" if posts.lapsed else "",
    )


def _workers(alive: vitals.Cluster) -> Tile:
    label = _("Workers alive")
    if alive.workers is None:
        return Tile(label, _("not known"), _("The queue cannot be reached"), kind="bad")
    if not alive.workers:
        return Tile(label, "0", _("Nothing is posted until one is started"), kind="bad")
    clusters = ngettext("in %(n)s cluster", "in %(n)s clusters", alive.clusters)
    return Tile(label, number(alive.workers), clusters % {"n": number(alive.clusters)}, kind="ok")


# --- Lists ----------------------------------------------------------------------------------------------


def _slowest(by_host: dict[str, tries.Tally], linked: bool) -> list[HostLine]:
    rows = sorted(by_host.items(), key=lambda row: (-(row[1].p95_ms or 0), -(row[1].mean_ms or 0), row[0]))
    return _lines([(host, tally, tally.p95_ms or 0) for host, tally in rows[:FEW]], linked)


def _failing(by_host: dict[str, tries.Tally], linked: bool) -> list[HostLine]:
    rows = sorted(by_host.items(), key=lambda row: (-row[1].failed, row[0]))
    return _lines([(host, tally, tally.failed) for host, tally in rows[:FEW] if tally.failed], linked)


def _lines(rows: list[tuple[str, tries.Tally, int]], linked: bool) -> list[HostLine]:
    most = max((size for _host, _tally, size in rows), default=0) or 1
    return [
        HostLine(
            host,
            reverse("staff:host", args=[host]) if linked and host else "",
            tally,
            f"{max(100 * size / most, 1):.1f}",
        )
        for host, tally, size in rows
    ]


def _noted() -> list[Noted]:
    entries = LogEntry.objects.select_related("content_type").order_by("-timestamp", "-pk")[:FEW]
    return [Noted(entry, _what(entry), audit.actor_of(entry)) for entry in entries]


def _what(entry: LogEntry) -> Words:
    fact = audit.fact_of(entry)
    if fact or entry.action != LogEntry.Action.UPDATE:
        return fact or capfirst(entry.get_action_display())
    return ", ".join(change.label for change in audit.changes_of(entry)) or _("Changed")


def _together() -> list[OwnQueue]:
    queues = OwnQueue.objects.shut().filter(config__state=ConfigState.ON).select_related("config__owner")
    return list(queues.defer(*CONFIG_SECRETS).order_by("opened_at", "pk")[:FEW])


def _disabled(now: datetime) -> Any:
    configs = WebhookConfig.objects.filter(state=ConfigState.DISABLED, state_changed_at__gte=now - WEEK)
    return configs.select_related("owner").defer(*SECRETS).order_by("-state_changed_at", "-pk")
