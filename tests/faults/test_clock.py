"""The machine's clock is set back, and forward, by an hour: the site's and the workers', amid sales and posts."""

import struct
from pathlib import Path

import pytest

from deliveries.models import Delivery, State
from tests.deliveries.cluster_process import ClusterProcess, wait_until
from tests.receiver import Answer

from .kit import UNFINISHED, Shop, WebProcess, a_free_port, compiled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]

HOUR = 3600


class Clock:
    """That of the processes in its `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("d", 0))
        self.environment = {"LD_PRELOAD": compiled("clock", folder), "CLOCK_FILE": str(self._file)}

    def set_off(self, seconds: float) -> None:
        """So far from the time that it is."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))


def an_hour_off(shop: Shop, clock: Clock, watch, sales: int):
    shop.receiver.answers(*[Answer(400, delay=0.1)] * 10, Answer(delay=0.1))
    environment = watch.environment | clock.environment
    # With a next try that lies some seconds ahead when the clock is set.
    environment |= {"DELIVERY_RETRY_AFTER": "2,2,2,2"}
    with WebProcess(a_free_port(), **environment) as web, ClusterProcess(**environment):
        with shop.selling(20, web.url):
            for number, offset in enumerate((-HOUR, 0, HOUR, 0), start=1):
                aim = number * sales // 5
                wait_until(lambda aim=aim: len(shop.promised) >= aim, "nothing is sold any more.", 60)
                with shop.fault(f"the clock is {offset} s off"):
                    clock.set_off(offset)
            wait_until(lambda: len(shop.promised) >= sales, "nothing is sold any more.", 60)
        wait_until(
            lambda: not Delivery.objects.exclude(state=State.DELIVERED).exists(), "posts are stuck.", 120
        )
    return shop


def test_a_clock_that_is_set_back_and_forward_by_an_hour_keeps_nothing_waiting(shop, watch, tmp_path):
    an_hour_off(shop, Clock(tmp_path), watch, sales=60).count(repeats=10 + 4 * UNFINISHED, failed=10)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_clock_that_is_set_back_and_forward_under_load(shop, watch, tmp_path, tell):
    figures = an_hour_off(shop, Clock(tmp_path), watch, sales=1_000).count(
        repeats=10 + 4 * UNFINISHED, failed=10
    )
    tell("clock set back and forward by an hour", figures)
