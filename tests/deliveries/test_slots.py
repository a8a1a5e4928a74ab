"""How the slots of a drain are shared out: a pure account of what is under way."""

from dataclasses import dataclass

import pytest

from deliveries.slots import Answers, Kind, Slots


@dataclass
class Post:
    kind: Kind = Kind.FIRST
    config: int = 1
    place: tuple[int, str] = (1, "example.com")


@pytest.fixture(autouse=True)
def _twenty_slots(settings):
    settings.DELIVERY_SLOTS = 20
    settings.DELIVERY_SLOTS_OF_A_PLACE = 8
    settings.DELIVERY_RETRY_SHARE, settings.DELIVERY_BULK_SHARE, settings.DELIVERY_SLOW_SHARE = (
        0.5,
        0.25,
        0.25,
    )


def start(slots, kind=Kind.FIRST, *, most=100, of=None, first=0, heard=True):
    """How many posts of a kind may start, each of a configuration, an account and a host of its own unless `of` says."""
    for started in range(most):
        post = Post(kind, *(of or (first + started, (first + started, "example.com"))))
        if heard:
            slots.heard.add(post.config)
        if not slots.may_start(post, 4):
            return started
        slots.take(post)
    return most


def test_first_tries_may_use_all_slots():
    assert start(Slots(size=20)) == 20


def test_retries_may_use_half_of_them_and_first_tries_the_rest():
    slots = Slots(size=20)
    assert start(slots, Kind.RETRY) == 10
    assert slots.retries_are_full()
    assert start(slots, first=50) == 10
    assert slots.is_full()


def test_a_bulk_reprocess_takes_a_quarter_of_what_is_left_over_and_first_tries_do_not_wait_for_it():
    slots = Slots(size=20)
    assert start(slots, Kind.BULK) == 5
    assert start(slots) == 20
    assert start(Slots(size=4), Kind.BULK) == 4


def test_where_first_tries_take_all_a_bulk_reprocess_waits():
    slots = Slots(size=20)
    start(slots)
    assert start(slots, Kind.BULK) == 0


def test_slow_endpoints_have_a_quarter_beside_the_others():
    slots = Slots(size=20)
    one = (99, (99, "slow.example.com"))
    assert start(slots, Kind.SLOW, of=one) == 4
    assert start(slots) == 20
    assert slots.threads() == 24


def test_each_slow_endpoint_has_two_while_half_of_all_are_not_theirs():
    slots = Slots(size=20)
    started = [start(slots, Kind.SLOW, most=4, of=(n, (n, "slow.example.com"))) for n in range(8)]
    assert started == [4, 2, 2, 2, 0, 0, 0, 0]


def test_a_post_that_turns_out_to_be_slow_gives_its_slot_back():
    slots, post = Slots(size=1), Post()
    slots.take(post)
    assert slots.is_full()
    slots.now_slow(post)
    assert not slots.is_full()
    slots.free(post)
    assert not +slots.taken


def test_a_configuration_has_its_share_and_a_place_has_its_own():
    slots = Slots(size=20)
    place = (1, "hooks.zapier.com")
    assert start(slots, of=(1, place)) == 4
    assert start(slots, of=(2, place)) == 4
    assert start(slots, of=(3, place)) == 0  # eight of one account at one host
    assert start(slots, of=(4, (2, "hooks.zapier.com"))) == 4  # which is not another account's affair


@pytest.mark.parametrize("ahead", [0, 30])
@pytest.mark.parametrize("kind", [Kind.FIRST, Kind.RETRY])
def test_who_has_not_answered_yet_has_two_at_most(kind, ahead):
    slots = Slots(size=20, ahead=ahead)
    one = (1, (1, "example.com"))
    assert slots.share_of(1) == start(slots, kind, of=one, heard=False) == 2
    assert start(slots, kind, first=2) > 2  # they keep nobody else from it
    slots = Slots(size=20)
    start(slots, kind, of=one, heard=False)
    assert start(slots, kind, of=one) == 2  # once it has answered, the rest of its share
    assert slots.share_of(1) == 4


@pytest.mark.parametrize(
    ("answers", "slow"),
    [
        ([5, 5], False),  # too few to judge by
        ([5, 5, 5], True),
        ([0.2] * 10, False),
        ([0.6, 0.6, 0.6, 0.6], False),
        ([0.6, 0.6, 0.6, 0.6, 15], True),
        ([15, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.01], False),
        ([0.01, 15, 0.01], False),
    ],
)
def test_an_endpoint_is_slow_by_the_mean_of_its_answers(answers, slow):
    seen = Answers()
    assert [seen.note(1, seconds) for seconds in answers][-1] is slow


def test_of_quick_endpoints_nothing_is_kept():
    seen = Answers()
    for seconds in (0.01, 0.02, 0.3, *[0.01] * 9):
        seen.note(1, seconds)
    assert not seen.of


def test_while_posts_may_wait_ready_for_a_thread_nobodys_share_counts():
    slots = Slots(size=4, ahead=30)
    assert start(slots, of=(1, (1, "example.com"))) == 34


def test_slow_posts_have_their_share_all_the_same():
    assert start(Slots(size=4, ahead=30), Kind.SLOW, of=(1, (1, "example.com"))) == 4


def test_the_last_eighth_of_all_slots_is_for_those_who_have_none():
    slots = Slots(size=20)
    hanging = [start(slots, of=(n, (n, "example.com"))) for n in range(5)]
    assert hanging == [4, 4, 4, 4, 2]  # 17.5 of 20
    assert start(slots) == 0  # they are of the same configurations
    assert start(slots, of=(7, (7, "example.com"))) == 1


def test_while_all_wait_for_slow_answers_the_slots_double_up_to_the_most():
    slots, sizes = Slots(), []
    while slots.size < 20:
        start(slots)
        assert slots.grow(slow=slots.size // 2)
        sizes.append(slots.size)
    assert sizes == [8, 16, 20]
    start(slots)
    assert not slots.grow(slow=20)
    assert slots.size == 20


def test_they_do_not_grow_while_some_are_free_or_most_answers_are_fast():
    slots = Slots(size=8)
    start(slots, most=7)
    assert not slots.grow(slow=7)
    start(slots, first=20)
    assert not slots.grow(slow=3)
    assert slots.size == 8


def test_each_fast_answer_takes_one_away_down_to_the_fewest():
    slots = Slots(size=6)
    for _ in range(5):
        slots.shrink()
    assert slots.size == 4
