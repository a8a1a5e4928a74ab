"""A line for each try of a post: what came of it, and the ids to find it by. LOG_POSTS=False turns them off."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings

from .models import Delivery
from .results import Result

logger = logging.getLogger(__name__)


def ids(delivery: Delivery) -> dict[str, object]:
    """Of a line about `delivery`, as `extra`."""
    return {
        "event": str(delivery.event_id),
        "delivery": delivery.pk,
        "webhook_id": delivery.webhook_id,
        "configuration": delivery.config_id,
    }


def say(recorded: Sequence[Result]) -> None:
    """`attempt` is the number of the try, counted over all sets: with the delivery it names the row."""
    if not settings.LOG_POSTS or not logger.isEnabledFor(logging.INFO):
        return
    for message, delivered in (("Post delivered.", True), ("Post not delivered.", False)):
        if each := [_about(result) for result in recorded if result.delivered == delivered]:
            logger.info(message, extra={"each": each})


def _about(result: Result) -> dict[str, object]:
    outcome, delivery = result.outcome, result.delivery
    return ids(delivery) | {
        "attempt": delivery.attempts_made,
        "outcome": "delivered" if result.delivered else outcome.problem or "refused_by_status",
        "host": delivery.config.host,
        "status": outcome.status,
        "ms": outcome.took // timedelta(milliseconds=1),
        "late": result.late or None,
    }
