"""Commands in processes of their own, without the second that each of them takes to import everything.

One process for each environment has it all imported and forks for each command: the fork has its own standard streams,
opens its own connections, and its exit code is that of the command. `tests.commands.manage` asks it.
"""

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class CommandServer:
    """`run(arguments)` gives (exit code, standard output, standard error)."""

    def __init__(self, environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.command_server", str(theirs.fileno())],
                cwd=ROOT, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._socket = ours
        atexit.register(self.close)

    def run(self, arguments: list[str], timeout: float) -> tuple[int, str, str]:
        """TimeoutError after `timeout` seconds; then it is of no more use."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams = [out.fileno(), err.fileno()]
            socket.send_fds(self._socket, [json.dumps(arguments).encode()], streams)
            self._socket.settimeout(timeout)
            code = int(self._socket.recv(100))
            for file in (out, err):
                file.seek(0)
            return code, out.read().decode(), err.read().decode()

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()


def serve(asks: socket.socket) -> None:
    """Until the other side is closed."""
    _import_everything()
    while True:
        request, streams, _flags, _from = socket.recv_fds(asks, 1 << 20, 2)
        if not request:
            return
        child = os.fork()
        if not child:
            asks.close()
            _be_a_process_of_its_own(streams)
            _run(json.loads(request))
        for stream in streams:
            os.close(stream)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asks.send(str(code).encode())


def _import_everything() -> None:
    import django

    django.setup()
    from django.core.management import call_command, get_commands, load_command_class
    from django.db import connections

    for name, app in get_commands().items():
        if (ROOT / str(app)).is_dir():
            load_command_class(app, name)
    call_command("check", verbosity=0, stdout=open(os.devnull, "w"))  # noqa: SIM115  which imports every address
    connections.close_all()


def _be_a_process_of_its_own(streams: list[int]) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _run(arguments: list[str]) -> Any:
    """As manage.py does; never returns."""
    from webhookhub import start

    code: Any = 1
    try:
        sys.argv = ["manage.py", *arguments]
        start.command_line(sys.argv)
        code = 0
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
