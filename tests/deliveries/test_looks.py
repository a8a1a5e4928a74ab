"""When a drain asks whether there is more for it: soon, but not without end for what cannot go."""

from deliveries.looks import AGAIN, SOON, Looks

NOW = 1000.0


def test_it_looks_for_what_is_new_as_often_as_is_set_and_no_more():
    looks = Looks()
    assert looks.is_due(NOW)
    assert not looks.is_due(NOW + SOON / 2)
    assert looks.is_due(NOW + SOON)


def test_one_look_in_vain_is_followed_by_another_soon():
    """Another worker was first, or it has come since: whoever looks away lets it wait."""
    looks = Looks()
    looks.claimed(NOW, in_vain=True, all_until=None)
    assert looks.is_due(NOW + SOON)


def test_after_two_in_vain_it_looks_away_for_a_while():
    looks = Looks()
    looks.claimed(NOW, in_vain=True, all_until=None)
    looks.claimed(NOW, in_vain=True, all_until=None)
    assert not looks.is_due(NOW + SOON)
    assert looks.is_due(NOW + AGAIN)


def test_what_was_claimed_between_two_in_vain_makes_them_none():
    looks = Looks()
    for in_vain in (True, False, True):
        looks.claimed(NOW, in_vain=in_vain, all_until=None)
    assert looks.is_due(NOW + SOON)


def test_after_a_claim_that_got_all_it_waits_for_more_but_no_longer_than_until_a_rate_permits_it():
    looks = Looks()
    looks.claimed(NOW, in_vain=False, all_until=NOW + 3600)
    assert looks.more_at == NOW + AGAIN
    looks.claimed(NOW, in_vain=False, all_until=NOW + AGAIN / 2)
    assert looks.more_at == NOW + AGAIN / 2


def test_after_one_that_got_as_many_as_it_may_there_is_more_at_once():
    looks = Looks()
    looks.claimed(NOW, in_vain=False, all_until=None)
    assert looks.more_at <= NOW


def test_it_looks_into_own_queues_now_and_then_and_at_once_when_one_of_theirs_has_ended():
    looks = Looks()
    looks.looked_apart(NOW, permitted_at=NOW + 3600)
    assert looks.apart_at == NOW + AGAIN
    looks.looked_apart(NOW, permitted_at=NOW + SOON)
    assert looks.apart_at == NOW + SOON
    looks.apart_has_room()
    assert looks.apart_at <= NOW
