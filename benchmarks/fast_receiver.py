"""A receiver that costs as little as can be: answers every POST with 200 over kept connections.

nginx where it is installed, with a configuration and a process of its own on loopback; else one in Python.
"""

import asyncio
import multiprocessing
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

# Debian keeps it where only root's PATH leads.
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
NGINX_CONF = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type text/plain;
        location / {{ return 200 "ok"; }}
    }}
}}
"""

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.data = b""

    def data_received(self, data: bytes) -> None:
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            if len(self.data) < end + 4 + length:
                return
            self.data = self.data[end + 4 + length :]
            self.transport.write(ANSWER)


async def _serve(told: Connection) -> None:
    server = await asyncio.get_running_loop().create_server(_Protocol, "127.0.0.1", 0, backlog=512)
    told.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _main(told: Connection) -> None:
    asyncio.run(_serve(told))


@contextmanager
def receiver() -> Iterator[tuple[str, str]]:
    """The address of the fastest there is, http://127.0.0.1:port, and its name, while it runs."""
    if NGINX:
        with nginx_receiver() as address:
            yield address, "nginx"
    else:
        with fast_receiver() as address:
            yield address, "asyncio"


@contextmanager
def nginx_receiver() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="webhookhub-nginx-") as folder:
        conf = Path(folder) / "nginx.conf"
        conf.write_text(NGINX_CONF.format(folder=folder, port=port))
        process = subprocess.Popen([NGINX, "-p", folder, "-e", f"{folder}/error.log", "-c", str(conf)])
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("nginx does not start; see above.") from None
            time.sleep(0.05)


@contextmanager
def fast_receiver() -> Iterator[str]:
    """The one in Python: its address while it runs in a process of its own."""
    mine, its = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_main, args=(its,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}"
    finally:
        process.kill()
        process.join()
