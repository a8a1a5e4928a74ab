"""A PostgreSQL server of a test's own, on a free port, which can be stopped, killed and started again."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest

# Debian keeps them where no PATH leads; the newest first.
FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
# A test that pulls the plug does so to the process: what it wrote the kernel still has.
FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "60", "shared_buffers": "32MB"}


def binary(name: str) -> str | None:
    return shutil.which(name) or next(
        (str(folder / name) for folder in FOLDERS if (folder / name).exists()), None
    )


class PostgresServer:
    """`with PostgresServer() as server:`; skips the test where PostgreSQL is not installed.

    `host` is the address that it listens on, `folder` where its data are to be, e.g. a small disk; `settings` are
    those of postgresql.conf. As root it runs as the user postgres, since it refuses to run as root.
    """

    def __init__(self, host: str = "127.0.0.1", folder: str | None = None, **settings: str) -> None:
        if binary("initdb") is None or binary("postgres") is None:
            pytest.skip("PostgreSQL is not installed.")
        self.host = host
        with socket.socket() as free:
            free.bind((host, 0))
            self.port: int = free.getsockname()[1]
        self._parent = folder
        self._settings = FAST | {"listen_addresses": host, "port": str(self.port)} | settings
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        self._names = count(1)
        self._process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgres://postgres@{self.host}:{self.port}/{database}"

    def __enter__(self) -> "PostgresServer":
        self._dir = tempfile.TemporaryDirectory(
            prefix="webhookhub-postgres-", dir=self._parent, ignore_cleanup_errors=True
        )
        self.folder = Path(self._dir.name)
        try:
            if os.geteuid() == 0:
                shutil.chown(self.folder, self._user)
            self._run(
                "initdb",
                "--no-sync",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
            )
            with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all 0.0.0.0/0 trust\n")  # `host` alone says who can come so far
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._dir.cleanup()

    def start(self) -> None:
        """Returns once it takes connections."""
        until = time.monotonic() + 60
        while True:
            # It ends at once while a process of one that was killed still holds the shared memory.
            if self._process is None or self._process.poll() is not None:
                self._spawn()
            try:
                return psycopg.connect(self.url, connect_timeout=3).close()
            except psycopg.OperationalError as error:
                if time.monotonic() > until:
                    raise RuntimeError(f"PostgreSQL does not start:\n{self.log()}") from error
                time.sleep(0.05)  # between two tries of the condition

    def _spawn(self) -> None:
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [binary("postgres"), "-D", self.folder / "data", "-k", self.folder, *options],
                user=self._user, cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """`fast` ends its sessions and shuts down in order; `immediate` does not, and recovers at the next start."""
        self._end(signal.SIGINT if mode == "fast" else signal.SIGQUIT)

    def kill(self) -> None:
        """The main process alone; its others see that and go."""
        self._end(signal.SIGKILL)

    def database(self) -> str:
        """The address of a new, empty one."""
        name = f"webhookhub_{next(self._names)}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url_of(name)

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _end(self, with_signal: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(with_signal)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _run(self, name: str, *arguments: str) -> None:
        command = [binary(name), "-D", self.folder / "data", *arguments]
        done = subprocess.run(
            command, user=self._user, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{name} failed:\n{done.stderr}")
