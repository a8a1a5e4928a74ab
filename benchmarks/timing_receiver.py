"""A receiver that notes when each post came, by its webhook-id, and takes its time with the answer.

It runs in a process of its own. The times are `time.monotonic()`, which on Linux is one clock for all processes.
"""

import asyncio
import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from .fast_receiver import ANSWER

_spawn = multiprocessing.get_context("spawn")


class _Protocol(asyncio.Protocol):
    def __init__(self, arrivals: list[tuple[str, float]], delay: float) -> None:
        self.arrivals, self.delay = arrivals, delay
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            length = int(_field(head, b"content-length") or 0)
            if len(self.data) < end + 4 + length:
                return
            webhook_id = _field(self.data[:end], b"webhook-id")  # whose value keeps its case
            self.arrivals.append((webhook_id.decode(), now))
            self.data = self.data[end + 4 + length :]
            if self.delay:
                asyncio.get_running_loop().call_later(self.delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(ANSWER)


def _field(head: bytes, name: bytes) -> bytes:
    """The value of that header; empty without one."""
    start = head.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    return head[start + len(name) + 3 :].split(b"\r\n", 1)[0].strip()


async def _serve(sockets: Sequence[socket.socket], delay: float, told: Connection) -> None:
    arrivals: list[tuple[str, float]] = []
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for each in sockets:
        await loop.create_server(lambda: _Protocol(arrivals, delay), sock=each, backlog=512)

    def tell() -> None:
        try:
            told.recv()
        except EOFError:  # the benchmark was killed
            loop.remove_reader(told.fileno())
            ended.set()
        else:
            told.send(list(arrivals))
            arrivals.clear()

    loop.add_reader(told.fileno(), tell)
    told.send(None)
    await ended.wait()


def _main(sockets: Sequence[socket.socket], delay: float, told: Connection) -> None:
    asyncio.run(_serve(sockets, delay, told))


@dataclass
class TimingReceiver:
    addresses: list[str]  # http://127.0.0.1:port, one for each host
    port: int
    _pipe: Connection

    def arrivals(self) -> list[tuple[str, float]]:
        """(webhook-id, monotonic time) of what came since the last call, in order."""
        self._pipe.send("tell")
        if not self._pipe.poll(30):
            raise SystemExit("The receiver answers no more.")
        return self._pipe.recv()


@contextmanager
def timing_receiver(hosts: int = 1, delay: float = 0.0) -> Iterator[TimingReceiver]:
    """While it runs. It answers 200 after `delay` seconds, on so many addresses of loopback, all at one port."""
    mine, its = _spawn.Pipe()
    names = [f"127.0.0.{1 + n}" for n in range(hosts)]
    with ExitStack() as stack:
        sockets = []
        for name in names:
            port = sockets[0].getsockname()[1] if sockets else 0
            sockets.append(stack.enter_context(socket.create_server((name, port))))
        process = _spawn.Process(target=_main, args=(sockets, delay, its), daemon=True)
        process.start()
        try:
            if not mine.poll(30):
                raise SystemExit("The receiver does not start; see above.")
            mine.recv()
            port = sockets[0].getsockname()[1]
            yield TimingReceiver([f"http://{name}:{port}" for name in names], port, mine)
        finally:
            process.kill()
            process.join()
