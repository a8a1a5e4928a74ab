"""`deliver`, as cron runs it: a process of its own."""

from datetime import timedelta

import pytest
from django.utils import timezone

from configurations.models import WebhookConfig
from deliveries.models import Delivery, DeliveryAttempt, State
from tests import factories
from tests.commands import Running, manage
from tests.receiver import Answer, Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_queue")]


def states() -> list[str]:
    return sorted(Delivery.objects.values_list("state", flat=True))


def test_it_sends_what_is_due_and_says_what_became_of_it(sell_many, receiver):
    receiver.answers(200, 200, 500)
    sell_many(3)
    ran = manage("deliver")
    assert ran.code == 0
    assert len(receiver.posts) == 3
    assert ran.out.startswith("3 attempts in ")
    assert ran.out.endswith(" s: delivered 2, will be tried again 1, failed 0.\n")
    assert ran.err == ""


def test_with_json_it_counts_by_outcome(sell_many, receiver):
    receiver.answers(200, 500)
    sell_many(2)
    Delivery.objects.update(tries=4)  # the last try of both, since they arrive in any order
    ran = manage("deliver", "--json")
    facts = ran.json
    assert (ran.code, facts.pop("seconds") >= 0) == (0, True)
    assert facts == {
        "attempts": 2,
        "outcomes": {"delivered": 1, "again": 0, "failed": 1, "held": 0, "discarded": 0, "late": 0},
        "left": 0,
    }


def test_with_nothing_due_it_ends_at_once():
    ran = manage("deliver")
    assert (ran.code, ran.out.partition(" s:")[2]) == (0, " delivered 0, will be tried again 0, failed 0.\n")


def test_a_dry_run_says_how_many_to_which_hosts_and_sends_nothing(sell_many, receiver, product):
    other = factories.make_config(product.owner, url="https://hooks.example.com/a")
    sell_many(3)
    other.deliveries.filter(pk=other.deliveries.latest("pk").pk).update(state=State.FAILED)
    WebhookConfig.objects.update(state_changed_at=timezone.now() - timedelta(days=1))
    Delivery.objects.update(created_at=timezone.now() - timedelta(minutes=12))
    ran = manage("deliver", "--dry-run")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "5 posts are due, the oldest for 12 min:",
        "        3  127.0.0.1",
        "        2  hooks.example.com",
    ]
    facts = manage("deliver", "--dry-run", "--json").json
    assert facts["hosts"] == {"127.0.0.1": 3, "hooks.example.com": 2}
    assert (facts["due"], facts["oldest_due_seconds"] >= 720) == (5, True)
    assert receiver.posts == []
    assert not DeliveryAttempt.objects.exists()


def test_what_is_left_after_its_seconds_is_exit_code_1(sell_many, receiver):
    receiver.answers(Answer(200, delay=0.5))
    sell_many(60)
    ran = manage("deliver", "--seconds", "0.7", "--json")
    assert ran.code == 1
    assert ran.json["left"] > 0
    assert ran.json["attempts"] == ran.json["outcomes"]["delivered"] == len(receiver.posts)
    assert set(states()) == {State.DELIVERED, State.WAITING}, "what had not begun was given back"


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan"])
def test_seconds_that_are_none_are_refused(seconds):
    ran = manage("deliver", f"--seconds={seconds}")
    assert ran.code == 2
    assert "is no number of seconds above 0" in ran.err


def test_ctrl_c_ends_it_with_every_post_recorded_and_the_next_run_goes_on(sell_many, receiver):
    receiver.answers(Answer(200, delay=0.3))
    sell_many(40)
    with Running("deliver", "--json") as running:
        receiver.wait_for(3)
        running.press_ctrl_c()
        ran = running.ended()
    assert ran.code == 130
    assert ran.json["stopped"] is True
    assert ran.json["attempts"] == len(receiver.posts) == states().count(State.DELIVERED)
    assert ran.json["left"] == states().count(State.WAITING) > 0
    assert ran.err.startswith("Stopped. ")
    receiver.answers(200)
    assert manage("deliver").code == 0
    assert len(set(receiver.webhook_ids())) == len(receiver.posts) == 40


def test_two_at_once_send_nothing_twice(sell_many, receiver: Receiver):
    receiver.answers(Answer(200, delay=0.02))
    sell_many(150)
    with Running("deliver", "--json") as one, Running("deliver", "--json") as other:
        ran = [one.ended(), other.ended()]
    assert [each.code for each in ran] == [0, 0]
    assert sum(each.json["attempts"] for each in ran) == 150
    assert len(set(receiver.webhook_ids())) == len(receiver.posts) == 150


def test_verbosity_0_is_silent(sell_many, receiver):
    sell_many(2)
    ran = manage("deliver", "--verbosity", 0)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert len(receiver.posts) == 2
