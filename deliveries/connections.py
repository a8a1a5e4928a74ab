"""Connections that lead to checked addresses only, end in time, and are kept for a while.

The one seam is urllib3's `_new_conn`: look the name up once, check all the addresses of the answer (one bad one
refuses all), connect to the very address that was checked. `host` stays the name, so the Host header, SNI and
certificate are right by themselves. Reads and writes ask the post's `Clock` how long they may take.
"""

import errno
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from typing import Any

import certifi
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from urllib3.connection import HTTPConnection, HTTPSConnection

from configurations import addresses

from .answer import Answer
from .certificates import handshake_problem
from .models import Problem
from .names import Found, Names

IDLE_FOR = 15.0  # seconds after which an unused connection is closed: an unasked answer may come on it
LIVES_FOR = 60.0  # seconds, so that a changed DNS answer is heard
EXPLAIN_FOR = 2.0  # seconds that a look at a bad certificate may take
NO_DIFFERENCE = 0.02  # seconds of a time limit
FRAMING = 1024 * 1024  # bytes that may come after the head: the body that is kept, in the smallest chunks

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)  # Linux only
_OUR_LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class Failed(Exception):
    """No connection. Neither urllib3 nor requests knows it, so it comes through them as it is."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = detail


@dataclass(slots=True)
class Steps:
    """How far one request came; each time is monotonic, and None until it is done. A kept connection has none of
    its own before `asked_at`.
    """

    began_at: float
    addresses: list[str] = field(default_factory=list)  # of the name, before they are judged
    found_at: float | None = None
    dialled_at: float | None = None  # its addresses were found good
    address: str = ""  # the one of them that took the connection
    connected_at: float | None = None
    certificate: bytes = b""  # the server's (DER), once it was found good
    secured_at: float | None = None
    asked_at: float | None = None  # the connection stood, so the request went out
    answered_at: float | None = None  # the first byte came


class Clock:
    """What one post may still take, in seconds and in bytes received, and how far it has come."""

    def __init__(self, seconds: float) -> None:
        now = time.monotonic()
        self.ends = now + seconds
        self.steps = Steps(now)
        self.received = 0  # bytes, after TLS
        self.limit = (
            settings.DELIVERY_MAX_RESPONSE
        )  # bytes; until the head is there, it may be as long as a body
        self.cut = False  # the limit was reached: what reads then sees the end of the stream
        self.connected = False  # it took a new connection and not a kept one
        self.fresh = False  # it must not take a kept one

    def left(self) -> float:
        """Seconds. Raises TimeoutError when none is left."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("The time limit of the post is over.")
        return left

    def head_is_there(self) -> None:
        if not self.cut:
            self.limit = self.received + FRAMING


running = threading.local()  # its `clock`: that of the post that this thread sends


class _Timed:
    """A socket whose every call ends when the clock does. In the TLS handshake it has none, and one timeout."""

    clock: Clock | None = None

    def settimeout(self, value: float | None) -> None:
        """Each change costs a system call, and the lock of the interpreter: what makes no difference is left out."""
        present = self.gettimeout()
        if value is None or present is None or abs(value - present) > NO_DIFFERENCE:
            super().settimeout(value)

    def recv_into(self, buffer: Any, *args: int) -> int:
        clock = self.clock
        if clock is None:
            return super().recv_into(buffer, *args)
        room = clock.limit - clock.received
        if room <= 0:
            clock.cut = True
            return 0
        self.settimeout(clock.left())
        if clock.received and _QUICK_ACK is not None:
            # A receiver that writes head and body one by one else waits 40 ms for our delayed acknowledgement.
            self.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)
        count = super().recv_into(memoryview(buffer)[:room], *args)
        clock.received += count
        if count and clock.steps.answered_at is None:
            clock.steps.answered_at = time.monotonic()
        return count

    def send(self, *args: Any) -> int:
        if self.clock is not None:
            self.settimeout(self.clock.left())
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        if self.clock is not None:
            self.settimeout(self.clock.left())
        return super().sendall(*args)


class _TimedSocket(_Timed, socket.socket):
    pass


class _TimedSSLSocket(_Timed, ssl.SSLSocket):
    pass


@cache
def tls_context(ca_file: str) -> ssl.SSLContext:
    """Trusts the usual authorities and those of `ca_file`, which is read once; nothing below TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(certifi.where())
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError too
            raise ImproperlyConfigured(
                f"DELIVERY_CA_FILE is {ca_file!r}, which cannot be read as a PEM file of "
                f"certificates: {error}."
            ) from error
    context.sslsocket_class = _TimedSSLSocket
    return context


class Safe:
    """What both kinds of connection share. `born` and `idle_since` are monotonic seconds."""

    response_class = Answer
    born = idle_since = 0.0
    address: tuple[int, tuple[Any, ...]] | None = None  # family and socket address that it is connected to

    def __init__(self, *args: Any, names: Names, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.names = names
        self._unsent: list[bytes] = []

    @property
    def place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def is_stale(self, now: float) -> bool:
        return now - self.idle_since >= IDLE_FOR or now - self.born >= LIVES_FOR

    def connect(self) -> None:
        super().connect()
        clock: Clock = running.clock
        self.sock.clock = clock
        clock.steps.asked_at = time.monotonic()

    def request(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes | None) -> None:
        """Over a connection that stands: by this post's clock from now on. `headers` give the length of the body."""
        clock: Clock = running.clock
        self.sock.clock = clock
        clock.steps.asked_at = time.monotonic()
        self._unsent.clear()
        self.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            self.putheader(name, value)
        self.endheaders(body)
        super().send(b"".join(self._unsent))

    def send(self, data: bytes) -> None:
        """Head and body go out together: one packet, and one wake-up for whoever receives them."""
        self._unsent.append(data)

    def putheader(self, header: str, value: str | bytes) -> None:
        """As http.client's, but for its two expressions for each header: requests has matched name and value by now."""
        value = value if isinstance(value, bytes) else value.encode("latin-1")
        line = b"%b: %b" % (header.encode("ascii"), value)
        if b"\n" in line or b"\r" in line:
            raise ValueError("A header of a post holds the end of a line.")
        self._buffer.append(line)

    def getresponse(self) -> Answer:
        return http.client.HTTPConnection.getresponse(self)

    def _new_conn(self) -> socket.socket:
        clock: Clock = running.clock
        clock.connected = True
        self.born = time.monotonic()
        problems = []
        checked = self._checked_addresses(clock)
        clock.steps.dialled_at = time.monotonic()
        for family, kind, protocol, address in checked:
            try:
                sock = self._connected(clock, family, kind, protocol, address)
            except OSError as error:
                problems.append(_why_not_connected(error))
                continue
            self.address = family, address
            clock.steps.address, clock.steps.connected_at = address[0], time.monotonic()
            return sock
        raise Failed(min(problems, key=_TELLS_MOST.index), self.place)

    def _checked_addresses(self, clock: Clock) -> list[tuple[int, int, int, tuple[Any, ...]]]:
        """Each address of the name once, all of them permitted. Raises addresses.Refused, Failed."""
        answer = self._find(clock)
        clock.steps.addresses = list(dict.fromkeys(address[0] for *_, address in answer))
        clock.steps.found_at = time.monotonic()
        for *_, address in answer:
            addresses.check_address(address[0])
        return list(
            dict.fromkeys((family, kind, proto, address) for family, kind, proto, _, address in answer)
        )

    def _find(self, clock: Clock) -> Found:
        host = self._dns_host
        try:
            ip = ip_address(host)
        except ValueError:
            pass
        else:
            family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, self.port))]
        try:
            answer = self.names.find(host, self.port, min(settings.DELIVERY_CONNECT_TIMEOUT, clock.left()))
        except socket.gaierror as error:
            known = error.errno in _NO_SUCH_NAME
            raise Failed(Problem.DNS if known else Problem.DNS_SILENT, self.host) from error
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise Failed(Problem.DNS_SILENT, self.host) from error
        if not answer:
            raise Failed(Problem.DNS, self.host)
        return answer

    def _connected(
        self, clock: Clock, family: int, kind: int, protocol: int, address: tuple[Any, ...]
    ) -> socket.socket:
        sock = _TimedSocket(family, kind, protocol)
        try:
            for option in self.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(min(settings.DELIVERY_CONNECT_TIMEOUT, clock.left()))
            sock.connect(address)
            sock.settimeout(clock.left())  # for the whole TLS handshake, which inherits it
        except BaseException:
            sock.close()
            raise
        return sock


# Of several addresses that failed, which one the seller hears of.
_TELLS_MOST = [Problem.REFUSED, Problem.CONNECT_TIMEOUT, Problem.UNREACHABLE, Problem.OURS]


def _why_not_connected(error: OSError) -> Problem:
    if isinstance(error, ConnectionRefusedError):
        return Problem.REFUSED
    if isinstance(error, TimeoutError):
        return Problem.CONNECT_TIMEOUT
    return Problem.OURS if error.errno in _OUR_LIMITS else Problem.UNREACHABLE


class SafeHTTP(Safe, HTTPConnection):
    pass


class SafeHTTPS(Safe, HTTPSConnection):
    def connect(self) -> None:
        try:
            super().connect()
        except OSError as error:  # ssl.SSLError is one, and what _new_conn raises is none
            seconds = min(EXPLAIN_FOR, max(running.clock.ends - time.monotonic(), 0.1))
            raise Failed(*handshake_problem(error, self.place, self.address, self.host, seconds)) from error
        steps: Steps = running.clock.steps
        steps.certificate, steps.secured_at = self.sock.getpeercert(binary_form=True), time.monotonic()
