"""What came of posts, kept whatever the database makes of it: a batch at once; one by one, where that is refused; and
what cannot be kept at present is owed.
"""

import logging
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import Case, F, When
from django.db.models.functions import Now

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig

from . import breaker, disabling, post_log, retries, writing
from .choices import FINISHED, Lane
from .models import Delivery, DeliveryAttempt, State
from .results import Result

logger = logging.getLogger(__name__)

# What recording writes; the claim ends with it.
_RECORDED = [
    "state",
    "tries",
    "attempts_made",
    "next_try_at",
    "claim_id",
    "lease_until",
    "finished_at",
    "body",
    "last_status",
    "last_problem",
    "answered_page",
    "state_before",
    "lane",
]

# Of this process, each batch with its claim. The next drain begins with them and claims nothing before: on a disk that
# is full a claim may find room where an outcome does not, and one post after the other would be sent again and again.
_owed: list[tuple[UUID, Sequence[Result]]] = []


def keep(claim_id: UUID, results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Record them; gives those that are recorded, in one part or several.

    Raises OperationalError or InterfaceError where the database is out of reach.
    """
    try:
        record(claim_id, results)
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError:
        logger.exception("A batch cannot be recorded: each is recorded by itself.")
        for result in results:
            _keep_alone(claim_id, result)
            yield [result]
    else:
        yield results


def owe(claim_id: UUID, results: Sequence[Result]) -> None:
    """To be kept by the next drain of this process."""
    logger.error("Nothing is claimed any more until these %s outcomes are recorded.", len(results))
    _owed.append((claim_id, results))


def keep_owed() -> Iterator[Sequence[Result]]:
    """As `keep`. Raises DatabaseError as long as that does not work."""
    while _owed:
        yield from keep(*_owed[0])
        del _owed[0]


def _keep_alone(claim_id: UUID, result: Result) -> None:
    """An answer that the database refuses must not have its post sent for ever: it is kept without its answer."""
    try:
        record(claim_id, [result])
    except DatabaseError:
        about = post_log.ids(result.delivery)
        logger.exception("The answer to %s cannot be stored.", result.delivery, extra=about)
        result.outcome = replace(result.outcome, headers=[], body=b"", detail="")
        record(claim_id, [result])


def record(claim_id: UUID, results: Sequence[Result]) -> None:
    """Keep the attempts, move the deliveries that still are ours, judge the configurations.

    Fills in each result's `next`, `late` and `at`, and its delivery as it stands now. A DatabaseError leaves
    nothing written, and the call may be repeated.
    """
    with transaction.atomic():
        writing.by_index()
        writing.commit_soon()
        rows = (
            Delivery.objects.these([result.delivery.pk for result in results])
            .select_for_update()
            .order_by("pk")
        )
        # Compared by the database: to make a UUID and a moment of Python's for each row costs more than all else.
        ours = Case(When(state=State.SENDING, claim_id=claim_id, then=1), default=0)
        facts = ("pk", "tries", "attempts_made", "state_before", "is_ours")
        present = {pk: rest for pk, *rest in rows.annotate(is_ours=ours).values_list(*facts)}
        configs = WebhookConfig.objects.filter(pk__in={r.delivery.config_id for r in results})
        as_they_are = {pk: rest for pk, *rest in configs.values_list("pk", "state", "url", Now())}
        now = next(iter(as_they_are.values()))[-1]
        # Read once their deliveries are locked: `privacy` erases with these same rows locked.
        redacted = set(
            Delivery.objects.these(present)
            .filter(event__redacted_at__isnull=False)
            .values_list("pk", flat=True)
        )
        urls = {pk: url for pk, (state, url, _now) in as_they_are.items() if state == ConfigState.ON}
        breaker.judge(results, urls, now)
        kept, late = [], []
        for result in results:
            delivery = result.delivery
            tries, attempts_made, before, is_ours = present[delivery.pk]
            # Of what a bulk reprocess sends for the first time, the tries are those of the set before.
            if result.behind:
                delivery.tries, delivery.state_before = tries, before
            else:
                delivery.tries = (0 if before else tries) + (not result.probe)
                delivery.state_before = ""
            delivery.attempts_made = attempts_made + 1
            result.late = not is_ours
            _conclude(result, now, as_they_are[delivery.config_id][0])
            if redacted and delivery.pk in redacted:
                _forget_the_buyer(result)
            (late if result.late else kept).append(result)
        writing.update(Delivery, _RECORDED, [writing.values(result.delivery, _RECORDED) for result in kept])
        if late:
            Delivery.objects.filter(pk__in=[r.delivery.pk for r in late]).update(
                attempts_made=F("attempts_made") + 1
            )
        attempts = [result.attempt() for result in results]
        writing.insert(DeliveryAttempt, list(attempts[0]), [list(row.values()) for row in attempts])
        _judge(results)


def _conclude(result: Result, now: datetime, config_state: str) -> None:
    """Write what became of it onto the instance."""
    delivery, outcome = result.delivery, result.outcome
    tries = max(delivery.tries, 1)  # a probe may be a post that was never tried
    result.at = now
    result.next = retries.after(outcome, result.url, tries, at=now, chance=random.random())  # noqa: S311
    if result.late:
        return
    waits_until = delivery.next_try_at
    delivery.claim_id = delivery.lease_until = delivery.next_try_at = delivery.finished_at = None
    delivery.last_status = outcome.status
    delivery.last_problem = outcome.problem or ""
    delivery.answered_page = result.answered_page()
    if result.delivered:
        delivery.state = State.DELIVERED
    elif config_state == ConfigState.REMOVED:
        delivery.state = State.DISCARDED
    elif result.probe:
        delivery.state = State.HELD
    elif result.behind:
        delivery.state = State.WAITING if config_state == ConfigState.ON else State.HELD
        delivery.next_try_at = waits_until
    elif result.next.wait is None:
        delivery.state = State.FAILED
    elif config_state == ConfigState.ON:
        delivery.state = State.WAITING
        delivery.next_try_at = now + result.next.wait
    else:
        delivery.state = State.HELD
    if delivery.state in FINISHED:
        delivery.finished_at = now
    if delivery.state != State.WAITING:
        delivery.lane, delivery.state_before = Lane.FRESH, ""
    elif result.apart:
        delivery.lane = Lane(delivery.lane).apart


def _forget_the_buyer(result: Result) -> None:
    """Its data were erased while the post was in flight: what came back may repeat them, and it is not tried again."""
    result.outcome = replace(result.outcome, headers=[], body=b"", detail="")
    delivery = result.delivery
    delivery.body = ""
    if not result.late and delivery.state in (State.WAITING, State.HELD):
        delivery.state, delivery.next_try_at, delivery.finished_at = State.DISCARDED, None, result.at
        delivery.lane = Lane.FRESH


def _judge(results: Sequence[Result]) -> None:
    """The outcomes are kept whatever becomes of this: a post that is not recorded would be sent again and again."""
    try:
        with transaction.atomic():
            disabling.after_attempts(list(results))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("The health of the configurations could not be judged.")
