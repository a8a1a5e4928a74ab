"""A Redis server of a test's own, on a free port, which can be stopped, started again and frozen."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
import redis


class RedisServer:
    """`with RedisServer() as server:`; skips the test where there is no redis-server. It listens on `host`."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._binary = shutil.which("redis-server")
        if self._binary is None:
            pytest.skip("redis-server is not installed.")
        with socket.socket() as free:
            free.bind((host, 0))
            self.port: int = free.getsockname()[1]
        self.host = host
        self.url = f"redis://{host}:{self.port}/0"
        self._process: subprocess.Popen | None = None

    def __enter__(self) -> "RedisServer":
        self._dir = tempfile.TemporaryDirectory(prefix="webhookhub-redis-")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._dir.cleanup()

    def start(self) -> None:
        arguments = ["--port", str(self.port), "--bind", self.host, "--protected-mode", "no"]
        arguments += ["--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [self._binary, *arguments, "--dir", self._dir.name], stdout=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while True:
            try:
                with redis.Redis(self.host, self.port) as client:
                    client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.02)  # between two tries of the condition

    def stop(self) -> None:
        """At once, as if the machine had gone; what it held is lost."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It still accepts connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)
