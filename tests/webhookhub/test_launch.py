"""`make run`, as far as it can be seen without starting all of it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from webhookhub import launch

ROOT = Path(__file__).resolve().parents[2]


def run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "webhookhub.launch"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_a_taken_port_is_said_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(PORT=str(port))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"Port {port} cannot be used" in ended.stderr


@pytest.mark.parametrize("port", ["http", "0", "70000"])
def test_a_port_that_is_none_is_said_in_one_line(port):
    ended = run(PORT=port)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"PORT is {port!r}")
    assert ended.stderr.count("\n") == 1


def test_a_python_that_is_missing_or_too_old_is_said_in_one_line(tmp_path):
    old = tmp_path / "python-old"
    old.write_text('#!/bin/sh\ncase "$1" in --version) echo "Python 3.9.2";; *) exit 1;; esac\n')
    old.chmod(0o755)
    for python, word in (("no-such-python", "missing"), (str(old), "too old")):
        ended = subprocess.run(
            ["make", "--no-print-directory", "venv", f"PYTHON={python}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ended.returncode != 0
        said = [line for line in ended.stderr.splitlines() if not line.startswith("make")]
        assert len(said) == 1
        assert word in said[0]


def test_the_settings_of_a_first_run_are_written_once_and_for_the_owner_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "BASE_DIR", tmp_path)
    launch.write_env_file()
    written = (tmp_path / ".env").read_text()
    launch.write_env_file()
    assert (tmp_path / ".env").read_text() == written
    assert "DEBUG=True" in written
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_what_exits_is_started_again(tmp_path):
    service = launch.Service("worker", [sys.executable, "-c", "raise SystemExit(3)"])
    service.keep_running(dict(os.environ))
    first = service.process
    first.wait(10)
    service.ended_at = float("-inf")
    service.keep_running(dict(os.environ))
    assert service.process is None  # for a moment, so that a start that fails at once does not spin
    service.ended_at = float("-inf")
    service.keep_running(dict(os.environ))
    assert service.process.pid != first.pid
    service.process.wait(10)
