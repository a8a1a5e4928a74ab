"""The wake-up after a commit: one job for many commits, and never in the way of the sale."""

import logging
import sqlite3
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django_q.signals import pre_enqueue

from deliveries import wake
from deliveries.models import WakeFlag

on_the_database = pytest.mark.skipif(
    settings.ON_REDIS, reason="Its flag is a row only where the queue is one."
)


@pytest.fixture
def jobs() -> Iterator[list[dict]]:
    """The jobs that this process enqueues."""
    enqueued: list[dict] = []

    def note(sender: str, task: dict, **_: object) -> None:
        enqueued.append(task)

    pre_enqueue.connect(note)
    yield enqueued
    pre_enqueue.disconnect(note)


def seconds_of(call: object) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_many_wake_ups_are_one_job(clean_queue, jobs):
    for _ in range(50):
        assert wake.wake()
    assert [job["func"] for job in jobs] == ["deliveries.tasks.deliver_due"]
    assert wake.broker().queue_size() == 1


def test_after_a_job_has_taken_it_the_next_wake_up_is_a_job_again(clean_queue, jobs):
    wake.wake()
    wake.taken()
    wake.wake()
    assert len(jobs) == 2


@on_the_database
def test_a_flag_whose_job_was_lost_is_free_again_after_a_while(clean_queue, jobs):
    wake.wake()
    WakeFlag.objects.update(asked_at=Now() - (wake.FLAG_LASTS - timedelta(seconds=1)))
    wake.wake()
    assert len(jobs) == 1
    WakeFlag.objects.update(asked_at=Now() - (wake.FLAG_LASTS + timedelta(seconds=1)))
    wake.wake()
    assert len(jobs) == 2


@on_the_database
def test_a_flag_from_before_the_clock_was_set_back_holds_nobody_up(clean_queue, jobs):
    wake.wake()
    WakeFlag.objects.update(asked_at=Now() + timedelta(hours=1))
    wake.wake()
    assert len(jobs) == 2


@on_the_database
def test_where_the_flag_is_set_a_wake_up_writes_nothing(clean_queue, django_assert_num_queries):
    wake.wake()
    with django_assert_num_queries(1) as asked:
        wake.wake()
    assert asked[0]["sql"].startswith("SELECT")


@on_the_database
def test_flag_and_job_come_together_or_not_at_all(clean_queue, monkeypatch):
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("The queue took no more.")

    with monkeypatch.context() as broken:
        broken.setattr(wake, "async_task", fail)
        assert not wake.wake()
    assert not wake._flag_is_set()


@pytest.mark.skipif(connection.vendor != "sqlite", reason="Only SQLite has one lock for all writers.")
def test_a_database_that_another_has_locked_holds_the_caller_up_for_a_second_at_most(
    clean_queue, other_connection
):
    other_connection.execute("BEGIN IMMEDIATE")
    try:
        assert seconds_of(wake.wake) < 1
    finally:
        other_connection.execute("ROLLBACK")
    with connection.cursor() as cursor:  # and its usual patience is back
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (20_000,)


@pytest.fixture
def other_connection() -> Iterator[object]:
    with sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None) as other:
        yield other
    other.close()


def test_a_rolled_back_transaction_wakes_nobody(clean_queue, jobs):
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        transaction.on_commit(wake.wake)
        raise ZeroDivisionError
    assert jobs == []


class TestWithARedisOfItsOwn:
    def test_many_wake_ups_are_one_job(self, redis_queue, jobs):
        for _ in range(50):
            assert wake.wake()
        assert len(jobs) == wake.broker().queue_size() == 1
        wake.taken()
        wake.wake()
        assert len(jobs) == 2

    def test_its_flag_expires(self, redis_queue):
        wake.wake()
        milliseconds = wake.FLAG_LASTS / timedelta(milliseconds=1)
        assert 0 < wake.broker().connection.pttl(wake._flag_key()) <= milliseconds

    def test_a_stopped_queue_holds_nobody_up_and_is_said_once(self, redis_queue, caplog, monkeypatch):
        redis_queue.stop()
        with caplog.at_level(logging.WARNING):
            assert seconds_of(wake.wake) < 1
            assert seconds_of(lambda: [wake.wake() for _ in range(1000)]) < 0.2  # cools down, not asked again
            monkeypatch.setattr(wake, "_away_until", 0.001)  # the time is up, and it is still away
            assert not wake.wake()
        assert [record.name for record in caplog.records] == ["deliveries.wake"]

    def test_a_frozen_queue_holds_the_caller_up_for_a_second_at_most(self, redis_queue):
        wake.wake()
        redis_queue.freeze()
        assert seconds_of(wake.wake) < 1.2
        assert seconds_of(wake.wake) < 0.1

    def test_a_queue_frozen_before_the_first_call_does_so_too(self, redis_queue):
        redis_queue.freeze()
        assert seconds_of(wake.wake) < 1.2

    def test_once_the_queue_is_back_it_is_asked_again(self, redis_queue, jobs, monkeypatch, caplog):
        redis_queue.stop()
        assert not wake.wake()
        redis_queue.start()
        monkeypatch.setattr(wake, "_away_until", 0.001)  # the time is up
        assert wake.wake()
        assert wake.broker().queue_size() == 1
        assert "back" in caplog.text

    def test_a_job_that_cannot_clear_the_flag_goes_on(self, redis_queue):
        redis_queue.stop()
        wake.taken()
