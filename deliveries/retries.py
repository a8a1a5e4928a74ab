"""When to try again, and when to give up: a pure function of what came of the post."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol
from urllib.parse import urlsplit

from django.conf import settings

SOFT_REFUSALS = (429, 503)  # the statuses whose Retry-After is heard


class Facts(Protocol):
    """What is asked of a `transport.Outcome`."""

    @property
    def status(self) -> int | None: ...

    @property
    def headers(self) -> Iterable[Iterable[str]]: ...


@dataclass(frozen=True, slots=True)
class Next:
    """What becomes of the delivery: delivered; else tried again after `wait`; else, with no wait, failed."""

    delivered: bool
    wait: timedelta | None = None


def after(outcome: Facts, url: str, tries: int, *, at: datetime, chance: float) -> Next:
    """What follows from the outcome of a post to `url` that was number `tries` of its set, from 1.

    `at` is the present time, aware; `chance`, from 0 to 1, spreads the waits over ± DELIVERY_RETRY_JITTER.
    A Retry-After lengthens a wait, and never shortens it.
    """
    if accepted(outcome, url):
        return Next(delivered=True)
    if tries > len(settings.DELIVERY_RETRY_AFTER):
        return Next(delivered=False)
    jitter = settings.DELIVERY_RETRY_JITTER
    wait = settings.DELIVERY_RETRY_AFTER[tries - 1] * (1 + jitter * (2 * chance - 1))
    if outcome.status in SOFT_REFUSALS:
        wait = max(wait, min(retry_after(outcome.headers, at), settings.DELIVERY_RETRY_AFTER_CAP))
    return Next(delivered=False, wait=wait)


def accepted(outcome: Facts, url: str) -> bool:
    """A 2xx, whatever followed it; or the redirect by which a published Apps Script says that it has run."""
    return (outcome.status is not None and 200 <= outcome.status < 300) or apps_script_ran(outcome, url)


def apps_script_ran(outcome: Facts, url: str) -> bool:
    """script.google.com runs the script first and then sends to its output on script.googleusercontent.com."""
    return (
        outcome.status == 302
        and _host(url) == "script.google.com"
        and any(_host(place) == "script.googleusercontent.com" for place in _values(outcome, "location"))
    )


def retry_after(headers: Iterable[Iterable[str]], at: datetime) -> timedelta:
    """The longest wait that the Retry-After headers ask for, in seconds or as a date; zero if none makes sense."""
    waits = [_wait(value.strip(), at) for name, value in headers if name.lower() == "retry-after"]
    return max(waits, default=timedelta(0))


def longest_wait() -> timedelta:
    """No next try is further ahead than this, unless the clock was set back since."""
    waits = [*settings.DELIVERY_RETRY_AFTER, settings.DELIVERY_RETRY_AFTER_CAP]
    return max(waits) * (1 + settings.DELIVERY_RETRY_JITTER)


def _wait(value: str, at: datetime) -> timedelta:
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value[:9]))  # nine digits are 31 years: far above the cap
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return timedelta(0)
    if until.tzinfo is None:  # "-0000": a time of no known zone, which HTTP means as UTC
        until = until.replace(tzinfo=UTC)
    return max(until - at, timedelta(0))


def _values(outcome: Facts, wanted: str) -> list[str]:
    return [value for name, value in outcome.headers if name.lower() == wanted]


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
