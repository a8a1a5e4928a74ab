"""Send a test: what is posted, what its owner sees, and what it leaves untouched."""

import json
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import unquote_plus

import pytest
from django.core import mail
from django.urls import reverse
from django.utils import timezone

from configurations.events import BY_STATUS, EventType
from configurations.models import Reason, Version, WebhookConfig
from configurations.models import State as ConfigState
from deliveries import contract, engine, mails, tasks, testing
from deliveries.contract import signing
from deliveries.figures import figures_of, health_of
from deliveries.models import Audience, Delivery, DeliveryAttempt, EndpointHealth, Event, SamplePost, State
from deliveries.testing import Stage
from tests import factories
from tests.receiver import Answer


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


@pytest.fixture(autouse=True)
def fresh_transport():
    yield
    engine.forget_transport()


@pytest.fixture
def jobs(monkeypatch):
    """What would be in the queue: tests are sent when the test says so, as by a worker."""
    queued: list[tuple] = []
    monkeypatch.setattr(testing, "async_task", lambda job, pk, broker: queued.append((job, pk)))
    return queued


@pytest.fixture
def config(producer, receiver, jobs):
    return factories.make_config(producer, url=receiver.url)


def press(client, config, event=EventType.APPROVED):
    """The button: the test that it made."""
    answer = client.post(reverse("deliveries:test", args=[config.pk]), {"event": event})
    assert answer.status_code == 302, answer.content.decode()
    post = SamplePost.objects.newest_first()[0]
    assert answer.url == post.get_absolute_url()
    return post


def sent(client, config, event=EventType.APPROVED):
    post = press(client, config, event)
    tasks.send_test(post.pk)
    post.refresh_from_db()
    return post


def page_of(client, post):
    answer = client.get(post.get_absolute_url())
    assert answer.status_code == 200
    return answer.content.decode()


def put(config, **columns):
    type(config).objects.filter(pk=config.pk).update(**columns)
    config.refresh_from_db()


@pytest.mark.parametrize("event", EventType)
@pytest.mark.parametrize("version", Version)
def test_every_event_that_is_offered_arrives_signed_and_marked(
    client, config, receiver, producer, version, event
):
    put(config, version=version)
    assert (event in testing.events_for(config)) == contract.sends(version, event, Audience.PRODUCER)
    if event not in testing.events_for(config):
        pytest.skip("Its version has no post of this event.")
    assert sent(client, config, event).delivered
    [post] = receiver.wait_for(1)
    body = unquote_plus(post.body.decode())
    assert event in body or version == Version.V1
    assert "test@example.com" in body
    assert contract.TOKEN_PLACEHOLDER not in post.body
    if event in ANNOUNCED:
        assert "HP0000000000" in body
    assert post.headers["content-type"] == contract.content_type(version, event)
    stamp = int(post.headers["webhook-timestamp"])
    signature = signing.sign(config.secret, post.headers["webhook-id"], stamp, post.body)
    assert post.headers["webhook-signature"] == signature
    assert post.headers["x-hotmart-hottok"] == producer.token.value


ANNOUNCED = {event.type for event in BY_STATUS.values()}


def test_the_seller_and_the_product_of_the_configuration_stand_in_it(client, config, product, receiver):
    put(config, product=product)
    sent(client, config)
    body = json.loads(receiver.wait_for(1)[0].body)
    assert body["data"]["product"]["id"] == product.code
    assert body["data"]["product"]["name"] == product.name
    assert body["data"]["producer"]["name"] == product.owner.name


def test_the_configuration_of_an_affiliate_gets_the_affiliates_copy(client, config, receiver):
    theirs = factories.make_product(name="Somebody else's course")
    put(config, product=theirs)
    post = sent(client, config)
    assert post.audience == Audience.AFFILIATE
    body = json.loads(receiver.wait_for(1)[0].body)
    assert body["data"]["buyer"] == {}
    assert body["data"]["affiliates"][0]["name"] == config.owner.name
    assert "affiliate&#x27;s copy" in page_of(client, post) or "affiliate's copy" in page_of(client, post)


def test_who_only_sells_for_others_gets_the_affiliates_copy_too(config, producer):
    assert testing.audience_of(config) == Audience.PRODUCER
    factories.make_sale(factories.make_product(), affiliate=producer)
    assert testing.audience_of(config) == Audience.AFFILIATE
    factories.make_product(producer)
    assert testing.audience_of(config) == Audience.PRODUCER


def test_the_page_shows_request_status_time_and_answer(client, config, receiver, producer):
    receiver.answers(Answer(200, b"thanks, got it", {"X-Server": "members"}))
    post = sent(client, config)
    assert post.delivered
    assert post.duration_ms is not None
    page = page_of(client, post)
    for text in (
        "Test",
        "Delivered",
        "200",
        "thanks, got it",
        "X-Server: members",
        "webhook-signature",
        "HP0000000000",
    ):
        assert text in page
    assert producer.token.value not in page
    assert "hx-get" not in page  # there is nothing to wait for any more


def test_a_404_is_said_in_the_words_of_the_history(client, config, receiver):
    receiver.answers(Answer(404, b"no such page"))
    page = page_of(client, sent(client, config))
    assert "(404)" in page
    assert "Who can fix it:" in page
    assert "no such page" in page
    assert "Edit the configuration" in page


def test_nobody_listens(client, config, receiver):
    put(config, url="http://127.0.0.1:9/hook")
    post = sent(client, config)
    assert (post.status, post.problem) == (None, "refused")
    assert "Nothing listens on 127.0.0.1:9" in page_of(client, post)


def test_a_forbidden_address_is_not_connected_to(client, config, settings):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    post = sent(client, config)
    assert post.problem == "not_permitted"
    assert "private or reserved" in page_of(client, post)


def test_a_web_page_for_an_answer_is_no_clean_delivery(client, config, receiver):
    receiver.answers(Answer(200, b"<!doctype html><title>Log in</title>", {"Content-Type": "text/html"}))
    post = sent(client, config)
    assert post.answered_page
    put(config, state=ConfigState.DISABLED)
    assert "Enable" not in page_of(client, post)


def test_a_post_is_sent_once_however_often_the_job_runs(client, config, receiver):
    receiver.answers(500)
    post = sent(client, config)
    first = post.finished_at
    tasks.send_test(post.pk)
    tasks.send_test(post.pk)
    engine.drain()
    post.refresh_from_db()
    assert post.finished_at == first
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("state", [ConfigState.OFF, ConfigState.DISABLED])
def test_a_configuration_that_is_not_on_can_be_tested_and_then_enabled(
    client, config, product, receiver, state
):
    put(config, state=ConfigState.DISABLED, disabled_because=Reason.NO_SUCH_HOST)
    factories.make_sales(product, 2)
    put(config, state=state)
    post = sent(client, config)
    assert len(receiver.posts) == 1
    config.refresh_from_db()
    assert config.state == state
    assert Delivery.objects.held().count() == 2
    page = page_of(client, post)
    assert "Enable and send 2" in page
    assert reverse("deliveries:enable", args=[config.pk]) in page


def test_a_failed_test_does_not_offer_to_enable(client, config, receiver):
    put(config, state=ConfigState.DISABLED)
    receiver.answers(500)
    assert "Enable" not in page_of(client, sent(client, config))


def test_a_removed_configuration_is_not_tested_but_its_tests_stay_to_be_seen(client, config, receiver):
    post = press(client, config)
    config.remove()
    assert client.get(reverse("deliveries:test", args=[config.pk])).status_code == 404
    tasks.send_test(post.pk)
    assert receiver.posts == []
    assert "Send it again" not in page_of(client, post)


def test_nothing_that_counts_sees_a_test(client, config, product, receiver, producer):
    """Strip, figures, chart, History, mails, health, disabling and probes: none of them moves."""
    factories.make_sale(product)
    engine.drain()

    def seen():
        return {
            "strip": health_of(producer.user, NOW),
            "row": vars_of(figures_of([config], NOW)[config.pk]),
            "history": texts(client),
            "health": list(EndpointHealth.objects.values()),
            "rows": [model.objects.count() for model in (Event, Delivery, DeliveryAttempt)],
            "mails": [*mails._owed(), len(mail.outbox)],
            "state": (config.state, config.disabled_because),
        }

    NOW = timezone.now() + timedelta(minutes=20)
    before = seen()
    for answer in (200, 410, 404, 500):
        receiver.answers(answer)
        sent(client, config)
    engine.drain()
    mails.send_owed()
    config.refresh_from_db()
    assert SamplePost.objects.count() == 4
    assert seen() == before


def vars_of(figures):
    return {
        name: getattr(figures, name)
        for name in ("posts", "delivered", "held", "failing", "failures", "last_success_at", "bars")
    }


def texts(client):
    answer = client.get(reverse("deliveries:history"))
    rows = answer.context["rows"]
    return [row.post.pk for row in rows], answer.context["count"], answer.context["chart"].totals


def test_a_test_leaves_what_is_held_and_waits_as_it_is(client, config, product):
    put(config, state=ConfigState.DISABLED)
    factories.make_sale(product)
    sent(client, config)
    assert Delivery.objects.get().state == State.HELD


def test_ten_tests_a_minute_are_enough(client, config, receiver):
    for _ in range(testing.MOST):
        press(client, config)
    answer = client.post(reverse("deliveries:test", args=[config.pk]), {"event": EventType.APPROVED})
    assert answer.status_code == 422
    assert "within a minute" in answer.content.decode()
    SamplePost.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    press(client, config)


def test_an_event_that_does_not_exist_is_not_sent(client, config):
    answer = client.post(reverse("deliveries:test", args=[config.pk]), {"event": "PURCHASE_DREAMT"})
    assert answer.status_code == 422
    assert not SamplePost.objects.exists()


def test_the_first_event_that_it_asks_for_is_chosen(client, config):
    put(config, events=[str(EventType.CHARGEBACK), str(EventType.REFUNDED)])
    page = client.get(reverse("deliveries:test", args=[config.pk]))
    assert page.context["chosen"] == EventType.REFUNDED  # the form's order
    page = client.get(reverse("deliveries:test", args=[config.pk]), {"event": EventType.EXPIRED})
    assert page.context["chosen"] == EventType.EXPIRED


def test_a_queue_out_of_reach_is_said_at_once(client, config, monkeypatch):
    def away(*_args, **_options):
        raise ConnectionError("no route to the queue")

    monkeypatch.setattr(testing, "async_task", away)
    answer = client.post(reverse("deliveries:test", args=[config.pk]), {"event": EventType.APPROVED})
    assert answer.status_code == 422
    assert "Try again in a minute" in answer.content.decode()
    assert not SamplePost.objects.exists()


def test_the_job_is_one_that_the_worker_knows(client, config, jobs):
    post = press(client, config)
    assert jobs == [("deliveries.tasks.send_test", post.pk)]


STAGES = [
    (0, None, Stage.WAITING, "On its way"),
    (6, None, Stage.SLOW, "busy or not running"),
    (6, 6, Stage.SENDING, "Sending"),
    (301, None, Stage.EXPIRED, "Not sent"),
    (60, 59, Stage.LOST, "Cut off"),
]


@pytest.mark.parametrize(("asked", "taken", "stage", "text"), STAGES)
def test_the_page_says_how_far_it_is(client, config, asked, taken, stage, text):
    post, now = press(client, config), timezone.now()
    SamplePost.objects.update(
        created_at=now - timedelta(seconds=asked),
        taken_at=None if taken is None else now - timedelta(seconds=taken),
    )
    post.refresh_from_db()
    assert testing.stage_of(post) == stage
    page = page_of(client, post)
    assert text in page
    assert ("hx-get" in page) == (stage in (Stage.WAITING, Stage.SLOW, Stage.SENDING))


def test_the_poll_answers_only_when_something_is_new(client, config, receiver):
    post = press(client, config)
    part = reverse("deliveries:test_part", args=[post.pk])
    assert client.get(part, {"stage": "waiting"}).status_code == 204
    tasks.send_test(post.pk)
    answer = client.get(part, {"stage": "waiting"})
    assert answer.status_code == 200
    assert "hx-get" not in answer.content.decode()


def test_what_nobody_waits_for_any_more_is_not_sent(client, config, receiver):
    post = press(client, config)
    SamplePost.objects.update(created_at=timezone.now() - testing.EXPIRES)
    tasks.send_test(post.pk)
    assert receiver.posts == []


def test_what_a_key_cannot_be_read_for_is_our_fault(client, config, receiver, settings):
    post = press(client, config)
    type(config).objects.filter(pk=config.pk).update(url=config.url)
    with unreadable(config):
        tasks.send_test(post.pk)
    post.refresh_from_db()
    assert (post.problem, receiver.posts) == ("ours", [])
    assert page_of(client, post)


@contextmanager
def unreadable(config):
    """Its secret as a lost key would have left it."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE configurations_webhookconfig SET secret = 'nonsense' WHERE id = %s", [config.pk]
        )
    yield


def test_old_tests_are_deleted(client, config):
    press(client, config)
    kept = press(client, config)
    SamplePost.objects.exclude(pk=kept.pk).update(
        created_at=timezone.now() - testing.KEPT - timedelta(days=1)
    )
    tasks.sweep()
    assert list(SamplePost.objects.all()) == [kept]


def test_the_list_of_tests_is_the_sellers_own_in_few_queries(client, config, django_assert_max_num_queries):
    foreign = factories.make_config(url=config.url)
    testing.start(foreign, EventType.APPROVED)
    for _ in range(3):
        press(client, config, EventType.REFUNDED)
    with django_assert_max_num_queries(14):
        page = client.get(reverse("deliveries:tests")).content.decode()
    assert page.count("/tools/webhook/tests/") == 3
    assert foreign.name not in page


def test_the_list_of_configurations_has_the_button_and_says_when_one_last_arrived(
    client, config, product, receiver
):
    page = client.get(reverse("configurations:list")).content.decode()
    assert reverse("deliveries:test", args=[config.pk]) in page
    assert "nothing delivered yet" in page
    factories.make_sale(product)
    engine.drain()
    assert "last delivered" in client.get(reverse("configurations:list")).content.decode()


@pytest.mark.parametrize("new", [True, False])
def test_a_configuration_can_be_saved_and_tested_in_one_step(client, config, receiver, new):
    form = {"url": receiver.url, "events": ["PURCHASE_REFUNDED"], "scope": "all", "version": config.version}
    name = "configurations:add" if new else "configurations:edit"
    page = reverse(name, args=[] if new else [config.pk])
    assert 'name="then" value="test"' in client.get(page).content.decode()
    answer = client.post(page, form | {"then": "test"}, follow=True)
    saved = WebhookConfig.objects.order_by("-pk")[0]
    assert (saved.pk != config.pk) == new
    assert answer.request["PATH_INFO"] == reverse("deliveries:test", args=[saved.pk])
    assert answer.context["chosen"] == EventType.REFUNDED
    assert (reverse("configurations:added", args=[saved.pk]) in answer.content.decode()) == new
