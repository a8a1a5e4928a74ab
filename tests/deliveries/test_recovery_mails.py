"""Who was told of trouble is told once that it is over, and how many posts were delivered."""

import pytest
from django.utils import timezone

from configurations.models import Reason
from configurations.models import State as ConfigState
from deliveries import disabling, engine
from deliveries.models import Delivery, EndpointHealth
from tests import factories

from .test_mails import look_after, subjects

pytestmark = pytest.mark.django_db


def test_after_a_warning_the_owner_hears_that_it_works_again(receiver, config, sell, clock, mailoutbox):
    receiver.answers(500)
    for _ in range(29):
        sell()
    engine.drain()
    look_after(clock, minutes=16)
    receiver.answers(200)
    look_after(clock, hours=2)
    assert subjects(mailoutbox)[1:] == [f"“{config.name}” works again: 29 posts delivered"]
    assert "29 posts that had waited were delivered." in mailoutbox[1].body

    sell()
    look_after(clock, minutes=10)
    assert len(mailoutbox) == 2


def test_without_a_warning_there_is_no_word_of_the_recovery(receiver, config, sell, clock, mailoutbox):
    receiver.answers(500, 200)
    sell()
    engine.drain()
    look_after(clock, minutes=5)
    assert mailoutbox == []


def test_while_older_posts_wait_for_their_next_try_it_is_told_after_five_minutes(
    receiver, config, sell, clock, mailoutbox
):
    receiver.answers(500)
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    look_after(clock, minutes=6)  # the next try is an hour away
    receiver.answers(200)
    sell()
    look_after(clock, seconds=0)
    assert len(mailoutbox) == 1
    look_after(clock, minutes=6)
    assert subjects(mailoutbox)[1:] == [f"“{config.name}” works again"]
    assert "1 more is still on its way." in mailoutbox[1].body


def test_what_has_failed_for_good_is_offered_to_be_sent_again(receiver, config, sell, clock, mailoutbox):
    receiver.answers(500)
    sell()
    for hours in (0, 1, 1, 2, 14):
        look_after(clock, hours=hours)
    receiver.answers(200)
    sell()
    look_after(clock, minutes=0)
    look_after(clock, minutes=6)
    assert "1 post has used up its tries. Send it again here:" in mailoutbox[1].body
    assert f"/tools/webhook/history/?config={config.pk}&status=failed" in mailoutbox[1].body


def test_when_a_probe_enables_it_its_owner_hears_how_many_were_delivered(
    receiver, config, sell, product, clock, mailoutbox
):
    config.disable(Reason.SERVER)
    disabling.look()
    for _ in range(7):
        sell()
    factories.make_cart(product)
    look_after(clock, hours=25)
    config.refresh_from_db()
    assert config.state == ConfigState.ON
    assert subjects(mailoutbox)[1:] == [f"“{config.name}” works again: 7 posts delivered"]
    assert "1 post is still held" in mailoutbox[1].body


def test_its_owner_hears_of_the_recovery_once_all_that_was_held_is_through(
    receiver, config, sell, clock, mailoutbox
):
    config.disable(Reason.SERVER)
    disabling.look()
    for _ in range(3):
        sell()
    clock.forward(hours=1)
    engine.drain(stop=lambda: receiver.posts)  # the probe and no more
    disabling.look()
    assert sorted(config.deliveries.values_list("state", flat=True)) == ["delivered", "waiting", "waiting"]
    assert len(mailoutbox) == 1

    look_after(clock, seconds=30)
    assert subjects(mailoutbox)[1:] == [f"“{config.name}” works again: 3 posts delivered"]


def test_while_newer_posts_fail_it_does_not_work_again(receiver, config, sell, clock, mailoutbox, caplog):
    receiver.answers(500)
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    receiver.answers(200)
    look_after(clock, seconds=1)
    clock.forward(minutes=6)
    engine.drain()
    assert config.deliveries.get().state == "delivered"

    receiver.answers(500)
    sell()
    look_after(clock, seconds=0)
    look_after(clock, minutes=6)
    assert len(mailoutbox) == 1
    assert "cannot be written" not in caplog.text


def test_without_a_success_it_does_not_work_again(receiver, config, sell, clock, mailoutbox):
    receiver.answers(500, 200)
    one = sell()
    engine.drain()
    sell()
    engine.drain()
    EndpointHealth.objects.filter(config=config).update(works_since=timezone.now())
    clock.forward(minutes=16)
    disabling.look()
    Delivery.objects.filter(pk=one.pk).discard()
    clock.forward(minutes=6)
    disabling.look()
    assert subjects(mailoutbox) == [f"1 buyer paid and has no access yet: “{config.name}”"]


def test_who_switched_it_off_hears_of_no_recovery(receiver, config, sell, clock, mailoutbox):
    receiver.answers(500)
    sell()
    engine.drain()
    look_after(clock, minutes=16)
    config.switch_off()
    config.enable()
    receiver.answers(200)
    config.deliveries.release()
    look_after(clock, minutes=1)
    assert config.deliveries.get().state == "delivered"
    assert len(mailoutbox) == 1
