"""When an endpoint's posts wait together, and how they go again: the rules, which know no row."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deliveries import circuit
from deliveries.choices import Problem
from deliveries.circuit import Circuit, Phase, Run, Says, Seen

NOW = datetime(2026, 11, 30, 15, tzinfo=UTC)
URL = "https://shop.example/hook"
SECOND = timedelta(seconds=1)


class ACircuit(Circuit):
    class Meta:
        app_label = "no_app"


@dataclass
class Answer:
    status: int | None = None
    problem: str | None = None
    headers: list[list[str]] = field(default_factory=list)


def seen(said: Says, after: float = 0, **facts) -> Seen:
    """`after` so many seconds."""
    return Seen(NOW + after * SECOND, URL, said, last_success=NOW - timedelta(hours=1), **facts)


def an_open_one() -> Circuit:
    one = ACircuit()
    one.open(seen(Says.FAILS))
    return one


def wait(one: Circuit, after: float = 0) -> float:
    return (one.probe_at - NOW).total_seconds() - after


# --- What one outcome says


@pytest.mark.parametrize(
    "status", [301, 302, 399, 401, 403, 404, 405, 408, 419, 425, 500, 502, 503, 520, 599]
)
def test_these_codes_are_failures_of_the_endpoint(status):
    assert circuit.says(Answer(status), URL, NOW) == Says.FAILS


@pytest.mark.parametrize("problem", sorted(set(Problem) - {Problem.OURS}))
def test_so_is_no_answer(problem):
    assert circuit.says(Answer(problem=problem), URL, NOW) == Says.FAILS


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422, 402, 406, 410, 103, 999])
def test_others_say_nothing_of_it(status):
    assert circuit.says(Answer(status), URL, NOW) == Says.NOTHING


def test_nor_does_a_post_that_we_could_not_make():
    assert circuit.says(Answer(problem=Problem.OURS), URL, NOW) == Says.NOTHING


@pytest.mark.parametrize("status", [200, 204, 299])
def test_a_2xx_says_that_it_works(status):
    assert circuit.says(Answer(status), URL, NOW) == Says.WORKS


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (429, [], Says.PAUSE),
        (429, [["Retry-After", "60"]], Says.PAUSE),
        (503, [["retry-after", "60"]], Says.PAUSE),
        (503, [["Retry-After", "Mon, 30 Nov 2026 15:10:00 GMT"]], Says.PAUSE),
        (503, [["Retry-After", "Mon, 30 Nov 2026 14:10:00 GMT"]], Says.FAILS),  # has passed
        (503, [["Retry-After", "soon"]], Says.FAILS),
        (500, [["Retry-After", "60"]], Says.FAILS),
    ],
)
def test_a_server_may_ask_for_a_pause(status, headers, said):
    assert circuit.says(Answer(status, headers=headers), URL, NOW) == said


# --- When it opens


def run_of(*tries: tuple[Says, str]) -> Run:
    run = Run()
    for said, sale in tries:
        run = run.after(said, sale)
    return run


def test_five_failures_in_a_row_of_three_sales_open_it():
    fails = [(Says.FAILS, sale) for sale in "AABBC"]
    assert run_of(*fails).is_enough
    assert not run_of(*fails[1:]).is_enough


def test_two_sales_do_not_however_often_they_fail():
    assert not run_of(*[(Says.FAILS, sale) for sale in "AB" * 20]).is_enough


def test_a_success_starts_the_count_anew():
    fails = [(Says.FAILS, sale) for sale in "ABCDE"]
    assert not run_of(*fails[:4], (Says.WORKS, "F"), *fails[:4]).is_enough


@given(st.lists(st.sampled_from([Says.NOTHING, Says.PAUSE])))
def test_what_says_nothing_of_the_endpoint_neither_opens_nor_closes(between):
    run = run_of(*[(Says.FAILS, sale) for sale in "ABCD"], *[(said, "X") for said in between])
    assert not run.is_enough
    assert run.after(Says.FAILS, "E").is_enough


@given(st.lists(st.tuples(st.sampled_from(list(Says)), st.sampled_from("ABCDEF"))))
def test_it_opens_exactly_where_the_last_failures_are_enough(tries):
    since = max((i + 1 for i, (said, _) in enumerate(tries) if said == Says.WORKS), default=0)
    fails = [sale for said, sale in tries[since:] if said == Says.FAILS]
    assert run_of(*tries).is_enough == (len(fails) >= 5 and len(set(fails)) >= 3)


# --- How long it is open


def test_each_wait_is_twice_as_long_up_to_a_minute():
    one, at, waits = an_open_one(), 0.0, []
    for _ in range(5):
        waits.append(wait(one, at))
        at += waits[-1]
        one.note(seen(Says.FAILS, at, probe=True))
    assert waits == [10, 20, 40, 60, 60]


@pytest.mark.parametrize(("hours", "longest"), [(5.9, 60), (6, 300), (23.9, 300), (24, 900), (99, 900)])
def test_the_longer_nothing_was_accepted_the_longer_the_waits(hours, longest):
    one = an_open_one()
    for _ in range(12):
        one.note(Seen(NOW, URL, Says.FAILS, probe=True, last_success=NOW - timedelta(hours=hours)))
    assert wait(one) == longest


def test_where_nothing_was_ever_accepted_it_counts_since_it_opened():
    one = ACircuit()
    for day in (0, 1):
        at = NOW + timedelta(days=day)
        for _ in range(12):
            one.note(Seen(at, URL, Says.FAILS, probe=True)) if one.is_open else one.open(
                Seen(at, URL, Says.FAILS)
            )
        assert one.probe_at - at == timedelta(minutes=15 if day else 1)


@given(st.floats(0, 1))
def test_the_waits_are_spread_by_a_fifth(chance):
    one = ACircuit()
    one.open(seen(Says.FAILS, chance=chance))
    assert 8 <= wait(one) <= 12


@pytest.mark.parametrize("said", [Says.FAILS, Says.NOTHING])
def test_what_was_in_flight_when_it_opened_changes_nothing(said):
    one = an_open_one()
    before = vars(one).copy()
    assert one.note(seen(said, 3)) is False
    assert vars(one) == before


def test_a_probe_that_the_server_did_not_like_as_such_neither_closes_nor_keeps_the_next_from_going():
    one = an_open_one()
    one.note(seen(Says.NOTHING, 10, probe=True))
    assert one.is_open
    assert wait(one) == 30


def test_of_another_url_nothing_is_known():
    one = an_open_one()
    for _ in range(5):
        one.note(seen(Says.FAILS, probe=True))
    one.open(Seen(NOW, "https://shop.example/other", Says.FAILS))
    assert wait(one) == 10


# --- How it closes


@pytest.mark.parametrize("probe", [True, False])
def test_the_first_success_makes_all_due(probe):
    one = an_open_one()
    assert one.note(seen(Says.WORKS, 10, probe=probe)) is True
    assert one.circuit == Phase.RELEASING
    assert one.probe_at is None


def test_it_is_released_slowly_and_then_faster_and_in_the_end_at_will():
    one = an_open_one()
    assert one.rate_of_release(NOW) == 0
    one.note(seen(Says.WORKS))
    assert [one.rate_of_release(NOW + after * SECOND) for after in (0, 4.9, 5, 10, 30)] == [5, 5, 10, 20, 320]
    assert one.rate_of_release(NOW + 35 * SECOND) is None


def test_a_failure_halves_the_rate():
    one = an_open_one()
    one.note(seen(Says.WORKS))
    one.note(seen(Says.FAILS, 10))
    assert one.rate_of_release(NOW + 10 * SECOND) == 10
    assert one.rate_of_release(NOW + 15 * SECOND) == 20


def test_two_in_a_row_open_it_again_for_longer_and_it_is_made_due_once_only():
    one = an_open_one()
    one.note(seen(Says.WORKS, 10, probe=True))
    one.note(seen(Says.FAILS, 11))
    one.note(seen(Says.WORKS, 12))
    one.note(seen(Says.FAILS, 13))
    assert one.is_releasing
    one.note(seen(Says.FAILS, 14))
    assert one.is_open
    assert wait(one, 14) == 20
    assert one.opened_at == NOW
    assert one.note(seen(Says.WORKS, 34, probe=True)) is False
    assert one.is_releasing


# --- What a server asks for


def paused(asked: float = 120, **facts) -> Circuit:
    one = ACircuit()
    one.note(seen(Says.PAUSE, status=429, asked=asked * SECOND, **facts))
    return one


def test_it_is_left_alone_as_long_as_it_asks():
    one = paused()
    assert one.is_open
    assert one.probe_at == one.paused_until == NOW + 120 * SECOND
    assert one.paused_by == 429


def test_but_no_longer_than_two_hours():
    assert paused(86400).probe_at == NOW + timedelta(hours=2)


def test_where_it_names_no_time_the_waits_are_those_of_a_failure():
    one = paused(0)
    assert wait(one) == 10
    one.note(seen(Says.PAUSE, 10, status=429, probe=True))
    assert wait(one, 10) == 20


def test_what_was_in_flight_neither_ends_the_pause_nor_lengthens_it():
    one = paused()
    assert one.note(seen(Says.WORKS, 5)) is False
    one.note(seen(Says.PAUSE, 5, status=429, asked=120 * SECOND))
    assert one.is_open
    assert wait(one) == 120


def test_a_probe_that_somebody_asks_for_ends_it():
    assert paused().note(seen(Says.WORKS, 5, probe=True)) is True


def test_a_probe_may_be_answered_with_another_pause():
    one = paused()
    one.note(seen(Says.PAUSE, 120, status=503, asked=300 * SECOND, probe=True))
    assert one.paused_until == NOW + 420 * SECOND


def test_while_it_is_released_it_may_ask_for_another():
    one = an_open_one()
    one.note(seen(Says.WORKS, 10))
    one.note(seen(Says.PAUSE, 12, status=429, asked=60 * SECOND))
    assert (one.circuit, wait(one)) == (Phase.OPEN, 72)


# --- Whatever happens


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Says)),
            st.booleans(),
            st.floats(0, 100),
            st.sampled_from([0, 7, 90000]),
            st.floats(0, 1),
        ),
        min_size=1,
    )
)
def test_an_open_one_has_a_next_probe_within_its_bounds_and_a_released_one_a_rate(tries):
    one, after = an_open_one(), 0.0
    for said, probe, passes, asked, chance in tries:
        after += passes
        one.note(seen(said, after, probe=probe, asked=asked * SECOND, chance=chance))
        at = NOW + after * SECOND
        if one.is_open:
            assert one.probe_at - at <= timedelta(hours=2)
            assert one.rate_of_release(at) == 0
            assert one.release_rate is None
        else:
            assert one.probe_at is None
            assert one.paused_until is None
            assert one.rate_of_release(at) is None or one.rate_of_release(at) >= circuit.SLOWEST
        if said == Says.WORKS and probe:
            assert one.is_releasing
