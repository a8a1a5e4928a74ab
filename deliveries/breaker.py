"""Open the circuit of an endpoint that fails as a whole, try it now and then, release its posts once it works.

The rules are those of `circuit`; an open one is a row of OwnQueue, beside which its posts wait. Nothing is written, and
one small query made, while all is well: the run of failures stands in EndpointHealth, which is written anyway.
"""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import DatabaseError, models, transaction
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Now

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from . import apart, circuit, outage, retries
from .choices import State
from .circuit import Phase, Run, Says, Seen
from .held import EVERY
from .models import CONFIG_SECRETS, Delivery, EndpointHealth, HeldHost, OwnQueue
from .own_queue import OwnQueueQuerySet
from .results import Result

logger = logging.getLogger(__name__)

HEADS = 100  # waiting posts that the next probe is chosen from: the least tried of the most urgent
MARGIN = timedelta(seconds=5)  # after the deadline of a probe of which nothing is heard


# --- After posts, before they are recorded --------------------------------------------------------------------


def judge(results: Sequence[Result], urls: Mapping[int, str], at: datetime) -> None:
    """Note what these tell of their endpoints, and mark as `behind` those whose failure uses up no try.

    `urls`: {configuration: the present one}, of those that are on. Call it in the transaction that records them.
    Whatever goes wrong here is logged and undone: then every failure uses up a try.
    """
    try:
        with transaction.atomic():
            outage.note(results, at)
            _note([result for result in results if not result.outage], urls, at)
    except DatabaseError:
        raise
    except Exception:
        for result in results:
            result.behind = result.trial
        logger.exception("The circuits of the configurations could not be judged.")


@dataclass(slots=True)
class _Endpoint:
    """One configuration's, while the posts of a batch are gone through."""

    queue: OwnQueue | None  # None while its circuit is closed and none stands
    run: Run
    last_success: datetime | None
    changed: bool = False
    opened: bool = False
    all_due: bool = False


def _note(results: Sequence[Result], urls: Mapping[int, str], at: datetime) -> None:
    said = [(result, circuit.says(result.outcome, result.url, at)) for result in results]
    for result, says in said:
        result.behind = result.trial and says != Says.WORKS
    configs = {result.delivery.config_id for result in results}
    # Without a lock, which those that are well do not need.
    wanted = set(
        OwnQueue.objects.filter(pk__in=configs).exclude(circuit=Phase.CLOSED).values_list("pk", flat=True)
    )
    wanted |= {result.delivery.config_id for result, says in said if says in (Says.FAILS, Says.PAUSE)}
    wanted &= urls.keys()
    if not wanted:
        return
    endpoints = _endpoints(wanted, urls)
    for result, says in said:
        endpoint = endpoints.get(result.delivery.config_id)
        if endpoint is None or result.url != urls[result.delivery.config_id]:
            continue
        if endpoint.queue is not None and endpoint.queue.is_open:
            result.behind = says != Says.WORKS
        _note_one(endpoint, result, says, at)
    for result in results:
        endpoint = endpoints.get(result.delivery.config_id)
        if endpoint is not None and endpoint.queue is not None:
            result.apart, result.shut = True, endpoint.queue.is_open
    _save(endpoints)


def _note_one(endpoint: _Endpoint, result: Result, says: Says, at: datetime) -> None:
    asked = retries.retry_after(result.outcome.headers, at) if says == Says.PAUSE else timedelta(0)
    seen = Seen(
        at,
        result.url,
        says,
        probe=result.trial,
        status=result.outcome.status,
        asked=asked,
        last_success=endpoint.last_success,
        chance=random.random(),  # noqa: S311
    )
    endpoint.run = endpoint.run.after(says, _sale_of(result))
    if says == Says.WORKS:
        endpoint.last_success = at
    queue = endpoint.queue
    if queue is None or not queue.circuit:
        if says != Says.PAUSE and not (says == Says.FAILS and endpoint.run.is_enough):
            return
        queue = endpoint.queue = queue or OwnQueue(config_id=result.delivery.config_id)
        if says == Says.PAUSE:
            queue.note(seen)
        else:
            queue.open(seen)
        endpoint.opened = True
        endpoint.changed = True
        return
    before = _columns(queue)
    endpoint.all_due |= queue.note(seen)
    if queue.is_releasing and queue.rate_of_release(at) is None:
        queue.forget()
    endpoint.changed |= _columns(queue) != before


def _columns(queue: OwnQueue) -> list[object]:
    return [getattr(queue, name) for name in circuit.COLUMNS]


def note_run(health: EndpointHealth, result: Result) -> None:
    """The failure `result` of its endpoint, in the row that `disabling` writes anyway."""
    says = circuit.says(result.outcome, result.url, result.at)
    run = run_of(health.run, health.run_sales).after(says, _sale_of(result))
    health.run, health.run_sales = run.failures, "\n".join(run.sales)


def run_of(failures: int, sales: str) -> Run:
    return Run(failures, tuple(sales.splitlines()))


def _sale_of(result: Result) -> str:
    """What the post is about; carts and subscriptions have no code, and each of their events is one."""
    return result.delivery.event.transaction_code or str(result.delivery.event_id)


def _endpoints(wanted: set[int], urls: Mapping[int, str]) -> dict[int, _Endpoint]:
    """Their own queues are locked until the end of the transaction."""
    queues = {row.pk: row for row in OwnQueue.objects.filter(pk__in=wanted).order_by("pk").locked()}
    healths = EndpointHealth.objects.filter(pk__in=wanted)
    facts = {
        pk: rest for pk, *rest in healths.values_list("pk", "url", "run", "run_sales", "last_success_at")
    }
    found = {}
    for pk in wanted:
        url, failures, sales, last_success = facts.get(pk, ("", 0, "", None))
        if url not in ("", urls[pk]):  # what was seen at another URL says nothing about this one
            failures, sales, last_success = 0, "", None
        found[pk] = _Endpoint(queues.get(pk), run_of(failures, sales), last_success)
    return found


def _save(endpoints: Mapping[int, _Endpoint]) -> None:
    changed = [endpoint.queue for endpoint in endpoints.values() if endpoint.queue and endpoint.changed]
    _write(changed)
    for pk, endpoint in endpoints.items():
        if endpoint.opened:
            _move_aside(pk)
        if endpoint.all_due:
            _make_due(pk)


def _write(queues: Sequence[OwnQueue]) -> None:
    if queues:
        OwnQueue.objects.bulk_create(
            queues, update_conflicts=True, unique_fields=["config"], update_fields=circuit.COLUMNS
        )


def _move_aside(config: int) -> None:
    """What waits by its own schedule, for the probes to be chosen from; what is due, the claim meets and moves."""
    waiting = Delivery.objects.filter(
        config=config, state=State.WAITING, next_try_at__isnull=False
    ).in_front()
    pks = waiting.unlocked().values_list("pk", flat=True)[: apart.BATCH]
    while apart.move_aside(pks.all()) == apart.BATCH:
        pass


def _make_due(config: int) -> None:
    """What waits by its own schedule waits no more; a batch in each statement, and nothing that another has locked."""
    waiting = Delivery.objects.filter(config=config, state=State.WAITING, next_try_at__isnull=False).apart()
    while pks := list(waiting.unlocked().values_list("pk", flat=True)[: apart.BATCH]):
        Delivery.objects.filter(pk__in=pks, state=State.WAITING).update(next_try_at=None)


# --- Probes -------------------------------------------------------------------------------------------------


def a_probe_is_due() -> bool:
    """Whether `probes_due` would return any; moves nothing."""
    return apart.there_are_any() and _to_probe().exists()


def probes_due() -> list[int]:
    """The ids of waiting posts to try now, one for each open circuit: approved first, another one each time.

    The next probe is as far away, in the same step, as the answer to this one may take, so that no two workers make
    the same.
    """
    if not a_probe_is_due():  # so that an idle drain takes no write lock
        return []
    with transaction.atomic():
        due = list(_to_probe().select_related("config").defer(*CONFIG_SECRETS).unlocked())
        again = Now() + Value(timedelta(seconds=settings.DELIVERY_DEADLINE) + MARGIN, models.DurationField())
        OwnQueue.objects.filter(pk__in=[queue.pk for queue in due]).update(probe_at=again, asked_post=None)
        for queue in due:
            if queue.circuit_url != queue.config.url:  # its owner has entered another: its waits begin anew
                OwnQueue.objects.filter(pk=queue.pk).update(circuit_url=queue.config.url, probes=0)
    return [pk for queue in due if (pk := _probe_of(queue))]


def _to_probe() -> OwnQueueQuerySet:
    """A time that is further ahead than any wait is from before the clock was set back."""
    longest = settings.DELIVERY_RETRY_AFTER_CAP + 2 * circuit.LONG_AGO[0][1]
    its_time = Q(probe_at__lte=Now()) | Q(probe_at__gt=Now() + Value(longest, models.DurationField()))
    another_url = ~Q(circuit_url=F("config__url"))
    waiting = Delivery.objects.filter(config=OuterRef("pk"), state=State.WAITING)
    something = Exists(waiting.apart().in_turn()) | Q(asked_post__isnull=False)
    due = OwnQueue.objects.filter(its_time | another_url, something, circuit=Phase.OPEN)
    due = due.exclude(Exists(HeldHost.objects.filter(host=EVERY)))
    return due.filter(config__state=ConfigState.ON).exclude(config__host__in=HeldHost.objects.values("host"))


def _probe_of(queue: OwnQueue) -> int | None:
    waiting = Delivery.objects.filter(config=queue.pk, state=State.WAITING).in_turn()
    if queue.asked_post and waiting.filter(pk=queue.asked_post).exists():
        return queue.asked_post
    heads = waiting.apart().most_urgent_first().values_list("lane", "priority", "attempts_made", "pk")[:HEADS]
    return min(heads, default=(None,))[-1]


# --- When a configuration is disabled, enabled, switched off ------------------------------------------------


def forget(config: WebhookConfig) -> None:
    """Nothing is known of its endpoint any more, as of a new one."""
    queue = OwnQueue(pk=config.pk)
    if OwnQueue.objects.filter(pk=config.pk).exclude(circuit=Phase.CLOSED).exists():
        _write([queue])


def release(config: WebhookConfig) -> None:
    """What waits for it goes slowly at first: it was away for long."""
    now = WebhookConfig.objects.filter(pk=config.pk).values_list(Now(), flat=True).get()
    queue = OwnQueue(pk=config.pk)
    queue.release(now, config.url)
    _write([queue])


def settle() -> None:
    """Close those that were released so long ago that nothing holds them back any more."""
    over = Now() - Value(circuit.DOUBLES_EVERY * circuit.MOST_DOUBLINGS, models.DurationField())
    for config in WebhookConfig.objects.filter(
        own_queue__circuit=Phase.RELEASING, own_queue__release_rate_at__lt=over
    ).only("pk"):
        forget(config)
