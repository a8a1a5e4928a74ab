"""`health`, as a monitor runs it: a process of its own."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from configurations.models import Reason, WebhookConfig
from deliveries import tasks
from deliveries.models import Delivery, State
from tests import factories
from tests.commands import Ran, manage

from .cluster_process import ClusterProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

BY_CRON = ("--min-workers", 0)  # no cluster is asked for


@pytest.fixture(autouse=True)
def _no_cluster_of_another_test(clean_queue):
    """What a cluster last said of itself outlives it by three seconds."""
    cache.clear()


def out_of_bounds(ran: Ran) -> set[str]:
    return {finding["name"] for finding in ran.json["findings"] if not finding["ok"]}


def is_late(**span: float) -> None:
    long_ago = timezone.now() - timedelta(days=1)
    WebhookConfig.objects.update(state_changed_at=long_ago)
    Delivery.objects.update(created_at=timezone.now() - timedelta(**span))


def test_all_is_well_with_a_cluster_that_posts(sell_many, receiver):
    with ClusterProcess():
        tasks.sweep()
        sell_many(3)
        receiver.wait_for(3)
        wait_until(lambda: not Delivery.objects.exclude(state=State.DELIVERED).exists(), "a post waits.")
        ran = manage("health", "--json")
    assert (ran.code, out_of_bounds(ran)) == (0, set())
    assert ran.json["ok"] is True
    assert ran.json["vitals"]["cluster"] == {"queue": 0, "clusters": 1, "workers": 2}
    assert ran.json["vitals"]["lag"]["tries"] == 3


def test_with_no_cluster_and_no_sweep_two_figures_are_out_of_bounds():
    ran = manage("health")
    assert ran.code == 1
    bad = [line for line in ran.out.splitlines() if line.startswith("OUT OF BOUNDS")]
    assert [line.split(maxsplit=3)[3] for line in bad] == [
        "0 workers are alive. The bound is 1.",
        "There has been no sweep yet. The bound is 3 min.",
    ]
    assert ran.out.endswith("2 figures are out of bounds.\n")
    assert ran.err == ""


def test_where_cron_sends_no_cluster_is_asked_for():
    assert manage("health", *BY_CRON).code == 0


def test_a_post_that_is_due_for_too_long_is_out_of_bounds(sell):
    sell()
    is_late(minutes=5)
    ran = manage("health", *BY_CRON, "--json")
    assert (ran.code, out_of_bounds(ran)) == (1, {"oldest_due"})
    assert ran.json["vitals"]["posts"]["due"] == 1
    assert manage("health", *BY_CRON, "--max-age", 600).code == 0


def test_a_post_that_its_worker_left_behind_for_too_long_is_out_of_bounds(sell):
    sell()
    gone = timezone.now() - timedelta(minutes=5)
    Delivery.objects.update(state=State.SENDING, lease_until=gone)
    ran = manage("health", *BY_CRON, "--json")
    assert (ran.code, out_of_bounds(ran)) == (1, {"lapsed"})


def test_configurations_that_are_disabled_count_only_where_a_bound_is_given():
    factories.make_config().disable(Reason.SERVER)
    assert manage("health", *BY_CRON).code == 0
    ran = manage("health", *BY_CRON, "--max-disabled", 0, "--json")
    assert (ran.code, out_of_bounds(ran)) == (1, {"disabled"})


def test_jobs_that_pile_up_are_out_of_bounds(sell):
    sell()
    ran = manage("health", "--max-queue", 0, "--json")
    assert (ran.code, out_of_bounds(ran)) == (1, {"queue", "workers", "sweep"})
    assert manage("health", "--max-queue", 0, *BY_CRON).code == 0, "there nobody takes jobs"


def test_a_queue_that_cannot_be_reached_is_said_so():
    ran = manage("health", "--json", BROKER_URL="redis://127.0.0.1:1/0")
    assert ran.code == 2
    assert ran.json["error"].startswith("The queue cannot be reached. The database can: 0 posts")


def test_a_database_that_cannot_be_reached_is_said_so():
    ran = manage("health", "--json", DATABASE_URL="postgres://nobody@127.0.0.1:1/none")
    assert ran.code == 2
    assert ran.json["error"].startswith("The database cannot be used: ")


@pytest.mark.parametrize("bound", [("--max-age", "0"), ("--max-queue", "-1"), ("--min-workers", "two")])
def test_a_bound_that_is_none_is_refused(bound):
    ran = manage("health", *bound)
    assert ran.code == 2
    assert bound[0] in ran.err


def test_verbosity_0_leaves_the_exit_code_alone():
    ran = manage("health", "--verbosity", 0)
    assert (ran.code, ran.out, ran.err) == (1, "", "")
