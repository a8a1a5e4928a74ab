"""`make run`: everything on this machine with one command; Ctrl-C ends all of it.

Starts the web server, the worker and the demo receiver, each in a process group of its own so that only its
parent hears our signal (a signal to django-q2's whole group makes it hang), and starts again what exits.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

BASE_DIR = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(BASE_DIR / "manage.py")]
STOP_AFTER = 50  # seconds for a process to end by itself: the worker finishes the posts that are under way
BACK_OFF = 1  # seconds between an exit and the next start


@dataclass
class Service:
    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    ended_at: float = float("-inf")

    def keep_running(self, environment: dict[str, str]) -> None:
        """Start it; start it again a moment after it exited."""
        if self.process and (code := self.process.poll()) is not None:
            print(f"{self.name} ended with exit code {code}; starting it again.", file=sys.stderr)
            self.process, self.ended_at = None, time.monotonic()
        if not self.process and time.monotonic() - self.ended_at >= BACK_OFF:
            self.process = subprocess.Popen(
                self.command, cwd=BASE_DIR, env=environment, start_new_session=True
            )

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait(self, until: float) -> None:
        if not self.process:
            return
        try:
            self.process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


def port_of(variable: str, default: int) -> int:
    """The port that the environment asks for, if it is free; otherwise one line, and exit code 1."""
    value = os.environ.get(variable) or str(default)
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise SystemExit(f"{variable} is {value!r}: write a port number, such as {variable}={default + 80}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(value)))
        except OSError as error:
            raise SystemExit(
                f"Port {value} cannot be used ({error.strerror}): choose another, such as "
                f"make run {variable}={int(value) + 80}."
            ) from None
    return int(value)


def write_env_file() -> None:
    """The settings of a first run, with keys of this copy's own. A file that is there stays as it is."""
    try:
        with (BASE_DIR / ".env").open("x") as file:
            file.write(
                "# Written by `make run`, for a try on this machine; .env.example explains every variable.\n"
                "DEBUG=True\n"
                f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
                f"FIELD_ENCRYPTION_KEY={urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n"
                "# The demo receiver listens on this machine.\n"
                "DELIVERY_ALLOWED_NETWORKS=127.0.0.0/8\n"
            )
            os.chmod(file.fileno(), 0o600)
    except FileExistsError:
        pass


def main() -> None:
    port, receiver_port = port_of("PORT", 8000), port_of("RECEIVER_PORT", 9000)
    if port == receiver_port:
        raise SystemExit(f"PORT and RECEIVER_PORT are both {port}: choose two ports.")
    write_env_file()
    environment = os.environ | {"PORT": str(port), "RECEIVER_PORT": str(receiver_port)}
    receiver = Service("receiver", [sys.executable, "-m", "webhookhub.demo_receiver"])
    web = [sys.executable, "-m", "gunicorn", "webhookhub.wsgi", "--bind", f"127.0.0.1:{port}"]
    services = [
        receiver,
        Service("web", [*web, "--workers", "2", "--threads", "4", "--log-level", "warning"]),
        Service("worker", [*MANAGE, "qcluster"]),
    ]

    ending = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    try:
        receiver.keep_running(environment)  # the demo's first posts go there
        for command in (["migrate", "--verbosity", "0"], ["demo"]):
            # Without a line for each of the demo's posts, among which the place to log in would drown.
            quiet = environment | {"LOG_POSTS": "False"}
            if not ending and subprocess.run([*MANAGE, *command], cwd=BASE_DIR, env=quiet).returncode:
                raise SystemExit(1)  # the command has said what is wrong
        while not ending:
            for service in services:
                service.keep_running(environment)
            time.sleep(0.2)
    finally:
        for service in services:
            service.stop()
        until = time.monotonic() + STOP_AFTER
        for service in services:
            service.wait(until)


if __name__ == "__main__":
    main()
