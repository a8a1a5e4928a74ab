"""A wrong setting is said at the start, and not by the first post."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

SENT_LATER = timedelta(days=30)  # what backfill looks back


@register("deliveries")
def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:
    return [*_times(), *_authorities(), *_lists(), *_retention()]


def _times() -> Iterator[CheckMessage]:
    lease, deadline = settings.DELIVERY_LEASE.total_seconds(), settings.DELIVERY_DEADLINE
    slowest_job = settings.DELIVERY_DRAIN_BUDGET + 2 * deadline
    if lease * 8 / 9 <= deadline:  # the ninth is engine.MARGIN
        yield Error(
            f"DELIVERY_LEASE is {lease:g} s, and a post may take DELIVERY_DEADLINE, {deadline:g} s: no post could begin.",
            hint=f"Set DELIVERY_LEASE to {deadline * 3:g} or more.",
            id="deliveries.E001",
        )
    if settings.Q_CLUSTER["timeout"] <= slowest_job:
        yield Error(
            f"DELIVERY_DEADLINE is {deadline:g} s: a job could take {slowest_job:g} s and would be cut off after "
            f"{settings.Q_CLUSTER['timeout']} s.",
            hint="Lower DELIVERY_DEADLINE.",
            id="deliveries.E002",
        )
    if slowest_job >= settings.WATCHDOG_LIMIT:
        yield Warning(
            f"WATCHDOG_LIMIT is {settings.WATCHDOG_LIMIT:g} s, and a job may take {slowest_job:g} s: the watchdog may "
            "end a cluster that is only busy.",
            hint=f"Set WATCHDOG_LIMIT above {slowest_job:g}.",
            id="deliveries.W001",
        )


def _authorities() -> Iterator[CheckMessage]:
    if not settings.DELIVERY_CA_FILE:
        return
    try:
        ssl.create_default_context().load_verify_locations(settings.DELIVERY_CA_FILE)
    except (OSError, ssl.SSLError) as error:
        yield Error(
            f"DELIVERY_CA_FILE, {settings.DELIVERY_CA_FILE}, cannot be read as certificates: {error}.",
            hint="Give the path of a PEM file that the worker may read, or leave it empty.",
            id="deliveries.E003",
        )


def _lists() -> Iterator[CheckMessage]:
    if any(wait.total_seconds() <= 0 for wait in settings.DELIVERY_RETRY_AFTER):
        yield Error(
            "DELIVERY_RETRY_AFTER holds a wait that is not above zero.",
            hint="Write seconds, with commas between: 15,300,3600,43200.",
            id="deliveries.E004",
        )
    if not any(0 < port < 65536 for port in settings.DELIVERY_ALLOWED_PORTS):
        yield Error(
            "DELIVERY_ALLOWED_PORTS names no port: nothing could be posted.",
            hint="Write port numbers, with commas between: 80,443.",
            id="deliveries.E005",
        )


def _retention() -> Iterator[CheckMessage]:
    days = settings.HISTORY_RETENTION_DAYS
    if days < 0:
        yield Error(
            f"HISTORY_RETENTION_DAYS is {days}.",
            hint="Write a number of days, or 0 to keep the History for ever.",
            id="deliveries.E006",
        )
    elif 0 < days < SENT_LATER.days:
        yield Warning(
            f"HISTORY_RETENTION_DAYS is {days}, and a new configuration can be sent the events of the last "
            f"{SENT_LATER.days} days: the older ones of these are deleted by then.",
            hint=f"Set it to {SENT_LATER.days} or more.",
            id="deliveries.W002",
        )
