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
from tempfile import TemporaryDirectory

import pytest
from django.db import connection

from deliveries import home
from deliveries.home import Home
from deliveries.models import Delivery, Event
from sales.models import Transaction
from tests.deliveries.cluster_process import ClusterProcess, Supervised, is_alive, wait_until
from tests.postgres_server import PostgresServer
from tests.receiver import Answer

from .kit import UNFINISHED, Figures, Shop, WebProcess, a_free_port, claimed, compiled, on_database

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.cluster,
    pytest.mark.xdist_group("cluster"),
]

SLOWLY = Answer(delay=0.1)
# Seconds of claims and outcomes that a PostgreSQL which is cut off forgets, three times its wal_writer_delay, and some.
FORGOTTEN = 1.0
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
                with shop.fault("PostgreSQL is restarted") as fault:
                    postgres.stop("immediate")
                    postgres.start()
                    connection.close()  # which was cut
                    fault.claimed = claimed() | shop.arrived_since(fault.began - FORGOTTEN)
            wait_until(lambda: len(shop.promised) >= sales, "nothing is sold any more.", 120)
        figures = shop.count(repeats=restarts * 2 * UNFINISHED)
        assert cluster.exit_codes == []  # nobody was restarted for it
    return figures


def test_a_database_that_restarts_amid_sales_and_posts_loses_none(postgres, receiver, watch):
    restart_under_load(postgres, receiver, watch, restarts=1, sales=40)


@pytest.mark.faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("queue", ["PostgreSQL's own queue", "Redis"])
def test_a_database_that_restarts_ten_times(queue, request, clean_queue, postgres, receiver, watch, tell):
    if queue == "Redis":
        request.getfixturevalue("redis_queue")
    figures = restart_under_load(postgres, receiver, watch, restarts=10, sales=1_000)
    tell(f"PostgreSQL restarted, its connections cut, {queue}", figures)


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
                shop.fault("the database is locked") as fault,
            ):
                other.execute("PRAGMA busy_timeout = 20000")
                other.execute("BEGIN EXCLUSIVE")
                fault.claimed = claimed()  # it can be read all the while
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


@contextmanager
def mounted(where: Path, megabytes: int) -> Iterator[Path]:
    """A small disk."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "webhookhub", str(where)]
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


def fill_for(seconds: float, disk: Path, receiver, watch, then=lambda: None) -> Figures:
    """`then`: what the operator has to do once there is room again."""
    shop = Shop(receiver)
    receiver.answers(SLOWLY)
    with (
        WebProcess(a_free_port(), **watch.environment) as web,
        ClusterProcess(**watch.environment | {"WATCHDOG_LIMIT": "45"}) as cluster,
    ):
        for _ in range(20):
            shop.sell_on(web.url)
        # Who is among others that sell meanwhile, most of them in vain.
        with shop.selling(5, web.url), shop.fault("the disk is full"):
            with filled(disk):
                answers = []
                wait_until(
                    lambda: answers.append(shop.sell_on(web.url)) or answers[-1].status_code != 201,
                    "there is room without end.",
                    60,
                )
                time.sleep(seconds)  # how long it is full is what is tested
                answers.append(shop.sell_on(web.url))
            then()
        for refusal in answers[-2:]:
            assert refusal.status_code == 503
            assert "Our database cannot be reached, or is full" in refusal.text
        # The kernel gives the room back in its own time.
        wait_until(lambda: shop.sell_on(web.url).status_code == 201, "no sale is taken any more.")
        for _ in range(20):
            assert shop.sell_on(web.url).status_code == 201
        figures = shop.count(repeats=2 * UNFINISHED)
        figures.restarts = len(cluster.exit_codes)
    assert Event.objects.count() == Transaction.objects.count() == len(shop.promised)
    return figures


@pytest.fixture
def small_disk(clean_queue, tmp_path: Path) -> Iterator[Path]:
    """It holds the database."""
    with (
        mounted(tmp_path / "disk", megabytes=24) as disk,
        on_database(copy_of_the_database(disk / "db.sqlite3")),
    ):
        yield disk


@on_sqlite
def test_a_full_disk_refuses_sales_in_words_and_loses_none(small_disk, receiver, watch):
    fill_for(0.5, small_disk, receiver, watch)


@on_sqlite
@pytest.mark.faults
def test_a_disk_that_is_full_for_a_minute(small_disk, receiver, watch, tell):
    tell("disk full for 60 s, SQLite", fill_for(60, small_disk, receiver, watch))


@pytest.mark.faults
def test_a_disk_of_postgresql_that_is_full_for_a_minute(redis_queue, receiver, watch, tell):
    """Without room for its log it ends, and has to be started again once there is some."""
    with (
        TemporaryDirectory(prefix="webhookhub-disk-") as folder,
        mounted(Path(folder) / "disk", megabytes=120) as disk,
    ):
        Path(folder).chmod(0o755)  # PostgreSQL runs as a user of its own
        with PostgresServer(folder=str(disk)) as server, on_database(server.url):
            figures = fill_for(60, disk, receiver, watch, then=server.start)
    tell("disk full for 60 s, PostgreSQL and Redis", figures)


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
        (self._held / "db.sqlite3-wal").unlink(missing_ok=True)  # of before an earlier power loss
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
            with shop.fault("power loss") as fault:
                cut_the_power(cluster)
                fault.claimed = claimed()
    with on_database(disk.after_the_power_loss()), ClusterProcess(**watch.environment):
        shop.count(repeats=2 * UNFINISHED)


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_ten_power_losses_at_random_moments(disk, receiver, clean_queue, watch, chance, tell):
    """Of the whole machine, amid sales and posts."""
    receiver.answers(SLOWLY)
    url = disk.url
    with on_database(url):
        shop = Shop(receiver)
    for number in range(11):
        with on_database(url):
            environment = watch.environment | disk.environment() | {"TEST_SQLITE_SYNCHRONOUS": "FULL"}
            with ClusterProcess(**environment) as cluster, WebProcess(a_free_port(), **environment) as web:
                sold = len(shop.promised)
                with shop.selling(20, web.url):
                    wait_until(
                        lambda sold=sold: len(shop.promised) > sold + 20, "nothing is sold any more.", 60
                    )
                    time.sleep(chance.uniform(0, 3))  # the moment is what is drawn
                    if number < 10:
                        with shop.fault("power loss") as fault:
                            cut_the_power(cluster, web)
                            fault.claimed = claimed()
                if number == 10:
                    figures = shop.count(repeats=10 * 2 * UNFINISHED)
        if number < 10:
            url = disk.after_the_power_loss()
    tell("power loss, SQLite", figures)


def cut_the_power(*supervised: Supervised) -> None:
    """For all at once, and none is started again."""
    for each in supervised:
        each.stop_supervising()
    pids = [pid for each in supervised for pid in each.processes()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), "somebody lives on.")
