"""Run in a network namespace of its own, where every address of the internet is this machine, and traps listen.

    unshare --net --map-root-user python -m tests.security.every_address_is_here

Posts to each row of the table, and looks into it as `manage.py check_url` does, with real sockets; prints a JSON list
of what came of each, and which addresses were connected to. Nothing can leave the namespace: it has no way out.
"""

import contextlib
import io
import json
import socket
import subprocess
import sys
import threading
from typing import Any

from tests.outbound import PORTS, ROWS, NameServer, Row


class Traps:
    """Listeners on every address at `PORTS`. They note whom a connection was for, and hang up."""

    def __init__(self) -> None:
        self.caught: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        for port in PORTS:
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                listener = socket.create_server((anywhere, port), family=family, backlog=64)
                threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            with self._lock:
                self.caught.append(sock.getsockname()[:2])
            sock.close()

    def take(self) -> list[tuple[str, int]]:
        """Those caught since the last time. What is still in a queue comes out before a knock of our own."""
        for port in PORTS:
            for us in ("127.1.1.1", "::1"):
                with socket.create_connection((us, port)) as knock:
                    knock.recv(1)  # returns once it was caught
        with self._lock:
            caught, self.caught = self.caught, []
        knocks = [(us, port) for port in PORTS for us in ("127.1.1.1", "::1")]
        for knock in knocks:
            caught.remove(knock)
        return caught


def posted(row: Row, lookup: Any) -> dict[str, str]:
    from deliveries.transport import Transport

    transport = Transport(lookup)
    outcome = transport.post(1, row.url, {"User-Agent": "webhookhub/test"}, b"{}")
    transport.close()
    return {"problem": outcome.problem, "detail": outcome.detail}


def checked(row: Row, lookup: Any) -> dict[str, Any]:
    """By the command, which asks the system's resolver."""
    from django.core.management import call_command

    said, code = io.StringIO(), 0
    socket.getaddrinfo = lambda host, port, **_: lookup(host, port)
    try:
        with contextlib.redirect_stdout(said):
            call_command("check_url", "--json", "--", row.url)
    except SystemExit as ended:
        code = ended.code
    finally:
        socket.getaddrinfo = resolve
    found = json.loads(said.getvalue())
    return {"code": code, "allowed": found["allowed"], "reason": found["reason"]}


resolve = socket.getaddrinfo


def main() -> None:
    import django
    from django.conf import settings
    from django.test.utils import setup_test_environment

    for command in ("link set lo up", "route add local 0.0.0.0/0 dev lo", "-6 route add local ::/0 dev lo"):
        subprocess.run(["ip", *command.split()], check=True)
    django.setup()
    setup_test_environment()
    settings.DELIVERY_ALLOWED_NETWORKS, settings.DELIVERY_ALLOWED_PORTS = [], PORTS
    settings.DELIVERY_CONNECT_TIMEOUT = settings.DELIVERY_DEADLINE = 20.0
    traps, results = Traps(), []
    traps.take()
    for row in ROWS:
        names = NameServer.of(row)
        result: dict[str, Any] = {"url": row.url, "post": posted(row, names)}
        if not row.dns:  # with libc too, which takes every spelling
            result["by libc"] = posted(row, resolve)
        result["caught"] = traps.take()
        result["check"] = checked(
            row, names
        )  # the same name server: a row that rebinds has its second answer
        result["caught by check"] = traps.take()
        results.append(result)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
