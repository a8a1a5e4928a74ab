"""All sending, held: by staff, by the setting, and by itself where the database is a copy that was restored."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import engine, leases, sending, tasks, testing
from deliveries.held import EVERY
from deliveries.models import Delivery, EndpointHealth, HeldHost, State
from sales import audit
from tests import factories
from tests.commands import manage

pytestmark = pytest.mark.django_db
WHY = "We move to another machine."


@pytest.fixture
def operator(client):
    client.force_login(user := factories.make_staff("operations"))
    return user


def facts():
    return [
        audit.fact_of(entry)
        for entry in audit.entries_of(HeldHost, *LogEntry.objects.values_list("object_id", flat=True))
    ]


# --- By staff


def test_held_nothing_is_posted_and_no_try_is_spent_until_it_is_released(sell, receiver, operator):
    waiting = sell()
    sending.hold(WHY, operator)
    later = sell()
    assert engine.drain() == 0
    assert not leases.anything_to_do()
    assert set(Delivery.objects.values_list("state", "tries")) == {(State.WAITING, 0)}
    assert sending.release("It is done.") == 2
    assert engine.drain() == 2
    assert {post.headers["webhook-id"] for post in receiver.posts} == {waiting.webhook_id, later.webhook_id}
    assert facts() == ["All sending was released. It is done.", f"All sending was held: {WHY}"]


def test_held_in_the_middle_of_a_drain_nothing_more_is_claimed(sell, receiver):
    sell()

    def stop():
        if receiver.posts and not HeldHost.everything():
            sending.hold(WHY)
            sell()
        return False

    assert engine.drain(stop=stop) == 1
    assert Delivery.objects.filter(state=State.WAITING).count() == 1


def test_what_waits_for_its_next_try_keeps_its_time(sell, receiver):
    receiver.answers(500)
    sell()
    engine.drain()
    at = Delivery.objects.get().next_try_at
    sending.hold(WHY)
    sending.release()
    assert Delivery.objects.get().next_try_at == at


def test_what_waits_in_an_own_queue_is_not_sent_either(sell, receiver, config):
    WebhookConfig.objects.filter(pk=config.pk).update(posts_per_second=5)
    config.refresh_from_db()
    config.save()
    sell()
    sending.hold(WHY)
    assert engine.drain() == 0
    assert not leases.anything_to_do()
    sending.release()
    assert engine.drain() == 1


def test_no_probe_is_sent(sell, receiver, config):
    post = sell()
    config.disable("server")
    EndpointHealth.objects.update_or_create(
        config=config, defaults={"next_probe_at": timezone.now() - timedelta(minutes=1)}
    )
    Delivery.objects.filter(pk=post.pk).update(state=State.HELD)
    sending.hold(WHY)
    engine.drain()
    assert receiver.posts == []
    sending.release()
    engine.drain()
    assert len(receiver.posts) == 1, "it would have been one"


def test_no_test_is_sent_and_its_sender_is_told_why(config, receiver, producer):
    event = testing.default_of(config, testing.events_for(config))
    post = testing.make(config, event)
    post.save()  # asked for just before
    sending.hold(WHY)
    testing.send(post.pk)
    assert receiver.posts == []
    with pytest.raises(testing.NotPossible, match="We pause all posts: We move to another machine"):
        testing.start(config, event)


def test_nobody_is_told_of_failures_that_are_of_before_the_restore(sell, receiver, mailoutbox, clock):
    receiver.answers(500)
    sell()
    engine.drain()
    clock.forward(minutes=30)
    sending.hold(WHY)
    tasks.sweep()
    assert mailoutbox == []
    sending.release()
    tasks.sweep()
    assert len(mailoutbox) == 1, "it would have been told"


def test_the_setting_holds_and_nobody_can_release_it(sell, receiver, settings, client, operator):
    sell()
    settings.SEND_POSTS = False
    assert engine.drain() == 0
    with pytest.raises(sending.NotPossible, match="SEND_POSTS is False"):
        sending.release()
    page = client.get(reverse("staff:sending")).content.decode()
    assert "SEND_POSTS is False in the settings of this copy" in page
    assert "Release all sending" not in page
    settings.SEND_POSTS = True
    assert engine.drain() == 1


# --- Pages


def test_staff_hold_and_release_on_a_page_that_says_what_it_means(client, operator, sell, receiver):
    sell()
    url = reverse("staff:sending")
    assert "Hold all sending" in client.get(url).content.decode()
    assert client.post(url, {"do": "hold", "reason": ""}).status_code == 422
    assert HeldHost.everything() is None
    client.post(url, {"do": "hold", "reason": WHY})
    held = HeldHost.everything()
    assert (held.reason, held.by) == (WHY, operator)
    page = client.get(url).content.decode()
    assert WHY in page
    assert "1 post that waits is sent at once." in page
    index = client.get(reverse("admin:index")).content.decode()
    assert "Nothing is sent" in index
    assert "They wait until sending is released" in index
    assert "Nothing that is due waits" not in index
    client.post(url, {"do": "hold", "reason": "Again."})  # from a page of before
    assert HeldHost.everything().reason == WHY
    answer = client.post(url, {"do": "release", "note": ""}, follow=True)
    assert "Released: 1 post that waited is sent now." in answer.content.decode()
    assert HeldHost.everything() is None
    assert "Nothing is sent" not in client.get(reverse("admin:index")).content.decode()


def test_support_sees_it_and_may_not_change_it(client):
    client.force_login(factories.make_staff("support"))
    sending.hold(WHY)
    url = reverse("staff:sending")
    page = client.get(url).content.decode()
    assert WHY in page
    assert "Release all sending" not in page
    client.post(url, {"do": "release"})
    assert HeldHost.everything()


def test_its_row_is_no_host_to_be_released_by_who_may_release_one(client, operator):
    sending.hold(WHY)
    for name in ("host", "hold", "release"):
        assert client.get(reverse(f"staff:{name}", args=[EVERY])).status_code == 404
        assert client.post(reverse(f"staff:{name}", args=[EVERY])).status_code in (404, 405)
    assert HeldHost.everything()


def test_sellers_read_why_on_every_page_and_no_configuration_is_called_failing(
    client, sell, receiver, producer
):
    receiver.answers(500)
    post = sell()
    factories.make_config(producer, name="Another", url=receiver.url.replace("127.0.0.1", "localhost"))
    engine.drain()
    EndpointHealth.objects.update(failures=9)
    sending.hold(WHY)
    client.force_login(producer.user)
    for url in (reverse("deliveries:history"), reverse("configurations:list"), post.get_absolute_url()):
        page = client.get(url).content.decode()
        assert "We pause all posts since" in page
        assert WHY in page
    strip = client.get(reverse("deliveries:history")).content.decode()
    assert strip.count("We pause all posts since") == 1
    assert "Failing" not in client.get(reverse("configurations:list")).content.decode()
    assert set(producer.configurations.values_list("state", flat=True)) == {ConfigState.ON}


def test_what_a_restore_says_is_said_in_the_readers_language(client, sell, producer):
    sell()
    HeldHost.objects.create(host=EVERY, reason="restored")
    producer.language = "pt-br"
    producer.save()
    client.force_login(producer.user)
    assert (
        "Uma cópia de segurança foi restaurada" in client.get(reverse("deliveries:history")).content.decode()
    )


# --- Commands, and what holds by itself


@pytest.fixture
def copied(transactional_db, clean_queue, sell, tmp_path):
    """A database file of its own with one post that waits, as `cp` of the test's would be."""
    if connection.vendor != "sqlite":
        pytest.skip("Of PostgreSQL the copy is restored by pg_restore: see test_backup.")
    assert manage("health", "--min-workers", "0").code == 0  # each command looks whether it is at home
    sell()
    path = tmp_path / "copy.sqlite3"
    with (
        closing(sqlite3.connect(connection.settings_dict["NAME"])) as source,
        closing(sqlite3.connect(path)) as copy,
    ):
        source.backup(copy)
    return path


def test_a_copy_in_another_place_is_held_until_it_is_released(copied, receiver):
    there = {"DATABASE_URL": f"sqlite:///{copied}"}
    refused = manage("deliver", **there)
    assert (refused.code, refused.out) == (2, "")
    assert "A backup was restored. We look at it before anything is sent." in refused.err
    sick = manage("health", "--min-workers", "0", "--json", **there)
    assert sick.code == 1
    assert next(finding["says"] for finding in sick.json["findings"] if not finding["ok"]).startswith(
        "All sending has been held"
    )
    assert manage("release", "--dry-run", "--json", **there).json["due"] == 1
    assert receiver.posts == []
    assert manage("release", **there).out == "Released: 1 post that waited is sent now.\n"
    assert manage("deliver", **there).code == 0
    assert len(receiver.posts) == 1
    assert manage("release", **there).code == 2
    assert manage("deliver").code == 0, "the one that was copied is at home"


def test_an_older_copy_in_the_place_of_the_newer_is_held(copied, receiver, tmp_path):
    there = {"DATABASE_URL": f"sqlite:///{copied}"}
    manage("release", **there)
    older = shutil.copy(copied, tmp_path / "older.sqlite3")

    def minutes_go_by():
        with closing(sqlite3.connect(copied)) as rows, rows:
            rows.execute("UPDATE deliveries_home SET marked_at = datetime('now', '-5 minutes')")
        assert manage("deliver", **there).code == 0

    for _ in range(2):
        minutes_go_by()
    assert len(receiver.posts) == 1
    shutil.copy(older, copied)
    assert manage("deliver", **there).code == 2
    assert len(receiver.posts) == 1, "what the older copy has not sent yet is not sent once more"


def test_hold_and_release_from_the_command_line(transactional_db, clean_queue, sell, receiver):
    sell()
    assert manage("hold", WHY).code == 0
    again = manage("hold", WHY)
    assert (again.code, again.err) == (2, "CommandError: All sending is held already.\n")
    refused = manage("deliver", "--json")
    assert (refused.code, WHY in refused.json["error"]) == (2, True)
    assert f"All sending is held: {WHY} 1 post would be sent at once." in manage("release", "--dry-run").out
    assert manage("release", "--note", "Done.").code == 0
    assert manage("deliver", SEND_POSTS="False").code == 2
    assert receiver.posts == []
    assert manage("deliver").code == 0
    assert len(receiver.posts) == 1
