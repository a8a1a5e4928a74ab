"""kill -9 of any process at any moment, and SIGTERM to one or to all of a group."""

import signal
import time
from collections import Counter

import pytest

from tests.deliveries.cluster_process import ClusterProcess, children_of, is_alive, threads_of, wait_until
from tests.receiver import Answer

from .kit import (
    GROUP,
    ORPHANED,
    POSTING,
    ROLES,
    STUCK,
    UNFINISHED,
    WEB_GROUP,
    WEB_ROLES,
    Shop,
    WebProcess,
    a_free_port,
    process_of,
    stat_of,
)

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
IDLE = "idle workers"
SLOWLY = Answer(delay=0.2)  # so that a worker is amid posts when the test acts


# --- each once; test_cluster.py kills the busy worker, the idle ones, the sentinel and the parent


@pytest.mark.parametrize("role", ["monitor", "pusher"])
def test_whoever_of_the_cluster_is_killed_all_is_delivered(role, shop, watch):
    shop.receiver.answers(SLOWLY)
    shop.sell(MANY)
    with ClusterProcess(**watch.environment) as cluster:
        shop.receiver.wait_for(5)
        wait_until(lambda: process_of(role, cluster), f"there is no {role}.")
        shop.kill(role, [process_of(role, cluster)], signal.SIGKILL, posts=False)
        shop.sell(5)
        shop.count(repeats=0)


@pytest.mark.parametrize("role", ["busy worker", "sentinel", "group"])  # the others die of it as of a kill
def test_whoever_of_the_cluster_gets_a_sigterm_all_is_delivered(role, shop, watch):
    shop.receiver.answers(SLOWLY)
    shop.sell(MANY)
    with ClusterProcess(**watch.environment) as cluster:
        shop.receiver.wait_for(5)
        if role == "group":
            shop.kill_group(role, cluster.processes(), signal.SIGTERM)
        else:
            wait_until(lambda: process_of(role, cluster), f"there is no {role}.")
            pid = process_of(role, cluster)
            shop.kill(role, [pid, *children_of(pid)], signal.SIGTERM)
        shop.sell(5)
        shop.count(repeats=2 * UNFINISHED)
        wait_until(lambda: not watch.orphans(cluster), "somebody is left behind.", ORPHANED)


def test_the_end_of_a_frozen_cluster_cuts_off_no_post(shop, watch):
    """Without its monitor the workers post on: the watchdog must let them end what they have in hand."""
    shop.receiver.answers(SLOWLY)
    with ClusterProcess(**watch.environment) as cluster:
        wait_until(lambda: process_of("monitor", cluster), "there is no monitor.")
        shop.kill("monitor", [process_of("monitor", cluster)], signal.SIGKILL, posts=False)
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
                shop.kill("web", [victim()], signal.SIGKILL, posts=False)
            before = len(shop.promised)
            wait_until(lambda: len(shop.promised) > before + 5, "nothing is sold any more.", 60)
        shop.count(repeats=0)
        wait_until(lambda: not watch.orphans(cluster, web), "somebody is left behind.", ORPHANED)


# --- with the times of production


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "roles",
    [
        # The worst: posts that wait for their lease, and a cluster that is frozen.
        ["busy worker", IDLE],
        ["sentinel"],
        ["parent"],
        ["monitor"],
        ["pusher"],
    ],
    ids=" and ".join,
)
def test_with_the_times_of_production_all_is_delivered_within_two_minutes(roles, shop, watch, tell):
    shop.receiver.answers(SLOWLY)
    environment = watch.environment | PRODUCTION
    with ClusterProcess(**environment) as cluster:
        shop.sell(20)
        shop.receiver.wait_for(5)
        wait_until(lambda: process_of("busy worker", cluster), "there is no worker.")
        for role in roles:
            if role == IDLE:
                kill_the_idle(cluster, shop)
            else:
                assert kill_one(role, signal.SIGKILL, cluster, shop, watch)
        shop.sell(5)
        wait_until(lambda: not watch.orphans(cluster), "somebody is left behind.", ORPHANED)
        time.sleep(5)  # so that whoever is left has nothing in hand, and must hear of the next
        shop.sell(5)
        figures = shop.count(repeats=2 * UNFINISHED)
        watch.look()
        figures.restarts = len(cluster.exit_codes)
        assert IDLE not in roles or cluster.exit_codes == [3]  # it was frozen
    assert figures.longest < STUCK
    tell(f"{' and '.join(roles)} killed, with the times of production", figures)


def kill_the_idle(cluster: ClusterProcess, shop: Shop) -> None:
    """All workers, once none of them has a post in hand: one of them holds the lock of the queue, for ever."""

    def idle() -> list[int]:
        stat = stat_of(cluster)
        return [pid for pid in stat.workers if is_alive(pid) and threads_of(pid) <= 4] if stat else []

    wait_until(lambda: len(idle()) == 2, "the workers are busy.")
    for pid in idle():
        shop.kill("idle worker", [pid], signal.SIGKILL)


# --- many, at random


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_fifty_kills_at_random_over_5000_posts(storage, receiver, watch, chance, tell):
    """Each process seven times by kill -9, and each once, and all of a group at once, by SIGTERM."""
    receiver.answers(Answer(delay=0.1))
    shop = Shop(receiver, configurations=5)
    kills = [(role, signal.SIGKILL) for role in ROLES + WEB_ROLES for _ in range(7)]
    kills += [(role, signal.SIGTERM) for role in (*ROLES, *WEB_ROLES, GROUP, GROUP, WEB_GROUP)]
    chance.shuffle(kills)
    with (
        ClusterProcess(**watch.environment) as one,
        ClusterProcess(**watch.environment) as two,
        WebProcess(a_free_port(), **watch.environment) as web,
    ):
        with shop.selling(6, web.url):
            while kills or len(shop.promised) < 1_000:
                time.sleep(chance.uniform(0.5, 5))  # the moment is what is drawn
                watch.look()
                if kills and kill_one(
                    *kills[-1], web if "web" in kills[-1][0] else chance.choice([one, two]), shop, watch
                ):
                    kills.pop()
        figures = shop.count(repeats=sum(len(fault.claimed) for fault in shop.faults))
        wait_until(lambda: not watch.orphans(one, two, web), "somebody is left behind.", ORPHANED)
        watch.look()
        figures.restarts = len(one.exit_codes + two.exit_codes)
    killed = Counter(fault.what for fault in shop.faults)
    assert all(killed[f"{role} SIGKILL"] == 7 for role in ROLES + WEB_ROLES)
    assert (killed.total(), figures.posts) >= (67, 5_000)
    tell(f"kill -9 and SIGTERM at random moments, {storage}", figures)


def kill_one(
    role: str, signum: signal.Signals, among: ClusterProcess | WebProcess, shop: Shop, watch
) -> bool:
    """Whether there was one. What it was told is noted as a fault of that name."""
    what = f"{role} {signum.name}"
    if not is_alive(among.pid):  # its supervisor has yet to start another
        return False
    if role in (GROUP, WEB_GROUP):
        shop.kill_group(what, among.processes(), signum, posts=role == GROUP)
        return True
    if role in WEB_ROLES:
        workers = children_of(among.pid)
        pid, below = (among.pid, workers) if role == "web parent" else ((workers or [0])[0], [])
    else:
        pid = process_of(role, among)
        below = (
            among.descendants()
            if role == "parent"
            else children_of(pid)
            if role == "sentinel" and pid
            else []
        )
    if not pid:
        return False
    watch.mourn(below)
    # Of the web's the workers see in their own time that their parent is gone.
    shop.kill(what, [pid] if role in WEB_ROLES else [pid, *below], signum, posts=role in POSTING)
    return True
