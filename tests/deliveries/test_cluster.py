"""The worker as it runs: real processes, a real receiver, and what is left of both after a fault.

Each fault test counts: every sale's post arrives, none is lost, and what is sent twice was in flight at the fault.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from django_q.models import Schedule
from django_q.signals import pre_enqueue

from configurations.models import WebhookConfig
from deliveries.circuit import Phase
from deliveries.cluster import Suspicion, schedule_jobs
from deliveries.models import Delivery, DeliveryAttempt, OwnQueue, Problem, State
from tests import factories
from tests.receiver import Answer, Receiver

from .cluster_process import ClusterProcess, is_alive, threads_of, wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("clean_queue"),
    pytest.mark.xdist_group("cluster"),  # one after the other: two at once would be slow enough to fail
]

# What one worker may have to repeat for one configuration: 8 on their way, 8 answered and not recorded yet.
UNFINISHED = 16
MANY = 60
SLOWLY = Answer(delay=0.3)  # so two workers post some 50 a second, and are amid them when the test acts


def all_are(state: State) -> Callable[[], bool]:
    return lambda: Delivery.objects.exists() and not Delivery.objects.exclude(state=state).exists()


def wait_until_delivered(count: int, timeout: float = 30) -> None:
    wait_until(all_are(State.DELIVERED), f"not all of {count} posts are delivered.", timeout)
    assert Delivery.objects.count() == count


def assert_all_arrived(receiver: Receiver, repeats: int) -> None:
    """Each post came, and no more than `repeats` of them came twice."""
    came = Counter(receiver.webhook_ids())
    assert set(came) == set(Delivery.objects.values_list("webhook_id", flat=True))
    assert came.total() - len(came) <= repeats


def a_busy_worker_of(cluster: ClusterProcess) -> int:
    """The one that is posting: it has a thread for each post in flight, an idle one at most its queue's."""
    worker = max(cluster.workers, key=threads_of)
    assert threads_of(worker) > 4
    return worker


# --- as it should be


def test_a_status_change_is_posted_within_a_second_and_its_answer_recorded(receiver, product, sell_many):
    with ClusterProcess():
        sell_many(1)
        receiver.wait_for(1)
        sale = factories.make_sale(product)
        committed_at = time.monotonic()
        post = receiver.wait_for(2)[1]
        assert post.at - committed_at < 1
        wait_until_delivered(2)
    assert sale.code.encode() in post.body
    attempt = DeliveryAttempt.objects.get(delivery__event__sale=sale)
    assert (attempt.number, attempt.status, attempt.delivered) == (1, 200, True)
    assert attempt.delivery.webhook_id == post.headers["webhook-id"]


def test_a_500_is_tried_again_within_two_seconds_of_its_time(receiver, sell_many):
    receiver.answers(500, 200)
    with ClusterProcess():
        sell_many(1)
        first, second = receiver.wait_for(2)
        wait_until_delivered(1)
    assert 0.27 <= second.at - first.at < 0.33 + 2
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert [a.status for a in DeliveryAttempt.objects.order_by("number")] == [500, 200]


def test_after_five_failures_a_post_is_given_up(receiver, sell_many):
    receiver.answers(503)
    with ClusterProcess():
        sell_many(2)
        wait_until(all_are(State.FAILED), "they were not given up.")
        receiver.answers(200)
        sell_many(1)
        wait_until(
            lambda: Delivery.objects.filter(state=State.DELIVERED).exists(), "the next is not delivered."
        )
    assert sorted(Counter(receiver.webhook_ids()).values()) == [1, 5, 5]  # none came a sixth time
    tries = DeliveryAttempt.objects.filter(delivered=False).order_by("delivery", "number")
    assert [attempt.number for attempt in tries] == [1, 2, 3, 4, 5] * 2


def test_a_receiver_that_hangs_is_left_at_the_deadline_and_tried_again(receiver, sell_many):
    receiver.answers(Answer(delay=60), 200)
    with ClusterProcess():
        sell_many(1)
        wait_until_delivered(1)
    hung, answered = DeliveryAttempt.objects.order_by("number")
    assert (hung.status, hung.problem, answered.status) == (None, Problem.TIMEOUT, 200)
    assert 1_400 <= hung.duration_ms < 2_500


def test_a_rolled_back_change_is_posted_to_nobody(receiver, product, config):
    with ClusterProcess():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            factories.make_sale(product)
            raise ZeroDivisionError
        committed = factories.make_sale(product)
        wait_until_delivered(1)
    [post] = receiver.posts
    assert committed.code.encode() in post.body


def test_a_burst_of_changes_does_not_cost_a_job_each(receiver, sell_many):
    receiver.answers(SLOWLY)  # so that a job lasts, on a machine on which the sales take their time, too
    jobs = []

    def note(sender: str, task: dict, **_: object) -> None:
        jobs.append(task["name"])

    pre_enqueue.connect(note)
    try:
        with ClusterProcess():
            sell_many(200)
            wait_until_delivered(200)
    finally:
        pre_enqueue.disconnect(note)
    assert 1 <= len(jobs) <= 60
    assert_all_arrived(receiver, repeats=0)


def test_two_clusters_share_the_work_and_send_nothing_twice(receiver, sell_many):
    receiver.answers(Answer(delay=0.02))
    with ClusterProcess(), ClusterProcess():
        sell_many(150)
        wait_until_delivered(150)
    assert_all_arrived(receiver, repeats=0)
    assert DeliveryAttempt.objects.count() == 150


# --- killed


def test_a_worker_killed_in_mid_batch_loses_nothing(receiver, sell_many):
    receiver.answers(SLOWLY)
    sell_many(MANY)
    with ClusterProcess() as cluster:
        receiver.wait_for(10)
        os.kill(a_busy_worker_of(cluster), signal.SIGKILL)
        wait_until_delivered(MANY)
        assert cluster.exit_codes == []  # the stock cluster sees to this by itself
    assert_all_arrived(receiver, repeats=UNFINISHED)


def test_idle_workers_killed_freeze_the_cluster_and_it_is_restarted(receiver, sell_many):
    with ClusterProcess() as cluster:
        for pid in cluster.workers:  # one of them holds the lock of the queue, for ever
            os.kill(pid, signal.SIGKILL)
        sell_many(1)
        assert cluster.wait_for_exit() == 3
        wait_until_delivered(1)
    assert_all_arrived(receiver, repeats=0)


def test_a_killed_sentinel_takes_all_with_it_and_a_new_cluster_goes_on(receiver, sell_many):
    receiver.answers(SLOWLY)
    sell_many(MANY)
    with ClusterProcess() as cluster:
        receiver.wait_for(10)
        before = cluster.processes()
        os.kill(cluster.sentinel, signal.SIGKILL)
        assert cluster.wait_for_exit(5) == 3
        wait_until(lambda: not any(map(is_alive, before)), "somebody lives on.", 5)
        wait_until_delivered(MANY)
    assert_all_arrived(receiver, repeats=UNFINISHED)


def test_a_killed_parent_leaves_no_orphan_at_work_and_a_new_cluster_goes_on(receiver, sell_many):
    receiver.answers(SLOWLY)
    sell_many(MANY)
    with ClusterProcess() as cluster:
        receiver.wait_for(10)
        before = cluster.processes()
        assert len(before) == 6
        os.kill(cluster.pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, before)), "somebody lives on.", 5)
        wait_until_delivered(MANY)
    assert_all_arrived(receiver, repeats=UNFINISHED)


# --- told to stop


def test_told_to_stop_in_mid_batch_it_ends_what_is_in_flight_and_gives_the_rest_back(receiver, sell_many):
    receiver.answers(Answer(delay=0.5))
    sell_many(100)
    with ClusterProcess(supervised=False) as cluster:
        receiver.wait_for(10)
        os.kill(cluster.pid, signal.SIGTERM)
        assert cluster.wait_for_exit(10) == 0
    assert not Delivery.objects.filter(state=State.SENDING).exists()
    delivered = Delivery.objects.filter(state=State.DELIVERED).count()
    assert 10 <= delivered == len(receiver.posts) < 100
    receiver.answers(200)
    with ClusterProcess():
        wait_until_delivered(100)
    assert_all_arrived(receiver, repeats=0)


def test_a_frozen_cluster_can_be_told_to_stop(receiver, sell_many):
    with ClusterProcess(supervised=False) as cluster:
        before = cluster.processes()
        for pid in cluster.workers:
            os.kill(pid, signal.SIGKILL)
        os.kill(cluster.pid, signal.SIGTERM)
        assert cluster.wait_for_exit(15) == 0
        wait_until(lambda: not any(map(is_alive, before)), "somebody lives on.", 5)


def test_told_to_stop_it_ends_though_its_sentinel_answers_no_more(receiver, sell_many):
    sell_many(1)
    with ClusterProcess(supervised=False) as cluster:
        receiver.wait_for(1)  # all of it has begun: until then its parent waits for the sentinel alone
        before = cluster.processes()
        os.kill(cluster.sentinel, signal.SIGSTOP)
        os.kill(cluster.pid, signal.SIGTERM)
        assert cluster.wait_for_exit(30) == 0
        wait_until(lambda: not any(map(is_alive, before)), "somebody lives on.", 5)


def test_a_signal_to_the_whole_group_does_not_hang_it(receiver, sell_many):
    with ClusterProcess(supervised=False) as cluster:
        before = cluster.processes()
        os.killpg(cluster.pid, signal.SIGTERM)
        cluster.wait_for_exit(15)
        wait_until(lambda: not any(map(is_alive, before)), "somebody lives on.", 5)


# --- without its broker


def test_a_sale_commits_while_the_broker_is_down_and_its_post_goes_out_on_the_brokers_return(
    receiver, sell_many, redis_queue
):
    with ClusterProcess(WATCHDOG_LIMIT="45") as cluster:
        sell_many(1)
        wait_until_delivered(1)
        redis_queue.stop()
        begun = time.monotonic()
        sell_many(1)
        assert time.monotonic() - begun < 1
        assert Delivery.objects.due().count() == 1
        redis_queue.start()
        wait_until_delivered(2, timeout=60)
        assert cluster.exit_codes == []  # and it was not restarted for it
    assert_all_arrived(receiver, repeats=0)


# --- an endpoint that fails as a whole


def test_two_workers_leave_a_failing_endpoint_alone_and_release_its_posts_together_once_it_works(
    receiver, config, sell_many
):
    with Receiver() as well:
        another = factories.make_config(config.owner, url=well.url)
        receiver.answers(Answer(500, delay=0.05))
        sell_many(MANY)
        with ClusterProcess(DELIVERY_CIRCUIT_WAIT="0.3", DELIVERY_CIRCUIT_RATE="10") as cluster:
            assert len(cluster.workers) == 2
            wait_until(lambda: circuit_of(config) == Phase.OPEN, "its circuit is closed.")
            well.wait_for(MANY)  # whom that does not concern
            wait_until(lambda: not config.deliveries.filter(state=State.SENDING).exists(), "posts go on.")
            tried, used_up = len(receiver.posts), tries_used_up(config)
            probes = receiver.wait_for(tried + 3)[tried : tried + 3]
            assert all(later.at - probe.at > 0.2 for probe, later in pairwise(probes))
            assert len({probe.headers["webhook-id"] for probe in probes}) == 3
            assert tries_used_up(config) == used_up <= settings.DELIVERY_CIRCUIT_FAILURES + UNFINISHED
            receiver.answers(200)
            wait_until_delivered(2 * MANY)
            assert cluster.exit_codes == []
    accepted = DeliveryAttempt.objects.filter(delivered=True)
    assert accepted.filter(delivery__config=another).count() == len(well.posts) == MANY
    assert accepted.filter(delivery__config=config).count() == MANY
    assert config.deliveries.filter(attempts__delivered=True).distinct().count() == MANY
    assert DeliveryAttempt.objects.filter(delivery__config=config).count() == len(receiver.posts)
    released = [post.at for post in receiver.posts[-MANY:]]
    assert sum(at - released[0] < 2 for at in released) <= 10 * 2 + 10  # not so many by each of the two


def circuit_of(config: WebhookConfig) -> str | None:
    return OwnQueue.objects.filter(pk=config.pk).values_list("circuit", flat=True).first()


def tries_used_up(config: WebhookConfig) -> int:
    return config.deliveries.aggregate(used_up=Sum("tries"))["used_up"]


# --- the parts


def test_a_suspicion_must_last_with_nothing_moving(monkeypatch, settings):
    settings.WATCHDOG_LIMIT = 45
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    suspicion = Suspicion()
    assert not suspicion.lasts(True, mark=1)
    now = 44
    assert not suspicion.lasts(True, mark=1)
    assert not suspicion.lasts(True, mark=2)  # a job began
    now = 88
    assert not suspicion.lasts(True, mark=2)
    now = 90
    assert suspicion.lasts(True, mark=2)
    assert not suspicion.lasts(False)
    now = 91
    assert not suspicion.lasts(True, mark=2)


def test_the_sweep_is_scheduled_once_and_runs_every_minute():
    schedule_jobs()
    schedule_jobs()
    schedule = Schedule.objects.get(name="sweep")
    assert (schedule.func, schedule.schedule_type, schedule.minutes) == ("deliveries.tasks.sweep", "I", 1)


def test_the_purge_is_scheduled_once_and_runs_every_night():
    schedule_jobs()
    schedule_jobs()
    schedule = Schedule.objects.get(func="deliveries.tasks.purge")
    assert (schedule.schedule_type, f"{schedule.next_run:%H:%M}") == (Schedule.DAILY, "06:17")
    assert timedelta(0) < schedule.next_run - timezone.now() <= timedelta(days=1)
