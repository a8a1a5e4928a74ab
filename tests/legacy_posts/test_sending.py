"""A pending post of the former system goes out through the present engine, once and as it was."""

import threading
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from configurations.events import Priority
from configurations.models import State as ConfigState
from configurations.models import Token
from deliveries import backfill, engine, vitals
from deliveries.contract import signing
from deliveries.models import Delivery, Event, State
from legacy_posts import sending
from legacy_posts.models import LegacyPost
from legacy_posts.sending import Destinations
from tests import factories

pytestmark = pytest.mark.django_db

FORM = "transaction=HP1&status=approved&email=ana%40example.com&hottok=old-token&name=Jo%C3%A3o+%20"
JSON = '{ "hottok":"old-token",\n  "name": "João 漢字 🎓", "price": 147.00}'


@pytest.fixture(autouse=True)
def _fresh_transport():
    yield
    engine.forget_transport()


@pytest.fixture
def config(producer, receiver):
    return factories.make_config(producer, name="Members area", url=receiver.url)


@pytest.fixture
def pending(producer, receiver):
    def pending(count=None, **facts):
        facts = {"kind": "pending", "url": receiver.url, "host": urlsplit(receiver.url).hostname} | facts
        made = factories.make_legacy_posts(producer, count or 1, **facts)
        return made if count else made[0]

    return pending


@pytest.fixture
def web(client, producer):
    client.force_login(producer.user)
    return client


def press_send(web, post, **form):
    return web.post(reverse("legacy_posts:send", args=[post.pk]), form, follow=True).content.decode()


@pytest.mark.parametrize(
    ("payload", "facts", "content_type"),
    [
        (FORM, {"format": "form", "version": "1.0.0"}, "application/x-www-form-urlencoded; charset=UTF-8"),
        (JSON, {"format": "json", "version": "2.0.0"}, "application/json"),
        (JSON, {"format": "json", "version": "1.0.0"}, "application/json"),
        (
            FORM,
            {"format": "form", "version": "1.0.0", "event": "PURCHASE_OUT_OF_SHOPPING_CART"},
            "application/x-www-form-urlencoded; charset=UTF-8",
        ),
    ],
)
def test_the_payload_arrives_byte_for_byte_and_signed(
    web, receiver, config, pending, payload, facts, content_type
):
    post = pending(payload=payload, **facts)
    assert "The post is on its way to “Members area”." in press_send(web, post)
    engine.drain()
    [got] = receiver.wait_for(1)
    assert got.body == payload.encode()
    assert got.headers["content-type"] == content_type
    assert got.headers["x-hotmart-hottok"] == Token.of(config.owner).value
    signed = signing.sign(
        config.secret, got.headers["webhook-id"], int(got.headers["webhook-timestamp"]), got.body
    )
    assert got.headers["webhook-signature"] == signed
    post.refresh_from_db()
    assert post.delivery.state == State.DELIVERED
    assert post.sent_at is not None


def test_a_body_that_fails_is_the_same_at_the_next_try(web, receiver, config, pending):
    receiver.answers(500)
    press_send(web, pending(payload=FORM, format="form", version="1.0.0"))
    engine.drain()
    receiver.answers(200)
    Delivery.objects.update(next_try_at=None)
    engine.drain()
    assert [got.body for got in receiver.wait_for(2)] == [FORM.encode()] * 2


def test_it_becomes_an_event_of_its_time_and_its_product(web, producer, config, pending):
    product = factories.make_product(producer, name="Olaria")
    known, unknown = (
        pending(product_code=str(product.code)),
        pending(product_code="x1", product_name="Antigo"),
    )
    for post in (known, unknown):
        press_send(web, post)
        post.refresh_from_db()
    event = known.delivery.event
    assert (event.product, event.producer, event.occurred_at) == (product, producer, known.occurred_at)
    assert (event.type, event.transaction_code) == (known.event, known.transaction_code)
    assert event.buyer_email == known.buyer_email
    assert (unknown.delivery.event.product, unknown.delivery.event.about) == (None, "Antigo")
    assert known.delivery.priority == Priority.GRANTS_ACCESS


def test_another_sellers_product_is_not_taken(web, config, pending):
    other = factories.make_product(factories.make_seller())
    post = pending(product_code=str(other.code))
    press_send(web, post)
    assert Event.objects.get().product is None


@pytest.mark.parametrize(
    "spelling",
    ["HTTPS://Hooks.Example.com/in", "https://hooks.example.com:443/in", "https://hooks.example.com/in#x"],
)
def test_the_same_url_in_another_spelling_finds_its_configuration(web, producer, pending, spelling):
    factories.make_config(producer, url="https://hooks.example.com/in/")
    config = factories.make_config(producer, url="https://hooks.example.com/in")
    assert f"on its way to “{config.name}”" in press_send(web, pending(url=spelling))


def test_of_two_configurations_the_one_that_is_on_gets_it(producer, config, receiver):
    config.switch_off()
    on = factories.make_config(producer, url=receiver.url)
    assert Destinations(producer).of(receiver.url) == on


def test_without_the_same_url_one_is_chosen(web, producer, config, pending, receiver):
    post = pending(url="https://gone.example.com/in")
    page = web.get(reverse("legacy_posts:send", args=[post.pk])).content.decode()
    assert "None of your configurations has this URL." in page
    assert "Members area" in page
    answer = web.post(reverse("legacy_posts:send", args=[post.pk]), {"url": post.url, "config": ""})
    assert answer.status_code == 422
    stranger = factories.make_config(factories.make_seller())
    answer = web.post(reverse("legacy_posts:send", args=[post.pk]), {"url": post.url, "config": stranger.pk})
    assert answer.status_code == 422
    assert not Delivery.objects.exists()
    press_send(web, post, url=post.url, config=config.pk)
    assert Delivery.objects.get().config == config


@pytest.mark.parametrize(
    ("method", "reason"),
    [("switch_off", "is switched off. Switch it on first"), ("disable", "is disabled. Enable it first")],
)
def test_it_is_refused_while_the_configuration_is_not_on(web, config, pending, method, reason):
    post = pending()
    config.disable("gone") if method == "disable" else config.switch_off()
    assert reason in press_send(web, post)
    post.refresh_from_db()
    assert (post.sent_at, Delivery.objects.count()) == (None, 0)


def test_a_removed_configuration_is_none(web, config, pending):
    post = pending()
    config.remove()
    assert (
        "There is nowhere to send it"
        in web.get(reverse("legacy_posts:send", args=[post.pk])).content.decode()
    )
    with pytest.raises(Delivery.NotPossible, match="was removed"):
        sending.send(LegacyPost.objects.all(), config.pk)


def test_a_second_press_sends_nothing(web, config, pending):
    post = pending()
    press_send(web, post)
    assert "This post was sent already: it goes once." in press_send(web, post)
    assert Delivery.objects.count() == 1


def test_what_the_former_system_sent_cannot_be_sent(web, producer, config):
    post = factories.make_legacy_post(producer, url=config.url)
    assert web.post(reverse("legacy_posts:send", args=[post.pk])).status_code == 404
    assert sending.send(LegacyPost.objects.all(), config.pk) == []


@pytest.mark.django_db(transaction=True)
def test_two_who_press_at_once_send_it_once(config, pending):
    posts = pending(20)
    start, sent, errors = threading.Barrier(2), [], []

    def press():
        try:
            start.wait()
            for post in posts:
                sent.extend(sending.send(LegacyPost.objects.filter(pk=post.pk), config.pk))
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(sent) == Delivery.objects.count() == Event.objects.count() == 20
    assert {post.delivery_id for post in LegacyPost.objects.all()} == {delivery.pk for delivery in sent}


def test_the_worker_is_woken_once_after_the_commit(config, pending, django_capture_on_commit_callbacks):
    pending(30)
    with django_capture_on_commit_callbacks() as callbacks:
        sending.send(LegacyPost.objects.all(), config.pk)
    assert len(callbacks) == 1


def test_an_old_post_that_is_sent_is_not_taken_for_a_late_one(producer, config, pending):
    posts = pending(3)
    sending.send(LegacyPost.objects.filter(pk=posts[0].pk), config.pk)
    sending.send_all(LegacyPost.objects.all(), Destinations(producer))
    due = vitals.posts()
    assert due.due == 3
    assert timezone.now() - due.due_since < timedelta(minutes=1)


# --- Many at once


def test_the_question_says_how_many_go_where(web, producer, config, pending):
    off = factories.make_config(producer, name="Sheet", url="https://sheet.example.com/in")
    off.switch_off()
    pending(3)
    pending(2, url="https://sheet.example.com/in")
    pending(url="https://gone.example.com/in")
    pending(payload="", format="other")
    page = web.get(reverse("legacy_posts:send_all")).content.decode()
    assert "Send 3 posts?" in page
    assert "Members area" in page
    assert "2 posts to “Sheet” stay: this configuration is not on." in page
    assert "No configuration has the same URL as these." in page
    assert "1 post stays: its payload was erased." in page
    assert not Delivery.objects.exists()


def test_all_go_behind_what_is_fresh_and_what_has_no_place_stays(web, config, pending):
    pending(3)
    homeless = pending(2, url="https://gone.example.com/in")
    answer = web.post(reverse("legacy_posts:send_all"), follow=True)
    assert "3 posts are on their way." in answer.content.decode()
    assert set(Delivery.objects.values_list("priority", flat=True)) == {Priority.BACKLOG}
    assert LegacyPost.objects.to_send().count() == 2
    web.post(reverse("legacy_posts:send_all"), {"url": [homeless[0].url], "config": [config.pk]})
    assert LegacyPost.objects.to_send().count() == 0
    answer = web.post(reverse("legacy_posts:send_all"), follow=True)
    assert "Nothing was sent" in answer.content.decode()
    assert Delivery.objects.count() == 5


def test_only_what_the_filter_shows_goes(web, config, pending):
    wanted = pending(event="PURCHASE_REFUNDED")
    pending(2)
    web.post(reverse("legacy_posts:send_all") + "?event=PURCHASE_REFUNDED")
    assert Delivery.objects.get().legacy_post == wanted


def test_one_press_sends_no_more_than_a_page_can_wait_for(producer, config, pending, monkeypatch):
    monkeypatch.setattr(sending, "MOST", 4)
    monkeypatch.setattr(sending, "BATCH", 2)
    posts = pending(5)
    assert sending.send_all(LegacyPost.objects.all(), Destinations(producer)) == 4
    oldest = sorted(posts, key=lambda post: post.occurred_at)[:4]
    assert set(LegacyPost.objects.exclude(sent_at=None)) == set(oldest)
    assert sending.send_all(LegacyPost.objects.all(), Destinations(producer)) == 1


# --- What others make of such a post


def test_the_pages_of_the_history_show_it(web, config, pending):
    post = pending(product_name="Curso Antigo", buyer_email="")
    press_send(web, post)
    engine.drain()
    post.refresh_from_db()
    page = web.get(reverse("deliveries:history"), {"post": post.delivery.pk}).content.decode()
    assert "Curso Antigo" in page
    assert post.transaction_code in page
    for tab in ("payload", "response", "headers", "curl"):
        assert web.get(post.delivery.get_absolute_url(), {"tab": tab}).status_code == 200
    assert web.get(reverse("deliveries:history"), {"q": post.transaction_code}).context["count"] == 1
    assert web.get(reverse("deliveries:history"), {"q": "nobody knows"}).context["count"] == 0


def test_the_admin_shows_its_event_and_its_delivery(client, web, config, pending):
    post = pending(product_name="Curso Antigo")
    press_send(web, post)
    post.refresh_from_db()
    client.force_login(factories.make_staff())
    for name, pk in (
        ("deliveries_event", post.delivery.event_id),
        ("deliveries_delivery", post.delivery_id),
        ("legacy_posts_legacypost", post.pk),
        ("legacy_posts_legacyimport", post.source_id),
    ):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:{name}_change", args=[pk])).status_code == 200
    page = client.get(reverse("admin:deliveries_event_change", args=[post.delivery.event_id]))
    assert "Curso Antigo" in page.content.decode()


def test_a_new_configuration_is_not_offered_it_as_missed(producer, config, pending):
    post = pending(occurred_at=timezone.now())
    sending.send(LegacyPost.objects.filter(pk=post.pk), config.pk)
    other = factories.make_config(producer, url="https://other.example.com/in")
    assert backfill.groups(other, timezone.now()) == []
    assert other.state == ConfigState.ON
