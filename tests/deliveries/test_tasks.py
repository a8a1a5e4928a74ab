"""What django-q2 calls, called as it does."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Failure, Task

from deliveries import cluster, tasks, wake
from deliveries.models import Delivery, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_queue")]


def queued() -> int:
    return wake.broker().queue_size()


def test_a_job_posts_what_is_due_and_wakes_nobody_when_nothing_is_left(receiver, sell_many):
    sell_many(3)
    wake.broker().purge_queue()
    tasks.deliver_due()
    assert set(Delivery.objects.values_list("state", flat=True)) == {State.DELIVERED}
    assert queued() == 0


def test_a_job_of_a_cluster_that_ends_begins_nothing_and_leaves_word_for_the_next(
    receiver, sell_many, monkeypatch
):
    sell_many(3)
    wake.broker().purge_queue()
    monkeypatch.setattr(cluster._ending, "value", 1)
    tasks.deliver_due()
    assert receiver.posts == []
    assert Delivery.objects.due().count() == 3
    assert queued() == 1


def test_the_sweep_wakes_the_worker_for_what_is_due(sell_many):
    sell_many(1)
    wake.broker().purge_queue()
    wake.taken()
    tasks.sweep()
    assert queued() == 1


def test_the_sweep_wakes_the_worker_for_a_lease_that_ran_out(sell_many):
    sell_many(1)
    wake.broker().purge_queue()
    wake.taken()
    Delivery.objects.update(state=State.SENDING, lease_until=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    assert queued() == 1


def test_the_sweep_wakes_nobody_for_nothing():
    tasks.sweep()
    assert queued() == 0


def test_the_sweep_keeps_the_failures_of_jobs_for_a_week():
    for name, days in (("old", 8), ("new", 6)):
        at = timezone.now() - timedelta(days=days)
        Task.objects.create(id=name, name=name, func=cluster.SWEEP, started=at, stopped=at, success=False)
    tasks.sweep()
    assert [failure.name for failure in Failure.objects.all()] == ["new"]
