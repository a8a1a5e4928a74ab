"""When a post is tried again: a table of cases, and what holds for any header."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliveries import retries

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
URL = "https://example.com/hook"
SCHEDULE = [timedelta(seconds=15), timedelta(minutes=5), timedelta(hours=1), timedelta(hours=12)]


@dataclass
class Answer:
    status: int | None
    headers: list[list[str]] = field(default_factory=list)


def after(status, tries=1, *, headers=(), url=URL, chance=0.5):
    answer = Answer(status, [list(header) for header in headers])
    return retries.after(answer, url, tries, at=NOW, chance=chance)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205, 299])
def test_any_2xx_is_delivered(status):
    assert after(status) == retries.Next(delivered=True)


@pytest.mark.parametrize(
    "status", [None, 103, 199, 300, 301, 302, 304, 308, 400, 401, 404, 410, 429, 500, 503, 999]
)
def test_anything_else_is_tried_again(status):
    assert after(status) == retries.Next(delivered=False, wait=SCHEDULE[0])


@pytest.mark.parametrize("tries", [1, 2, 3, 4])
def test_the_waits_are_those_of_the_schedule(tries):
    assert after(500, tries).wait == SCHEDULE[tries - 1]


def test_after_five_tries_it_has_failed():
    assert after(500, 5) == retries.Next(delivered=False, wait=None)


def test_the_fifth_try_may_still_deliver():
    assert after(200, 5).delivered


@pytest.mark.parametrize(("chance", "share"), [(0, 0.9), (0.5, 1), (1, 1.1)])
def test_waits_are_spread_by_a_tenth(chance, share):
    assert after(500, 2, chance=chance).wait == SCHEDULE[1] * share


def test_the_schedule_is_a_setting(settings):
    settings.DELIVERY_RETRY_AFTER = [timedelta(seconds=1)]
    assert after(500, 1).wait == timedelta(seconds=1)
    assert after(500, 2).wait is None


# --- the Apps Script exception

OUTPUT = "https://script.googleusercontent.com/macros/echo?user_content_key=x"
SCRIPT = "https://script.google.com/macros/s/x/exec"


def test_the_redirect_of_an_apps_script_is_delivered():
    assert after(302, url=SCRIPT, headers=[("Location", OUTPUT)]).delivered


@pytest.mark.parametrize(
    ("status", "url", "headers"),
    [
        (302, URL, [("Location", OUTPUT)]),  # from elsewhere
        (302, SCRIPT, [("Location", "https://accounts.google.com/login")]),  # a script that is not published
        (302, SCRIPT, []),
        (301, SCRIPT, [("Location", OUTPUT)]),
        (302, "https://script.google.com.example.com/", [("Location", OUTPUT)]),
        (302, SCRIPT, [("Location", "https://script.googleusercontent.com.example.com/")]),
        (302, SCRIPT, [("Location", "https://[half")]),
    ],
)
def test_no_other_redirect_is(status, url, headers):
    assert not after(status, url=url, headers=headers).delivered


# --- Retry-After


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("60", timedelta(seconds=60)),
        (" 60 ", timedelta(seconds=60)),
        (format_datetime(NOW + timedelta(minutes=10), usegmt=True), timedelta(minutes=10)),
        ("Mon, 02 Mar 2026 12:10:00 -0000", timedelta(minutes=10)),
        # never sooner than the schedule
        ("5", SCHEDULE[0]),
        ("0", SCHEDULE[0]),
        (format_datetime(NOW - timedelta(minutes=10), usegmt=True), SCHEDULE[0]),
        # never later than two hours
        ("86400", timedelta(hours=2)),
        ("9" * 5000, timedelta(hours=2)),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), timedelta(hours=2)),
        # nonsense
        ("-1", SCHEDULE[0]),
        ("1e9", SCHEDULE[0]),
        ("abc", SCHEDULE[0]),
        ("", SCHEDULE[0]),
        ("٦٠", SCHEDULE[0]),
        ("Mon, 99 Mar 2026 12:10:00 GMT", SCHEDULE[0]),
    ],
)
def test_a_retry_after_lengthens_the_wait(status, value, wait):
    assert after(status, headers=[("retry-after", value)]).wait == wait


def test_of_two_the_longer_one_that_makes_sense_counts():
    headers = [("Retry-After", "120"), ("Retry-After", "soon"), ("Retry-After", "60")]
    assert after(503, headers=headers).wait == timedelta(minutes=2)


@pytest.mark.parametrize("status", [500, 404, 301, None])
def test_other_answers_do_not_set_the_time(status):
    assert after(status, headers=[("Retry-After", "3600")]).wait == SCHEDULE[0]


def test_a_retry_after_shorter_than_the_schedule_changes_nothing():
    assert after(503, 4, headers=[("Retry-After", "7200")]).wait == SCHEDULE[3]


def test_a_retry_after_adds_no_sixth_try():
    assert after(429, 5, headers=[("Retry-After", "1")]).wait is None


dates = st.datetimes(timezones=st.just(UTC)).map(lambda at: format_datetime(at, usegmt=True))


@given(
    status=st.sampled_from([429, 503]),
    tries=st.integers(1, 4),
    values=st.lists(st.one_of(st.text(), st.integers().map(str), st.floats().map(str), dates), max_size=3),
    chance=st.floats(0, 1),
)
def test_whatever_the_header_holds_the_wait_lies_between_schedule_and_cap(status, tries, values, chance):
    wait = after(status, tries, headers=[("Retry-After", value) for value in values], chance=chance).wait
    assert wait is not None
    scheduled = SCHEDULE[tries - 1]
    assert scheduled * 0.9 <= wait <= max(scheduled * 1.1, timedelta(hours=2))
    assert wait <= retries.longest_wait()
