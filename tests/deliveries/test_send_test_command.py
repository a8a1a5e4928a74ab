"""`send_test`, as an operator runs it: a process of its own."""

import json

import pytest

from configurations.models import Token, Version
from deliveries import hosts, testing
from deliveries.models import Delivery, SamplePost
from tests import factories
from tests.commands import Running, manage
from tests.receiver import Answer

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_sends_the_test_of_the_page_and_says_what_came_of_it(config, receiver):
    ran = manage("send_test", config.pk)
    assert (ran.code, ran.err) == (0, "")
    [post] = receiver.posts
    assert json.loads(post.body)["data"]["purchase"]["transaction"] == "HP0000000000"
    assert post.headers["webhook-signature"].startswith("v1,")
    assert post.headers["x-hotmart-hottok"] == Token.of(config.owner).value
    lines = ran.out.splitlines()
    assert lines[0].startswith("Delivered: 200 in ")
    assert lines[1:] == ["Received.", "It answered: ok"]
    kept = SamplePost.objects.get()
    assert (kept.delivered, kept.status, kept.config) == (True, 200, config)
    assert not Delivery.objects.exists()


def test_what_is_not_delivered_is_exit_code_1_with_who_can_do_what(config, receiver):
    receiver.answers(Answer(419, b"Page expired \x1b[2J"))
    ran = manage("send_test", config.pk)
    assert ran.code == 1
    assert ran.out.startswith("Not delivered: 419 in ")
    assert "Laravel's CSRF check refused the post." in ran.out
    assert "Who can fix it: your programmer. How: Exempt this route" in ran.out
    assert "It answered: Page expired ␛[2J" in ran.out, "it does not act on the terminal"


def test_no_answer_is_said_in_words(config, receiver):
    receiver.answers(Answer(close=True))
    ran = manage("send_test", config.pk, "--json")
    assert ran.code == 1
    assert (ran.json["status"], ran.json["problem"]) == (None, "reset")
    assert ran.json["phases"]["wait_ms"] is not None
    assert ran.json["phases"]["tls_ms"] is ran.json["phases"]["answer_ms"] is None
    assert ran.json["diagnosis"]["what_to_do"]


def test_with_json_all_is_there_and_no_key(config, receiver):
    receiver.answers(Answer(201, b"thanks", {"X-Id": "7"}))
    ran = manage("send_test", config.pk, "--event", "purchase_refunded", "--json")
    facts = ran.json
    assert (ran.code, facts["delivered"], facts["status"]) == (0, True, 201)
    assert facts["config"] == {"id": config.pk, "name": config.name, "owner": config.owner.code}
    assert facts["event"] == "PURCHASE_REFUNDED"
    assert facts["response"]["body"] == "thanks"
    assert ["X-Id", "7"] in facts["response"]["headers"]
    assert json.loads(facts["request"]["body"])["event"] == "PURCHASE_REFUNDED"
    assert Token.of(config.owner).value not in ran.out
    assert config.secret not in ran.out


def test_a_dry_run_shows_what_would_be_posted_with_no_key_and_writes_nothing(config, receiver):
    config.token_in_body = True
    config.version = Version.V1
    config.save()
    ran = manage("send_test", config.pk, "--dry-run")
    assert ran.code == 0
    assert f"This would be posted to {receiver.url}:" in ran.out
    assert "X-HOTMART-HOTTOK: ••••" in ran.out
    assert "webhook-signature: v1,••••" in ran.out
    assert "HP0000000000" in ran.out
    assert ran.out.endswith("Nothing was sent.\n")
    assert receiver.posts == []
    assert not SamplePost.objects.exists()
    assert not Token.objects.exists(), "who has no token yet gets none by looking"
    assert manage("send_test", config.pk, "--dry-run", "--json").json["request"]["headers"]


def test_verbosity_2_shows_headers_and_bodies(config, receiver):
    ran = manage("send_test", config.pk, "-v2")
    assert "webhook-id: msg_" in ran.out
    assert '"transaction": "HP0000000000"' in ran.out
    assert "Content-Length: 2" in ran.out
    assert Token.of(config.owner).value not in ran.out


class TestWhichConfiguration:
    def test_by_its_url(self, config, receiver):
        assert manage("send_test", config.url).code == 0
        assert len(receiver.posts) == 1

    @pytest.mark.parametrize("who", ["email", "code"])
    def test_by_its_name_and_owner(self, config, receiver, who):
        factories.make_config(name=config.name)
        assert manage("send_test", config.name, "--owner", getattr(config.owner, who)).code == 0
        assert len(receiver.posts) == 1

    def test_a_name_that_several_have_lists_their_ids(self, config, receiver):
        other = factories.make_config(name=config.name)
        ran = manage("send_test", config.name, "--json")
        assert ran.code == 2
        lines = ran.json["error"].splitlines()
        assert lines[0] == f"Several configurations are called “{config.name}”. Name one by its id:"
        assert [line.split()[0] for line in lines[1:]] == [str(config.pk), str(other.pk)]
        assert receiver.posts == []

    def test_an_unknown_one_lists_those_of_the_owner(self, config):
        ran = manage("send_test", "Nothing", "--owner", config.owner.email)
        assert ran.code == 2
        assert "No configuration has the id, name or URL “Nothing”. These are the owner's:" in ran.err
        assert config.url in ran.err

    def test_an_unknown_owner_is_said_so(self, config):
        ran = manage("send_test", config.name, "--owner", "nobody@example.com")
        assert ran.code == 2
        assert "“nobody@example.com” has no configuration." in ran.err

    def test_one_that_was_removed_is_refused(self, config, receiver):
        config.remove()
        ran = manage("send_test", config.pk)
        assert ran.code == 2
        assert "This configuration was removed" in ran.err
        assert receiver.posts == []


def test_an_event_that_is_not_sent_in_its_version_lists_those_that_are(config):
    config.version = Version.V1
    config.save()
    possible = testing.events_for(config)
    ran = manage("send_test", config.pk, "--event", "SALE_MADE", "--json")
    assert ran.code == 2
    assert "“SALE_MADE” is not sent to this configuration (version 1.0.0)" in ran.json["error"]
    assert all(event in ran.json["error"] for event in possible)


def test_a_host_that_staff_hold_gets_no_test(config, receiver):
    hosts.hold(config.host, "Its hosting moves", factories.make_staff())
    ran = manage("send_test", config.pk, "--json")
    assert ran.code == 2
    assert "We pause posts to 127.0.0.1: Its hosting moves." in ran.json["error"]
    assert receiver.posts == []


def test_more_than_the_page_allows_are_refused(config, receiver):
    for _ in range(testing.MOST):
        testing.make(config, testing.events_for(config)[0]).save()
    ran = manage("send_test", config.pk)
    assert ran.code == 2
    assert "within a minute" in ran.err
    assert receiver.posts == []


def test_ctrl_c_while_it_waits_says_that_it_may_have_arrived(config, receiver):
    receiver.answers(Answer(200, delay=10))
    with Running("send_test", config.pk) as running:
        receiver.wait_for(1)
        running.press_ctrl_c()
        ran = running.ended()
    assert (ran.code, ran.out) == (130, "")
    assert ran.err == "Stopped. If it was under way, the test may have arrived.\n"


def test_verbosity_0_leaves_the_exit_code_alone(config, receiver):
    receiver.answers(500)
    ran = manage("send_test", config.pk, "-v0")
    assert (ran.code, ran.out, ran.err) == (1, "", "")
