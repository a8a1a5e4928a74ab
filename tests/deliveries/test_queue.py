"""The queue in SQLite: see deliveries/queue.py. That a real cluster takes jobs from it, test_cluster shows."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ

from deliveries.queue import SqliteQueue

from .cluster_process import wait_until

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not settings.ON_SQLITE or settings.ON_REDIS, reason="It is about SQLite's queue."),
]


@pytest.fixture
def queue() -> SqliteQueue:
    queue = get_broker()
    assert type(queue) is SqliteQueue
    assert queue.dequeue() is None  # from now on its own, cheap look decides
    return queue


def test_a_job_is_found_by_the_next_look_and_given_out_once(queue):
    pk = queue.enqueue("a job")
    wait_until(queue._has_any, "the job is not seen.")  # of the present millisecond it is not yet
    assert queue.dequeue() == [(pk, "a job")]
    assert queue.dequeue() is None


def test_an_empty_queue_is_looked_at_without_the_query_of_the_stock_broker(queue, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert queue.dequeue() is None


def test_the_jobs_of_another_cluster_are_left_alone(queue):
    OrmQ.objects.create(key="another", payload="theirs", lock=timezone.now() - timedelta(seconds=1))
    assert queue.dequeue() is None


def test_what_was_taken_and_not_acknowledged_is_found_again(queue):
    pk = queue.enqueue("a job")
    queue.dequeue()
    OrmQ.objects.filter(pk=pk).update(lock=timezone.now() - timedelta(seconds=Conf.RETRY))
    assert queue.dequeue() == [(pk, "a job")]
