"""The database restarts, is locked, runs out of room, or loses its power."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from deliveries import home
from deliveries.home import Home
from deliveries.models import Delivery, Event
from sales.models import Transaction
from tests.deliveries.cluster_process import ClusterProcess, wait_until
from tests.receiver import Answer

from .kit import UNFINISHED, Figures, Shop, WebProcess, a_free_port, compiled, on_database

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]

SLOWLY = Answer(delay=0.1)
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="It is about SQLite.")


def copy_of_the_database(path: Path) -> str:
    """The tests' own, in a file of its own, without the pages that earlier tests left free. Returns its DATABASE_URL."""
    with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as ours:
        ours.execute("VACUUM INTO ?", [str(path)])
    return f"sqlite:///{path}"


# --- restarted


def restart_under_load(postgres, receiver, watch, restarts: int, sales: int) -> Figures:
    receiver.answers(SLOWLY)
    shop = Shop(receiver)
    with (
        WebProcess(a_free_port(), **watch.environment) as web,
        # As in production, above what a job may take: or else the watchdog ends one that is only busy.
        ClusterProcess(**watch.environment | {"WATCHDOG_LIMIT": "45"}) as cluster,
    ):
        with shop.selling(20, web.url):
            for number in range(1, restarts + 1):
                aim = number * sales // (restarts + 1)
                wait_until(lambda aim=aim: len(shop.promised) >= aim, "nothing is sold any more.", 120)
                with shop.fault("PostgreSQL is restarted"):
                    postgres.stop("immediate")
                    postgres.start()
            wait_until(lambda: len(shop.promised) >= sales, "nothing is sold any more.", 120)
        figures = shop.count(repeats=restarts * 2 * UNFINISHED)
        assert cluster.exit_codes == []  # nobody was restarted for it
    return figures


def test_a_database_that_restarts_amid_sales_and_posts_loses_none(postgres, receiver, watch):
    restart_under_load(postgres, receiver, watch, restarts=1, sales=40)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_a_database_that_restarts_ten_times(postgres, receiver, watch, tell):
    figures = restart_under_load(postgres, receiver, watch, restarts=10, sales=1_000)
    tell("PostgreSQL restarted, its connections cut", figures)


# --- locked


def lock_for(seconds: float, shop: Shop, watch) -> Figures:
    with (
        WebProcess(a_free_port(), **watch.environment) as web,
        ClusterProcess(**watch.environment),
    ):
        with shop.selling(20, web.url):
            shop.receiver.wait_for(10)
            with (
                contextlib.closing(
                    sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
                ) as other,
                shop.fault("the database is locked"),
            ):
                other.execute("PRAGMA busy_timeout = 20000")
                other.execute("BEGIN EXCLUSIVE")
                time.sleep(seconds)  # how long it is locked is what is tested
                other.execute("ROLLBACK")
            sold = len(shop.promised)
            wait_until(lambda: len(shop.promised) > sold + 10, "nothing is sold any more.")
        return shop.count(repeats=2 * UNFINISHED)


@on_sqlite
def test_a_database_that_is_locked_for_a_while_loses_nothing(shop, watch):
    lock_for(1.5, shop, watch)
    assert not shop.refused


@on_sqlite
@pytest.mark.faults
def test_a_database_that_is_locked_for_ten_seconds(shop, watch, tell):
    tell("SQLite locked for 10 s", lock_for(10, shop, watch))
    assert not shop.refused


# --- full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "webhookhub", str(where)]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("No disk can be mounted here: it takes root, in a system that lets it.")
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    try:
        yield
    finally:
        filler.unlink()


def fill_for(seconds: float, disk: Path, receiver, watch) -> Figures:
    with on_database(copy_of_the_database(disk / "db.sqlite3")):
        shop = Shop(receiver)
        receiver.answers(SLOWLY)
        with (
            WebProcess(a_free_port(), **watch.environment) as web,
            ClusterProcess(**watch.environment | {"WATCHDOG_LIMIT": "45"}),
        ):
            for _ in range(20):
                shop.sell_on(web.url)
            with filled(disk), shop.fault("the disk is full"):
                answers = []
                wait_until(
                    lambda: answers.append(shop.sell_on(web.url)) or answers[-1].status_code != 201,
                    "there is room without end.",
                )
                time.sleep(seconds)  # how long it is full is what is tested
                answers.append(shop.sell_on(web.url))
            for refusal in answers[-2:]:
                assert refusal.status_code == 503
                assert "Our database cannot be reached, or is full" in refusal.text
            # The kernel gives the room back in its own time.
            wait_until(lambda: shop.sell_on(web.url).status_code == 201, "no sale is taken any more.")
            for _ in range(20):
                assert shop.sell_on(web.url).status_code == 201
            figures = shop.count(repeats=2 * UNFINISHED)
        assert Event.objects.count() == Transaction.objects.count() == len(shop.promised)
    return figures


@on_sqlite
def test_a_full_disk_refuses_sales_in_words_and_loses_none(small_disk, receiver, clean_queue, watch):
    fill_for(0.5, small_disk, receiver, watch)


@on_sqlite
@pytest.mark.faults
def test_a_disk_that_is_full_for_a_minute(small_disk, receiver, clean_queue, watch, tell):
    tell("disk full for a minute", fill_for(60, small_disk, receiver, watch))


# --- without power


class Disk:
    """Two folders: what the processes see, and what a power loss would leave of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen, self._held = folder / "seen", folder / "held"
        for path in (self._seen, self._held):
            path.mkdir()
        self._shim = compiled("durable", folder)
        self.url = copy_of_the_database(self._seen / "db.sqlite3")

    def environment(self) -> dict[str, str]:
        """Of the processes that are to lose their power. From now on nobody else writes."""
        connection.close()
        with contextlib.closing(sqlite3.connect(self._seen / "db.sqlite3")) as last:
            last.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self._seen / "db.sqlite3", self._held)
        return {
            "LD_PRELOAD": self._shim,
            "DISK_IS": str(self._seen),
            "DISK_HOLDS": str(self._held),
        }

    def after_the_power_loss(self) -> str:
        """In the same place: in another one it would be a copy, and held."""
        shutil.rmtree(self._seen)
        self._seen.mkdir()
        for name in ("db.sqlite3", "db.sqlite3-wal", "db.sqlite3.home"):
            if (self._held / name).exists():
                shutil.copy(self._held / name, self._seen)
        return self.url


@pytest.fixture
def disk(transactional_db, tmp_path: Path) -> Disk:
    if connection.vendor != "sqlite":
        pytest.skip("It is about SQLite.")
    return Disk(tmp_path)


def promised_and_kept(disk: Disk, receiver, synchronous: str) -> tuple[int, int]:
    """Sales that the platform said were committed, and those of them that are there after a power loss."""
    with on_database(disk.url):
        shop = Shop(receiver)
        with WebProcess(a_free_port(), **disk.environment(), TEST_SQLITE_SYNCHRONOUS=synchronous) as web:
            for _ in range(10):
                shop.sell_on(web.url)
    with on_database(disk.after_the_power_loss()):
        kept = Transaction.objects.filter(code__in=shop.promised).count()
        assert Delivery.objects.count() == Event.objects.count() == kept
    return len(shop.promised), kept


def test_what_the_site_promised_is_there_after_a_power_loss(disk, receiver):
    assert promised_and_kept(disk, receiver, "FULL") == (10, 10)


def test_where_commits_do_not_wait_for_the_disk_a_power_loss_takes_them(disk, receiver):
    """So the test above would see it."""
    promised, kept = promised_and_kept(disk, receiver, "NORMAL")
    assert kept < promised


@on_sqlite
def test_the_mark_beside_the_database_is_on_the_disk_before_its_row(monkeypatch):
    """Else what is left of a power loss would be taken for a copy, and nothing would be sent."""
    told, fsync = [], os.fsync

    def note(handle: int) -> None:
        told.append((os.readlink(f"/proc/self/fd/{handle}"), Home.objects.count()))
        fsync(handle)

    Home.objects.all().delete()
    monkeypatch.setattr(os, "fsync", note)
    home.settle()
    assert Home.objects.count() == 1
    assert told[-1] == (str(home.file().parent), 0)


def test_a_power_loss_amid_posts_repeats_those_in_flight_alone(disk, receiver, watch):
    receiver.answers(SLOWLY)
    with on_database(disk.url):
        shop = Shop(receiver)
        shop.sell(60)
        environment = disk.environment()
        with ClusterProcess(**watch.environment | environment, TEST_SQLITE_SYNCHRONOUS="FULL") as cluster:
            receiver.wait_for(20)
            with shop.fault("power loss"):
                for pid in cluster.processes():
                    os.kill(pid, signal.SIGKILL)
    with on_database(disk.after_the_power_loss()), ClusterProcess(**watch.environment):
        shop.count(repeats=2 * UNFINISHED)
