"""kill -9 of any process at any moment, and SIGTERM to one or to all of a group."""

import os
import signal
import time

import pytest

from tests.deliveries.cluster_process import ClusterProcess, children_of, is_alive, wait_until
from tests.receiver import Answer

from .kit import ROLES, STUCK, UNFINISHED, WEB_ROLES, Shop, WebProcess, a_free_port, process_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]

MANY = 60
PRODUCTION = {
    "DELIVERY_RETRY_AFTER": "15,300,3600,43200",
    "DELIVERY_CONNECT_TIMEOUT": "5",
    "DELIVERY_DEADLINE": "15",
    "DELIVERY_LEASE": "45",
    "WATCHDOG_LIMIT": "45",
}
SLOWLY = Answer(delay=0.2)  # so that a worker is amid posts when the test acts


# --- each once; test_cluster.py kills the busy worker, the idle ones, the sentinel and the parent


@pytest.mark.parametrize("role", ["monitor", "pusher"])
def test_whoever_of_the_cluster_is_killed_all_is_delivered(role, shop, watch):
    shop.receiver.answers(SLOWLY)
    shop.sell(MANY)
    with ClusterProcess(**watch.environment) as cluster:
        shop.receiver.wait_for(5)
        wait_until(lambda: process_of(role, cluster), f"there is no {role}.")
        shop.kill(role, process_of(role, cluster), signal.SIGKILL)
        shop.sell(5)
        shop.count(repeats=2 * UNFINISHED)


@pytest.mark.parametrize("role", ["busy worker", "sentinel", "group"])  # the others die of it as of a kill
def test_whoever_of_the_cluster_gets_a_sigterm_all_is_delivered(role, shop, watch):
    shop.receiver.answers(SLOWLY)
    shop.sell(MANY)
    with ClusterProcess(**watch.environment) as cluster:
        shop.receiver.wait_for(5)
        if role == "group":
            with shop.fault(role):
                os.killpg(cluster.pid, signal.SIGTERM)
        else:
            wait_until(lambda: process_of(role, cluster), f"there is no {role}.")
            shop.kill(role, process_of(role, cluster), signal.SIGTERM)
        shop.sell(5)
        shop.count(repeats=2 * UNFINISHED)
        wait_until(lambda: not watch.orphans(cluster), "somebody is left behind.", 60)


def test_the_end_of_a_frozen_cluster_cuts_off_no_post(shop, watch):
    """Without its monitor the workers post on: the watchdog must let them end what they have in hand."""
    shop.receiver.answers(SLOWLY)
    with ClusterProcess(**watch.environment) as cluster:
        wait_until(lambda: process_of("monitor", cluster), "there is no monitor.")
        shop.kill("monitor", process_of("monitor", cluster), signal.SIGKILL)
        with shop.selling(30):
            assert cluster.wait_for_exit() == 3
        shop.count(repeats=0)


def test_a_web_process_that_is_killed_amid_sales_loses_none_that_it_promised(shop, watch):
    with (
        ClusterProcess(**watch.environment) as cluster,
        WebProcess(a_free_port(), **watch.environment) as web,
    ):
        with shop.selling(50, web.url):
            for victim in (lambda: children_of(web.pid)[0], lambda: web.pid):
                before = len(shop.promised)
                wait_until(lambda before=before: len(shop.promised) > before + 5, "nothing is sold.")
                shop.kill("web", victim(), signal.SIGKILL)
            before = len(shop.promised)
            wait_until(lambda: len(shop.promised) > before + 5, "nothing is sold any more.", 60)
        shop.count(repeats=0)
        wait_until(lambda: not watch.orphans(cluster, web), "somebody is left behind.", 60)


# --- with the times of production


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_with_the_times_of_production_all_is_delivered_within_two_minutes(receiver, clean_queue, watch, tell):
    """The worst of them at once: a busy worker, whose posts wait for their lease, and an idle one, which freezes all."""
    receiver.answers(SLOWLY)
    shop = Shop(receiver)
    environment = watch.environment | PRODUCTION
    with ClusterProcess(**environment) as cluster:
        shop.sell(20)
        receiver.wait_for(5)
        wait_until(lambda: process_of("busy worker", cluster), "there is no worker.")
        for role in ("busy worker", "idle worker"):
            shop.kill(role, process_of(role, cluster), signal.SIGKILL)
        shop.sell(5)
        figures = shop.count(repeats=2 * UNFINISHED)
    assert figures.longest < STUCK
    tell("a busy and an idle worker killed, with the times of production", figures)


# --- many, at random


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_fifty_kills_at_random_over_5000_posts(receiver, clean_queue, watch, chance, tell):
    receiver.answers(Answer(delay=0.1))
    shop = Shop(receiver, configurations=5)
    victims = [role for role in ROLES + WEB_ROLES for _ in range(7)]
    chance.shuffle(victims)
    with (
        ClusterProcess(**watch.environment) as one,
        ClusterProcess(**watch.environment) as two,
        WebProcess(a_free_port(), **watch.environment) as web,
    ):
        with shop.selling(6, web.url):
            while victims or len(shop.promised) < 1_000:
                time.sleep(chance.uniform(0.5, 5))  # the moment is what is drawn
                watch.look()
                if victims and kill_one(victims[-1], chance.choice([one, two]), web, shop, watch):
                    victims.pop()
        figures = shop.count(repeats=len(shop.faults) * UNFINISHED * 5)
        wait_until(lambda: not watch.orphans(one, two, web), "somebody is left behind.", 60)
    assert (figures.faults, figures.posts) >= (50, 5_000)
    tell("kill -9 of any process, web too, at random moments", figures)


def kill_one(role: str, cluster: ClusterProcess, web: WebProcess, shop: Shop, watch) -> bool:
    """Whether there was one."""
    if role in WEB_ROLES:
        workers = children_of(web.pid)
        pid = web.pid if role == "web parent" else (workers[0] if workers else None)
        below = workers if role == "web parent" else []
    else:
        pid = process_of(role, cluster)
        below = (
            cluster.descendants()
            if role == "parent"
            else children_of(pid)
            if role == "sentinel" and pid
            else []
        )
    if not pid or not is_alive(pid):
        return False
    shop.kill(role, pid, signal.SIGKILL)
    watch.mourn(below)
    return True
