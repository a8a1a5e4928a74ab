"""Redis restarts, and all that it held is lost."""

import pytest

from tests.deliveries.cluster_process import ClusterProcess, wait_until
from tests.receiver import Answer

from .kit import Shop, WebProcess, a_free_port

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]


def lose_the_queue(shop, redis_queue, watch, times: int, sales: int):
    shop.receiver.answers(Answer(delay=0.1))
    environment = watch.environment | {"WATCHDOG_LIMIT": "45"}
    with WebProcess(a_free_port(), **environment) as web, ClusterProcess(**environment) as cluster:
        with shop.selling(20, web.url):
            for number in range(1, times + 1):
                aim = number * sales // (times + 1)
                wait_until(lambda aim=aim: len(shop.promised) >= aim, "nothing is sold any more.", 120)
                with shop.fault("Redis restarts with nothing"):
                    redis_queue.stop()
                    redis_queue.start()
            wait_until(lambda: len(shop.promised) >= sales, "nothing is sold any more.", 120)
        figures = shop.count(repeats=0)
        assert cluster.exit_codes == []  # nobody was restarted for it
    assert not shop.refused
    return figures


def test_a_queue_that_loses_all_it_held_loses_no_post(shop, redis_queue, watch):
    lose_the_queue(shop, redis_queue, watch, times=1, sales=40)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_queue_that_loses_all_it_held_ten_times(redis_queue, postgres, receiver, watch, tell):
    figures = lose_the_queue(Shop(receiver), redis_queue, watch, times=10, sales=1_000)
    tell("Redis restarted with all its data lost, PostgreSQL", figures)
