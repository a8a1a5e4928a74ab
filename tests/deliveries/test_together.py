"""What owners and staff read while posts wait together for a server, or for our own network."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from deliveries import apart, engine
from deliveries.circuit import Phase
from deliveries.models import Outage
from deliveries.together import together_of
from tests import factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db
LIST, HISTORY = reverse("configurations:list"), reverse("deliveries:history")


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


@pytest.fixture
def read(client):
    """`read(url)`: the words of the page, in one line."""
    return lambda url: " ".join(client.get(url).content.decode().split())


@pytest.fixture
def broken(receiver, config, sell):
    receiver.answers(500)
    for _ in range(5):
        sell()
    engine.drain()
    return config


def test_where_all_is_well_nobody_reads_of_it(config, sell, read):
    sell()
    engine.drain()
    assert together_of([config]) == {}
    assert "wait together" not in read(LIST)


def test_the_owner_reads_how_many_wait_since_when_and_when_one_is_tried_again(broken, sell, read):
    sell()
    for url in (LIST, HISTORY):
        text = read(url)
        assert "Your server does not take our posts: 6 posts wait together since" in text
        assert "We try one again in" in text
        assert "None of them uses up a try." in text
    assert "Server fails" in read(LIST)


def test_so_does_who_looks_at_a_post(broken, sell, read):
    text = read(sell().get_absolute_url())
    assert "6 posts wait together since" in text
    assert "“Send now” tries it at once" in text


def test_a_pause_is_said_with_the_code_that_asked_for_it(receiver, config, sell, read):
    receiver.answers(Answer(429, headers={"Retry-After": "600"}))
    sell()
    engine.drain()
    text = read(LIST)
    assert "as your server asked (429); 1 post waits." in text
    assert "Paused by your server" in text


def test_once_it_works_the_owner_reads_that_it_catches_up(broken, sell, read):
    now = timezone.now()
    facts = {"released_at": now, "release_rate": 5, "release_rate_at": now}
    apart.begin([broken.pk], circuit=Phase.RELEASING, **facts)
    sell()
    text = read(LIST)
    assert "Your server works again: 6 posts that waited go now, slowly at first." in text
    assert "Catching up" in text


def test_once_nothing_holds_it_back_any_more_it_is_no_news(broken, read):
    long_ago = timezone.now() - timedelta(minutes=1)
    facts = {"released_at": long_ago, "release_rate": 5, "release_rate_at": long_ago}
    apart.begin([broken.pk], circuit=Phase.RELEASING, **facts)
    assert "Catching up" not in read(LIST)


def test_the_owner_of_a_slow_server_reads_why_posts_wait_and_what_to_do(config, sell, read):
    apart.begin([config.pk], slow=True, mean_answer=6.2)
    sell()
    post = sell()
    text = read(LIST)
    assert (
        "Your server takes about 6.2 s to answer, so only a few of its posts go at a time: 2 posts wait"
        in text
    )
    assert "Slow" in text
    text = read(post.get_absolute_url())
    assert "takes about 6.2 s to answer" in text
    assert "within seconds" not in text


def test_who_asked_for_a_limit_reads_that_it_is_the_limit(config, sell, read):
    config.posts_per_second = 3
    config.save(update_fields=["posts_per_second"])
    post = sell()
    for url in (LIST, post.get_absolute_url()):
        assert "1 post waits: you asked for at most 3 a second." in read(url)
    assert "Catching up" not in read(LIST)


def test_where_nothing_waits_a_slow_server_is_no_news(config, read):
    apart.begin([config.pk], slow=True, mean_answer=6.2)
    assert "to answer, so" not in read(LIST)


def test_what_waits_for_its_next_try_does_not_wait_for_a_slow_server(receiver, config, sell, read):
    receiver.answers(500)
    post = sell()
    engine.drain()
    apart.begin([config.pk], slow=True, mean_answer=6.2)
    type(post).objects.update(lane=apart.ASIDE)
    assert "to answer, so" not in read(LIST)
    sell()
    assert "1 post waits" in read(LIST)
    text = read(post.get_absolute_url())
    assert "Try 1 of 5 was not accepted. The next one:" in text
    assert "to answer, so" not in text


@pytest.mark.parametrize("part", ["", "?as=row", "?as=panel"])
def test_send_now_says_that_it_is_a_probe(client, broken, sell, part):
    post = sell()
    response = client.post(reverse("deliveries:reprocess", args=[post.pk]) + part, follow=True)
    assert "to see whether it works again" in response.content.decode()


def test_strangers_read_nothing_of_it(broken, client):
    client.force_login(factories.make_seller().user)
    assert "wait together" not in client.get(LIST).content.decode()


def test_staff_see_whose_posts_wait(broken, client):
    client.force_login(factories.make_staff())
    text = client.get("/admin/").content.decode()
    assert "Posts wait together" in text
    assert broken.name in text


def test_in_an_outage_of_ours_owners_and_staff_read_that_it_is_ours(config, sell, read, client):
    Outage.objects.create(since=timezone.now() - timedelta(minutes=1), hosts=["a.example", "b.example"])
    sell()
    assert "the fault is ours" in read(LIST)
    client.force_login(factories.make_staff())
    assert "We reach hardly any host since" in read("/admin/")
    assert "2 hosts are out of reach" in read("/admin/")


@pytest.mark.parametrize("language", ["pt-br", "es"])
def test_it_stands_in_every_language(broken, client, producer, language):
    producer.language = language
    producer.save()
    client.cookies["django_language"] = language
    text = client.get(LIST, headers={"accept-language": language}).content.decode()
    assert "wait together" not in text
    assert "5 env" in text
