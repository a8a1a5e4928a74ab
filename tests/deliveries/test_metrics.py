"""/metrics, as Prometheus reads it: by its own parser."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from configurations.models import WebhookConfig
from deliveries import engine, metrics, tasks
from deliveries.choices import Problem
from deliveries.held import EVERY
from deliveries.models import DeliveryAttempt, HeldHost, OwnQueue
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "scrape-me-0123456789"


@pytest.fixture(autouse=True)
def _token(settings, clean_queue):
    settings.METRICS_TOKEN = TOKEN


def ask(token: str = TOKEN):
    return Client(headers={"host": "10.0.0.7"}).get("/metrics", headers={"Authorization": f"Bearer {token}"})


def scrape() -> dict[str, float]:
    """{name{labels}: value}"""
    answer = ask()
    assert answer.status_code == 200, answer.content
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def settled(clock) -> dict[str, float]:
    """Two scrapes, each a while after what was before it: what is there now is seen, and then counted."""
    for _ in range(2):
        clock.forward(seconds=11)
        found = scrape()
    return found


class TestWhoMayRead:
    def test_without_a_token_set_there_is_no_such_page(self, settings):
        settings.METRICS_TOKEN = ""
        assert ask().status_code == 404
        assert ask("").status_code == 404

    @pytest.mark.parametrize(
        "header", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
    )
    def test_whoever_has_it_not_is_turned_away(self, header):
        answer = Client().get("/metrics", headers={} if header is None else {"Authorization": header})
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_who_is_logged_in_needs_it_too(self, producer):
        client = Client()
        client.force_login(producer.user)
        assert client.get("/metrics").status_code == 401

    def test_it_is_kept_nowhere_and_starts_no_session(self):
        answer = ask()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert not answer.cookies


class TestCounters:
    def test_tries_are_counted_by_what_came_of_them(self, sell, receiver, clock):
        scrape()
        sell()
        engine.drain()
        receiver.answers(503)
        sell()
        engine.drain()
        closed = factories.make_config(url="http://127.0.0.1:1/")
        factories.make_sale(factories.make_product(closed.owner))
        engine.drain()
        found = settled(clock)
        assert found["webhookhub_tries_total{delivered}"] == 1
        assert found["webhookhub_tries_total{5xx}"] == 1
        assert found["webhookhub_tries_total{refused}"] == 1
        assert found["webhookhub_try_duration_seconds_count"] == 3
        assert found["webhookhub_try_duration_seconds_bucket{+Inf}"] == 3
        assert found["webhookhub_first_try_delay_seconds_count"] == 3

    def test_none_is_counted_twice_and_none_is_lost_over_many_scrapes(self, sell_many, clock):
        scrape()
        seen = []
        for many in (3, 0, 2, 4):
            sell_many(many)
            engine.drain()
            clock.forward(seconds=11)
            seen.append(scrape().get("webhookhub_tries_total{delivered}", 0))
        assert seen == sorted(seen)
        assert settled(clock)["webhookhub_tries_total{delivered}"] == 9

    def test_what_is_committed_after_a_higher_id_is_counted(self, sell, clock):
        scrape()
        sell()
        engine.drain()
        late = DeliveryAttempt.objects.get()
        facts = {f.attname: getattr(late, f.attname) for f in late._meta.concrete_fields}
        late.delete()  # not committed yet
        DeliveryAttempt.objects.create(**facts | {"id": facts["id"] + 1})
        clock.forward(seconds=11)
        scrape()  # sees the higher one
        DeliveryAttempt.objects.create(**facts)
        clock.forward(seconds=11)
        assert scrape()["webhookhub_tries_total{delivered}"] == 2

    def test_they_outlive_the_attempts_that_are_purged(self, sell, clock):
        scrape()
        sell()
        engine.drain()
        settled(clock)
        DeliveryAttempt.objects.all().delete()
        assert settled(clock)["webhookhub_tries_total{delivered}"] == 1

    def test_two_that_scrape_at_once_count_once(self, sell, clock, monkeypatch):
        scrape()
        sell()
        engine.drain()
        clock.forward(seconds=11)
        scrape()
        clock.forward(seconds=11)
        real, again = metrics._count, [scrape]

        def count(after, to):
            found = real(after, to)
            if again:
                again.pop()()  # the other one is quicker
            return found

        monkeypatch.setattr(metrics, "_count", count)
        assert scrape()["webhookhub_tries_total{delivered}"] == 1
        assert settled(clock)["webhookhub_tries_total{delivered}"] == 1

    def test_one_scrape_counts_no_more_than_its_share(self, sell_many, clock, monkeypatch):
        monkeypatch.setattr(metrics, "MOST", 2)
        scrape()
        sell_many(5)
        engine.drain()
        clock.forward(seconds=11)
        scrape()
        clock.forward(seconds=11)
        seen = [scrape()["webhookhub_tries_total{delivered}"] for _ in range(4)]
        assert seen == [2, 4, 5, 5]

    def test_durations_and_delays_fall_into_their_buckets(self, sell, clock):
        scrape()
        delivery = sell()
        engine.drain()
        attempt = DeliveryAttempt.objects.get()
        DeliveryAttempt.objects.update(duration_ms=250, started_at=delivery.created_at + timedelta(seconds=2))
        assert attempt.number == 1
        found = settled(clock)
        buckets = {
            name.partition("{")[2].rstrip("}"): value
            for name, value in found.items()
            if name.startswith("webhookhub_try_duration_seconds_bucket")
        }
        assert (buckets["0.1"], buckets["0.25"], buckets["0.5"]) == (0, 1, 1)
        assert found["webhookhub_try_duration_seconds_sum"] == 0.25
        assert found["webhookhub_first_try_delay_seconds_bucket{1.0}"] == 0
        assert found["webhookhub_first_try_delay_seconds_bucket{2.5}"] == 1
        assert found["webhookhub_first_try_delay_seconds_sum"] == 2


class TestGauges:
    def test_what_is_due_and_since_when(self, sell, clock):
        sell()
        sell()
        clock.forward(seconds=90)
        found = scrape()
        assert found["webhookhub_due_posts"] == 2
        assert 90 <= found["webhookhub_oldest_due_seconds"] < 120
        assert found["webhookhub_queue_jobs"] == 1  # one wake-up for both

    def test_how_the_configurations_stand(self):
        factories.make_config().disable("server")
        assert WebhookConfig.objects.count() == 1
        assert scrape()["webhookhub_disabled_configurations"] == 1

    def test_what_is_held_and_what_waits_apart(self):
        config = factories.make_config()
        OwnQueue.objects.create(config=config, slow=True)
        OwnQueue.objects.create(config=factories.make_config(), circuit="open")
        HeldHost.objects.create(host="hooks.example.com", reason="down", since=timezone.now())
        found = scrape()
        assert (found["webhookhub_held_hosts"], found["webhookhub_sending_stopped"]) == (1, 0)
        assert (found["webhookhub_own_queues"], found["webhookhub_open_circuits"]) == (2, 1)
        assert found["webhookhub_outage"] == 0
        HeldHost.objects.create(host=EVERY, reason="restored", since=timezone.now())
        found = scrape()
        assert (found["webhookhub_held_hosts"], found["webhookhub_sending_stopped"]) == (1, 1)

    def test_since_when_the_queue_did_its_job(self):
        assert "webhookhub_sweep_age_seconds" not in scrape()
        tasks.sweep()
        assert scrape()["webhookhub_sweep_age_seconds"] < 60

    def test_a_queue_that_is_gone_is_a_figure_that_is_missing(self, redis_queue):
        assert scrape()["webhookhub_queue_jobs"] == 0
        redis_queue.stop()
        found = scrape()
        assert "webhookhub_queue_jobs" not in found
        assert found["webhookhub_due_posts"] == 0


def test_a_scrape_costs_as_many_queries_with_thirty_posts_as_with_none(
    sell_many, clock, django_assert_max_num_queries
):
    settled(clock)
    sell_many(30)
    engine.drain()
    settled(clock)
    assert scrape()["webhookhub_tries_total{delivered}"] == 30
    for _ in range(2):
        clock.forward(seconds=11)
        with django_assert_max_num_queries(20):
            scrape()


def test_a_database_that_is_gone_is_said_so(monkeypatch):
    def gone():
        raise OperationalError("secret-host")

    monkeypatch.setattr(metrics, "counted", gone)
    answer = ask()
    assert (answer.status_code, answer.text) == (503, "The database cannot be used.")


def test_the_document_names_every_metric_and_no_other(sell, clock):
    tasks.sweep()
    scrape()
    sell()
    engine.drain()
    settled(clock)
    families = {family.name for family in text_string_to_metric_families(ask().text)}
    text = (settings.BASE_DIR / "docs" / "monitoring.md").read_text()
    named = set(re.findall(r"\bwebhookhub_[a-z_]+", text))
    assert {re.sub("_(total|bucket)$", "", name) for name in named} == families
    listed = set(
        re.findall(r"`(\w+)`", next(line for line in text.splitlines() if "_tries_total{outcome}` |" in line))
    )
    assert set(Problem.values) <= listed
