"""The machine's clock is set back, and forward, by an hour: the site's and the workers', amid sales and posts."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from sales.models import Product
from tests.deliveries.cluster_process import ClusterProcess, wait_until
from tests.receiver import Answer

from .kit import UNFINISHED, Figures, Shop, WebProcess, a_free_port, claimed, compiled

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]

HOUR = 3600


class Clock:
    """That of the processes in its `environment`. `folder` can be read by whoever is to have it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_bytes(struct.pack("d", 0))
        self.environment = {"LD_PRELOAD": compiled("clock", folder), "CLOCK_FILE": str(self._file)}

    def set_off(self, seconds: float) -> None:
        """So far from the time that it is."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", seconds))


@pytest.fixture
def clock(monkeypatch) -> Iterator[Clock]:
    """That of each process which the test starts; of a database server of its own too, if it asks for that later."""
    with TemporaryDirectory(prefix="webhookhub-clock-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        clock = Clock(Path(folder))
        for name, value in clock.environment.items():
            monkeypatch.setenv(name, value)
        yield clock


def off_by() -> float:
    """Seconds by which the database's clock is ahead of ours."""
    return (Product.objects.values_list(Now(), flat=True).get() - timezone.now()).total_seconds()


def an_hour_off(shop: Shop, clock: Clock, watch, sales: int) -> Figures:
    shop.receiver.answers(*[Answer(400, delay=0.1)] * 10, Answer(delay=0.1))
    environment = watch.environment
    # With a next try that lies some seconds ahead when the clock is set.
    environment |= {"DELIVERY_RETRY_AFTER": "2,2,2,2"}
    with WebProcess(a_free_port(), **environment) as web, ClusterProcess(**environment) as cluster:
        with shop.selling(20, web.url):
            for number, offset in enumerate((-HOUR, 0, HOUR, 0), start=1):
                aim = number * sales // 5
                wait_until(lambda aim=aim: len(shop.promised) >= aim, "nothing is sold any more.", 60)
                with shop.fault(f"the clock is {offset} s off") as fault:
                    clock.set_off(offset)
                    fault.claimed = claimed()
                    time.sleep(0.2)  # whoever was claiming at that very moment has done so
                    fault.claimed |= claimed()
                if connection.vendor == "postgresql":  # else it is that of the processes
                    assert off_by() == pytest.approx(offset, abs=60)
            wait_until(lambda: len(shop.promised) >= sales, "nothing is sold any more.", 60)
        figures = shop.count(repeats=10 + 4 * UNFINISHED, failed=10)
        figures.restarts = len(cluster.exit_codes)
    return figures


def test_a_clock_that_is_set_back_and_forward_by_an_hour_keeps_nothing_waiting(shop, clock, watch):
    an_hour_off(shop, clock, watch, sales=60)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_clock_that_is_set_back_and_forward_under_load(clock, storage, receiver, watch, tell):
    figures = an_hour_off(Shop(receiver), clock, watch, sales=1_000)
    tell(f"clock set back and forward by an hour, {storage}", figures)
