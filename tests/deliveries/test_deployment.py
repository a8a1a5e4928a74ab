"""The systemd units: they say what the worker relies on, and ended as they say it loses nothing.

Where systemd does not run, as in a container, its signals are sent by the test.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from deliveries.models import Delivery, State
from tests.receiver import Answer, Receiver

from .cluster_process import COMMAND, ClusterProcess, is_alive, wait_until

UNITS = Path(settings.BASE_DIR) / "docs" / "deployment"
WORKER, WEB = UNITS / "webhookhub-worker.service", UNITS / "webhookhub-web.service"


def read(unit: Path) -> dict[str, str]:
    lines = unit.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if re.match(r"[A-Za-z]+=", line))


@pytest.mark.parametrize("unit", [WORKER, WEB], ids=lambda unit: unit.name)
def test_a_unit_signals_the_main_process_alone_and_starts_again_what_exits(unit):
    says = read(unit)
    assert (says["KillMode"], says["KillSignal"]) == ("mixed", "SIGTERM")
    assert (says["Restart"], says["StartLimitIntervalSec"]) == ("always", "0")


def test_the_worker_has_time_to_end_by_itself_before_it_is_killed():
    longest_job = settings.DELIVERY_DRAIN_BUDGET + 2 * settings.DELIVERY_DEADLINE
    assert longest_job < settings.WATCHDOG_LIMIT < float(read(WORKER)["TimeoutStopSec"])
    assert longest_job < settings.Q_CLUSTER["timeout"] < settings.Q_CLUSTER["retry"]


@pytest.mark.parametrize("unit", [WORKER, WEB], ids=lambda unit: unit.name)
def test_a_unit_has_limits_and_writes_in_one_folder_alone(unit):
    says = read(unit)
    assert says["User"] == says["Group"] == "webhookhub"
    assert {"MemoryMax", "TasksMax", "LimitNOFILE"} <= set(says)
    assert (says["ProtectSystem"], says["ReadWritePaths"]) == ("strict", "/opt/webhookhub/var")


@pytest.mark.parametrize("unit", [WORKER, WEB], ids=lambda unit: unit.name)
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed.")
def test_systemd_finds_little_that_a_unit_may_do_beside_its_work(unit):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # an exposure of 2.0 of 10 at most


@pytest.mark.parametrize("unit", [WORKER, WEB], ids=lambda unit: unit.name)
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed.")
def test_systemd_reads_the_unit_without_complaint(unit, tmp_path):
    here = tmp_path / unit.name
    text = unit.read_text().replace("/opt/webhookhub/.venv/bin/gunicorn", sys.executable)
    here.write_text(text.replace("/opt/webhookhub/.venv/bin/python", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(here)], capture_output=True, text=True, timeout=60
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []


@pytest.fixture
def worker_in_mid_batch(receiver: Receiver, sell_many: Callable[[int], None]) -> Iterator[ClusterProcess]:
    receiver.answers(Answer(delay=0.3))
    sell_many(60)
    with ClusterProcess(supervised=False) as worker:
        receiver.wait_for(10)
        yield worker


@pytest.mark.cluster
@pytest.mark.xdist_group("cluster")
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clean_queue")
class TestTheWorker:
    def test_is_started_by_the_command_that_the_unit_gives(self):
        assert shlex.split(read(WORKER)["ExecStart"])[1:] == COMMAND[1:]

    def test_ends_by_itself_when_the_unit_is_stopped(self, worker_in_mid_batch, receiver):
        processes = worker_in_mid_batch.processes()
        os.kill(worker_in_mid_batch.pid, signal.SIGTERM)  # KillMode=mixed: to the main process alone
        assert worker_in_mid_batch.wait_for_exit(float(read(WORKER)["TimeoutStopSec"])) == 0
        assert not any(map(is_alive, processes))  # so that the SIGKILL finds nobody
        assert not Delivery.objects.filter(state=State.SENDING).exists()
        assert len(receiver.posts) == len(set(receiver.webhook_ids()))

    def test_that_does_not_end_is_killed_and_the_next_one_goes_on(self, worker_in_mid_batch, receiver):
        processes = worker_in_mid_batch.processes()
        os.kill(worker_in_mid_batch.pid, signal.SIGSTOP)  # it hears no SIGTERM any more
        os.kill(worker_in_mid_batch.pid, signal.SIGTERM)
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(is_alive, processes)), "somebody lives on.", 5)
        with ClusterProcess():
            wait_until(
                lambda: not Delivery.objects.exclude(state=State.DELIVERED).exists(), "posts are lost."
            )
        assert len(set(receiver.webhook_ids())) == 60
