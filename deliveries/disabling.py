"""When a configuration is at fault, so that nothing is sent in vain, and when it works again.

The rules stand in `verdict`, which knows no row: a run of failures condemns a configuration only by the span
between its first and its last try. Silence condemns nobody: where nothing is tried, nothing is sent in vain.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from django.db import connection, models, transaction
from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from configurations.models import SECRETS, Reason, WebhookConfig
from configurations.models import State as ConfigState

from . import breaker, mails, outage, standing, writing
from .held import EVERY
from .models import Delivery, DeliveryQuerySet, EndpointHealth, HeldHost, Problem
from .results import Result, storable

# How long a fault of the URL must last, with no other outcome in between.
GONE_LASTS = timedelta(minutes=1)  # 410
NEVER_WORKED = timedelta(seconds=50)
ONCE_WORKED = timedelta(hours=24)
# How long a server may accept nothing, and how often it must have been tried.
SERVER_LASTS = timedelta(days=5)
SERVER_TRIES = 10
PROBE_EVERY = timedelta(hours=1)

URL_FAULTS = {
    Problem.DNS: Reason.NO_SUCH_HOST,
    Problem.NOT_PERMITTED: Reason.NOT_PERMITTED,
    Problem.TLS_WRONG_HOST: Reason.WRONG_CERTIFICATE,
}

_NO_FAILURES = {
    "failures": 0,
    "first_failure_at": None,
    "fault": "",
    "fault_since": None,
    "run": 0,
    "run_sales": "",
}


# --- The rules: pure functions of what was seen -----------------------------------------------------------


def fault_of(status: int | None, problem: str) -> Reason | None:
    """What of the URL is at fault, judged by one failure; None if it is the server's, or passes by itself."""
    if status == 410:
        return Reason.GONE
    return URL_FAULTS.get(problem) if status is None else None


def note_success(health: EndpointHealth, at: datetime) -> None:
    if health.works_since is None:
        health.works_since = at
    health.last_success_at = at
    forget_failures(health)


def note_failure(health: EndpointHealth, at: datetime, status: int | None, problem: str, detail: str) -> None:
    if not health.failures:
        health.first_failure_at = at
    health.failures += 1
    health.last_failure_at, health.works_since = at, None
    health.last_status, health.last_problem, health.last_detail = status, problem, detail[:300]
    fault = fault_of(status, problem)
    if fault is None:
        health.fault, health.fault_since = "", None
        return
    if not health.fault or (fault == Reason.GONE) != (health.fault == Reason.GONE):
        health.fault_since = at
    health.fault = fault


def forget_failures(health: EndpointHealth) -> None:
    for name, value in _NO_FAILURES.items():
        setattr(health, name, value)


def verdict(health: EndpointHealth) -> Reason | None:
    """Why the configuration is to be disabled after its last try; None if it is not."""
    if not health.failures:
        return None
    if health.fault:
        if health.fault == Reason.GONE:
            enough = GONE_LASTS
        else:
            enough = ONCE_WORKED if health.last_success_at else NEVER_WORKED
        if health.last_failure_at - health.fault_since >= enough:
            return Reason(health.fault)
    if health.failures >= SERVER_TRIES and health.last_failure_at - health.first_failure_at >= SERVER_LASTS:
        return Reason.SERVER
    return None


# --- After a batch ----------------------------------------------------------------------------------------

# What is written after attempts; what the owner was told is not, since a mail may be on its way.
_NOTED = [
    "url",
    "last_success_at",
    "works_since",
    "failures",
    "first_failure_at",
    "last_failure_at",
    "last_status",
    "last_problem",
    "last_detail",
    "fault",
    "fault_since",
    "run",
    "run_sales",
]


def after_attempts(results: Iterable[Result]) -> None:
    """Note what came of these posts; disable whose run of failures is long enough, enable what works again.

    Call it in the transaction that records them. One select and one update, however many posts there are, and a
    few queries more for a configuration that is new here, or is disabled or enabled.
    """
    tried = [result for result in results if result.outcome.problem != Problem.OURS and not result.outage]
    if not tried:
        return
    with transaction.atomic():
        noted = _noted(tried, _locked({result.delivery.config_id for result in tried}))
        writing.update(EndpointHealth, _NOTED, [writing.values(health, _NOTED) for health in noted])
        for health in noted:
            _act_on(health)


def _locked(configs: Collection[int]) -> dict[int, EndpointHealth]:
    """{configuration's id: its health}, locked until the end of the transaction; made where there is none yet."""
    found = {health.config_id: health for health in _rows(configs)}
    if missing := configs - found.keys():
        # Another worker may be first: then its row counts.
        EndpointHealth.objects.bulk_create(
            [EndpointHealth(config_id=pk) for pk in missing], ignore_conflicts=True
        )
        found |= {health.config_id: health for health in _rows(missing)}
    return found


def _rows(configs: Collection[int]) -> models.QuerySet[EndpointHealth]:
    rows = EndpointHealth.objects.filter(config__in=configs).select_related("config")
    # To make Python's values of the rest of a configuration took longer than all else here.
    rows = rows.only("config", *_NOTED, "config__url", "config__state", "config__disabled_because")
    rows = rows.order_by("config")  # so that two workers never wait for each other
    if connection.features.has_select_for_update:  # else, on SQLite, the transaction locked them at its start
        rows = rows.select_for_update(of=("self",))
    return rows


def _noted(results: Iterable[Result], healths: dict[int, EndpointHealth]) -> list[EndpointHealth]:
    """The rows that were changed, not saved yet."""
    changed = {}
    for result in results:
        health = healths[result.delivery.config_id]
        if result.url != health.config.url:
            continue  # its owner has entered another since
        if health.url != result.url:
            health = healths[health.config_id] = _anew(health, result.url)
        changed[health.config_id] = health
        if result.delivered:
            note_success(health, result.at)
        else:
            outcome = result.outcome
            note_failure(health, result.at, outcome.status, outcome.problem or "", storable(outcome.detail))
            breaker.note_run(health, result)
    return list(changed.values())


def _anew(health: EndpointHealth, url: str) -> EndpointHealth:
    """What was seen at another URL says nothing about this one."""
    return EndpointHealth(config=health.config, url=url)


def _act_on(health: EndpointHealth) -> None:
    config = health.config
    if config.state == ConfigState.ON:
        if reason := verdict(health):
            _whole(config).disable(reason, health.last_detail or str(health.last_status or ""))
    elif config.state == ConfigState.DISABLED:
        if verdict(health) == Reason.GONE:  # a probe found it out
            EndpointHealth.objects.filter(pk=health.pk).update(next_probe_at=None)
        elif not health.failures and config.disabled_because != Reason.GONE:
            _enable(_whole(config))


def _whole(config: WebhookConfig) -> WebhookConfig:
    """With all that whoever hears of it may ask for, but its secrets: a key that is lost keeps nothing from being judged."""
    return WebhookConfig.objects.select_related("owner__user").defer(*SECRETS).get(pk=config.pk)


def _enable(config: WebhookConfig) -> None:
    """It works again: what is held goes out, but what helps nobody any more is for its owner to decide."""
    if config.enable_again():
        _without_stale(Delivery.objects.filter(config=config).held()).release()
        breaker.release(config)


def _without_stale(held: DeliveryQuerySet) -> DeliveryQuerySet:
    return held.filter(~Exists(Delivery.objects.filter(pk=OuterRef("pk")).stale(timezone.now())))


# --- When a configuration is disabled or enabled ------------------------------------------------------------


def config_disabled(config: WebhookConfig) -> None:
    """Its circuit is of no use any more.

    By us: the first probe is due in an hour, unless the server said that the address is gone. By its owner: no
    probe, and no mail about what the owner knows."""
    breaker.forget(config)
    if config.state == ConfigState.OFF:
        EndpointHealth.objects.filter(config=config).update(next_probe_at=None, told="")
        return
    gone = config.disabled_because == Reason.GONE
    EndpointHealth.objects.update_or_create(
        config=config, defaults={"next_probe_at": None if gone else Now() + _span(PROBE_EVERY)}
    )


def config_enabled(config: WebhookConfig) -> None:
    """It starts with a clean sheet: else its next failure would disable it at once."""
    EndpointHealth.objects.filter(config=config).update(next_probe_at=None, **_NO_FAILURES)


# --- Probes -------------------------------------------------------------------------------------------------


def a_probe_is_due() -> bool:
    """Whether `probes_due` would return any; moves nothing."""
    return standing.any_row(_with_probes) and _to_probe().exists()


def _with_probes() -> models.QuerySet[EndpointHealth]:
    return EndpointHealth.objects.filter(next_probe_at__isnull=False)


def probes_due() -> list[int]:
    """The ids of held posts to try now, one for each configuration: an approved first, the least tried first.

    The next probe is an hour away in the same step, so that no two workers get the same.
    """
    if not a_probe_is_due():  # so that an idle drain takes no write lock
        return []
    with transaction.atomic():
        due = _to_probe()
        if connection.features.has_select_for_update:
            due = due.select_for_update(skip_locked=True, of=("self",))
        best = _sendable_probes().order_by("priority", "attempts_made", "pk").values("pk")[:1]
        probes = dict(due.annotate(post=Subquery(best)).values_list("pk", "post"))
        EndpointHealth.objects.filter(pk__in=probes).update(next_probe_at=Now() + _span(PROBE_EVERY))
    return [post for post in probes.values() if post]


def _to_probe() -> models.QuerySet[EndpointHealth]:
    """Not where staff hold the host. A time further ahead than an hour is one from before the clock was set back."""
    its_time = Q(next_probe_at__lte=Now()) | Q(next_probe_at__gt=Now() + _span(PROBE_EVERY))
    due = EndpointHealth.objects.filter(
        its_time, Exists(_sendable_probes()), config__state=ConfigState.DISABLED
    )
    due = due.exclude(Exists(HeldHost.objects.filter(host=EVERY)))
    return due.exclude(config__host__in=HeldHost.objects.values("host"))


def _sendable_probes() -> DeliveryQuerySet:
    """Of the configuration of the outer query."""
    return _without_stale(Delivery.objects.filter(config=OuterRef("pk")).held())


def _span(length: timedelta) -> models.Value:
    return models.Value(length, models.DurationField())


# --- What time brings ---------------------------------------------------------------------------------------


def look() -> None:
    """Every minute: tell the owners what they should know by now."""
    outage.tell()
    if not outage.is_recent():
        mails.send_owed()
