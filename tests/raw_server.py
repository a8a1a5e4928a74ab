"""A server on loopback that says whatever bytes a test wants, over TCP or TLS, as misbehaving ones do."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable

Serve = Callable[["Line"], None]


class Line:
    """One accepted connection. `number` counts from 1."""

    def __init__(self, sock: socket.socket, number: int, ended: threading.Event) -> None:
        self.sock = sock
        self.number = number
        self.ended = ended  # the test is over
        self._read = sock.makefile("rb")

    def request(self) -> tuple[str, dict[str, str], bytes] | None:
        """The next request as (path, headers with names in lower case, body); None once the client hung up."""
        first = self._read.readline().split()
        if len(first) < 2:
            return None
        headers = {}
        while line := self._read.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return first[1].decode(), headers, self._read.read(int(headers.get("content-length", 0)))

    def say(self, text: str | bytes) -> None:
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self, status: int = 200, body: str = "ok", headers: str = "") -> None:
        self.say(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}")

    def drip(self, text: str | bytes, every: float = 0.05) -> None:
        """A byte at a time, as long as the client listens."""
        for byte in text.encode() if isinstance(text, str) else text:
            self.say(bytes([byte]))
            if self.ended.wait(every):
                return

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._read.close()
        self.sock.close()


class RawServer:
    """`with RawServer(serve) as server:` runs `serve(line)` in a thread for each connection, then hangs up."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/hook"
        self.connections = 0
        self.closed = threading.Semaphore(0)  # released once for each connection that is over
        self.ended = threading.Event()

    def __enter__(self) -> "RawServer":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(sock, self.connections), daemon=True).start()

    def _talk(self, sock: socket.socket, number: int) -> None:
        try:
            with contextlib.suppress(OSError, ValueError):  # the client hangs up: part of the tests
                if self._tls:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                self._serve(Line(sock, number, self.ended))
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
            self.closed.release()
