"""A configuration is disabled when its URL or server is at fault, never by an evening's outage, and comes back."""

from datetime import UTC, datetime, timedelta

import pytest

from configurations.models import Reason
from deliveries import disabling
from deliveries.models import EndpointHealth, Problem

START = datetime(2026, 11, 24, 20, tzinfo=UTC)
SERVED = "served"  # in place of a problem: a 2xx


def seen(*tries: tuple[str, str | int]) -> EndpointHealth:
    """The health after tries at these times ("20 s", "5 min", "3 h", "2 d" after the start), each with its outcome."""
    units = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
    health = EndpointHealth()
    for after, outcome in tries:
        number, unit = after.split()
        at = START + timedelta(**{units[unit]: float(number)})
        if outcome == SERVED:
            disabling.note_success(health, at)
        elif isinstance(outcome, int):
            disabling.note_failure(health, at, outcome, "", "")
        else:
            disabling.note_failure(health, at, None, outcome, "")
    return health


def times(count: int, until: str, outcome: str | int, since: str = "0 h") -> list[tuple[str, str | int]]:
    """`count` tries, evenly from one time to the other; both in the same unit."""
    (first, unit), last = since.split(), float(until.split()[0])
    step = (last - float(first)) / (count - 1)
    return [(f"{float(first) + n * step} {unit}", outcome) for n in range(count)]


# --- the rules


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        # The URL never worked.
        ([("0 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("49 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("50 s", Problem.DNS)], Reason.NO_SUCH_HOST),
        ([("0 s", Problem.NOT_PERMITTED), ("50 s", Problem.NOT_PERMITTED)], Reason.NOT_PERMITTED),
        ([("0 s", Problem.TLS_WRONG_HOST), ("50 s", Problem.TLS_WRONG_HOST)], Reason.WRONG_CERTIFICATE),
        # Two kinds of the URL's fault are one run, named after what it ended with.
        ([("0 s", Problem.DNS), ("60 s", Problem.NOT_PERMITTED)], Reason.NOT_PERMITTED),
        # Any other outcome in between ends the run.
        ([("0 s", Problem.DNS), ("30 s", Problem.DNS_SILENT), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", 500), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", Problem.REFUSED), ("60 s", Problem.DNS)], None),
        ([("0 s", Problem.DNS), ("30 s", 410), ("60 s", Problem.DNS)], None),
        # What passes by itself is no fault of the URL.
        ([("0 s", Problem.DNS_SILENT), ("60 s", Problem.DNS_SILENT)], None),
        ([("0 s", Problem.TLS_EXPIRED), ("60 s", Problem.TLS_EXPIRED)], None),
        ([("0 s", Problem.TLS_UNTRUSTED), ("60 s", Problem.TLS_UNTRUSTED)], None),
        ([("0 s", 404), ("60 s", 404)], None),
        # It worked once.
        ([("0 h", SERVED), *times(5, "24.9 h", Problem.DNS, "1 h")], None),
        ([("0 h", SERVED), *times(5, "25 h", Problem.DNS, "1 h")], Reason.NO_SUCH_HOST),
        ([("0 h", SERVED), ("1 h", Problem.DNS), ("20 h", 503), ("26 h", Problem.DNS)], None),
        ([("0 h", SERVED), ("1 h", Problem.DNS), ("20 h", SERVED), ("26 h", Problem.DNS)], None),
        # Gone.
        ([("0 s", 410)], None),
        ([("0 s", 410), ("0 s", 410), ("59 s", 410)], None),
        ([("0 s", 410), ("60 s", 410)], Reason.GONE),
        ([("0 s", SERVED), ("1 s", 410), ("61 s", 410)], Reason.GONE),
        ([("0 s", 410), ("30 s", SERVED), ("60 s", 410)], None),
        ([("0 s", 410), ("30 s", 404), ("60 s", 410)], None),
        # The server.
        (times(200, "4.9 d", 500, "0 d"), None),
        (times(9, "6 d", 500, "0 d"), None),
        (times(10, "5 d", 500, "0 d"), Reason.SERVER),
        (times(10, "5 d", Problem.TIMEOUT, "0 d"), Reason.SERVER),
        (times(10, "5 d", 302, "0 d"), Reason.SERVER),
        ([*times(5, "1 d", 500, "0 d"), ("2 d", SERVED), *times(10, "6.9 d", 500, "2 d")], None),
        # Faults of the URL are also tries at a server that accepts nothing.
        ([*times(5, "2 d", Problem.DNS, "0 d"), ("3 d", 500), *times(5, "5 d", 404, "4 d")], Reason.SERVER),
        # An evening's outage after quiet weeks: what counts is how long it fails, not when it last worked.
        ([("0 d", SERVED), *times(50, "30.5 d", Problem.REFUSED, "30 d")], None),
        # And what ended with a success condemns nobody.
        ([("0 s", 410), ("60 s", 410), ("61 s", SERVED)], None),
        ([], None),
    ],
)
def test_the_rules(tries, expected):
    assert disabling.verdict(seen(*tries)) == expected
