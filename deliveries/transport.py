"""One POST, safely: to a checked address, in time, with a capped answer.

`Transport.post` raises nothing: whatever comes of a post is an Outcome. What it connects with is in
`pools` and `connections`; here the request is made, the answer read, and every failure named.
"""

import http.client
import logging
import ssl
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from django.conf import settings
from django.utils import timezone
from requests import RequestException
from requests.exceptions import InvalidHeader

from configurations import addresses

from . import names
from .certificates import in_words
from .connections import Clock, Failed, Steps, running
from .models import Problem
from .phases import NONE, Phases
from .pools import Adapter, Pools, Request

logger = logging.getLogger(__name__)

NOBODYS = 0  # in place of a configuration's id, which begin at 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one POST. Both a status and a problem are set where the answer broke off behind its status."""

    status: int | None
    problem: Problem | Literal[""]
    # What the problem is about, plain and untranslated: "host:port"; of a certificate its names or the day it
    # ended; of a refusal the address and its range.
    detail: str
    headers: list[list[str]]  # [[name, value], …] of the answer, in order, as they came
    body: bytes  # the first DELIVERY_MAX_RESPONSE bytes, unpacked
    cut: bool  # headers or body were longer, or broke off
    took: timedelta  # until the last byte read
    started_at: datetime
    phases: Phases = NONE


@dataclass(slots=True)
class _Answer:
    """An Outcome in the making."""

    status: int | None = None
    problem: Problem | Literal[""] = ""
    detail: str = ""
    headers: list[list[str]] = field(default_factory=list)
    body: bytes = b""
    cut: bool = False


class Transport:
    """One for each process, made after the fork. Thread-safe.

    `lookup(host, port)` stands for socket.getaddrinfo; tests give another. Raises ImproperlyConfigured if
    DELIVERY_CA_FILE cannot be read.
    """

    def __init__(self, lookup: Callable[[str, int], names.Answer] = names.look_up) -> None:
        self.names = names.Names(lookup)
        self.pools = Pools(self.names)
        self._adapter = Adapter()
        self._parse = lru_cache(maxsize=1000)(addresses.parse)  # what it refuses is judged anew each time

    def post(self, config_id: int, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        """POST `body` to `url`, over a connection kept for this configuration where there is one.

        Within DELIVERY_DEADLINE seconds, from the look-up of the name to the last byte. Redirects are not
        followed.
        """
        return self._ask(config_id, url, headers, body, Clock(settings.DELIVERY_DEADLINE))

    def head(self, url: str, headers: dict[str, str]) -> tuple[Outcome, Steps]:
        """HEAD `url` over a connection of its own, and see how far that comes. Nothing is posted."""
        clock = Clock(settings.DELIVERY_DEADLINE)
        clock.fresh = True
        outcome = self._ask(NOBODYS, url, headers | {"Connection": "close"}, None, clock)
        return outcome, clock.steps

    def _ask(
        self, config_id: int, url: str, headers: dict[str, str], body: bytes | None, clock: Clock
    ) -> Outcome:
        started_at, began = timezone.now(), clock.steps.began_at
        answer, place = _Answer(), ""
        # urllib3 hands nothing of ours down: what this thread sends and receives from here on goes by it.
        running.clock = clock
        try:
            target = self._parse(url)
            place = target.place
            self._exchange(Request(target, self.pools.get(config_id, target), headers, body), clock, answer)
        except Exception as error:
            _note(answer, error, clock, place)
        finally:
            del running.clock
        ended = time.monotonic()
        return Outcome(
            answer.status,
            answer.problem,
            answer.detail,
            answer.headers,
            answer.body,
            answer.cut,
            took=timedelta(seconds=ended - began),
            started_at=started_at,
            phases=Phases.of(clock, ended),
        )

    def close(self) -> None:
        """Close the kept connections. The transport can still be used."""
        self.pools.close()

    def _exchange(self, request: Request, clock: Clock, answer: _Answer) -> None:
        raw = self._send(request, clock)
        try:
            clock.head_is_there()
            answer.status = raw.status
            answer.headers = [[name, value] for name, value in raw.headers.items()]
            answer.cut = clock.cut
            if not answer.cut and not _has_odd_end(raw):
                _read_body(raw, answer)
        finally:
            # With its connection, unless that was read to the end and went back to its pool.
            raw.close()

    def _send(self, request: Request, clock: Clock) -> Any:
        """Its answer, up to the body. On a kept connection that was closed just now, once more on a new one."""
        try:
            return self._adapter.send(request, timeout=settings.DELIVERY_DEADLINE)
        except Exception as error:
            if clock.connected or clock.received or not isinstance(_root(error), _HUNG_UP):
                raise
        clock.fresh = True
        clock.steps = Steps(time.monotonic())
        return self._adapter.send(request, timeout=settings.DELIVERY_DEADLINE)


def _has_odd_end(raw: Any) -> bool:
    """More may come than the answer has by its own rules, and would be taken for the next post's answer.

    After 1xx the final one may still come; 204 and 304 have no body, and yet some servers send one.
    """
    if raw.status in (204, 304):
        return raw.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in raw.headers
    return raw.status < 200


def _read_body(raw: Any, answer: _Answer) -> None:
    """Piece by piece, so that what came before a break is kept."""
    most = settings.DELIVERY_MAX_RESPONSE
    body = bytearray()
    try:
        while len(body) <= most:
            piece = raw.read1(most + 1 - len(body), decode_content=False)
            body += piece
            if not piece or raw.length_remaining == 0:
                break
    except BaseException:
        answer.cut = True
        raise
    finally:
        answer.cut = answer.cut or len(body) > most
        answer.body = bytes(body[:most])
        if body and raw.headers.get("Content-Encoding", "identity").lower() != "identity":
            _unpack(answer, most)


def _unpack(answer: _Answer, most: int) -> None:
    """What came packed although we asked for plain. What cannot be unpacked stays as it came."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or deflate, by its head
    try:
        body = unpacker.decompress(answer.body, most)
    except zlib.error:
        return
    answer.body = body
    answer.cut = answer.cut or bool(unpacker.unconsumed_tail) or not unpacker.eof


_HUNG_UP = (ConnectionError, http.client.IncompleteRead, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def _note(answer: _Answer, error: Exception, clock: Clock, place: str) -> None:
    """Put into `answer` why no answer came, or not all of it."""
    if answer.status is not None and (200 <= answer.status < 300 or clock.cut):
        return  # accepted, or too long: that the rest is missing takes nothing back
    if isinstance(error, addresses.Refused):
        answer.problem, answer.detail = Problem.NOT_PERMITTED, error.subject or error.reason
    elif isinstance(error, Failed):
        answer.problem, answer.detail = error.problem, error.detail
    else:
        answer.problem, answer.detail = _name(_root(error), clock, place)
    if answer.problem == Problem.OURS:
        logger.error("A post to %s could not be made: %s.", place or "a URL", answer.detail)


def _name(error: Exception, clock: Clock, place: str) -> tuple[Problem, str]:
    """The problem, and its detail, of a post whose connection stood."""
    if isinstance(error, TimeoutError):
        return Problem.TIMEOUT, place
    if clock.cut:
        return Problem.NOT_HTTP, "no end of the headers"
    if isinstance(error, _HUNG_UP):
        return Problem.RESET, place
    if isinstance(error, ssl.SSLError):
        return Problem.TLS, in_words(error)
    if isinstance(error, http.client.HTTPException):
        return Problem.NOT_HTTP, str(error)[:200].strip()
    if isinstance(error, OSError) and not isinstance(error, RequestException):
        return Problem.UNREACHABLE, place
    if clock.received:  # something in the answer that no parser expects
        return Problem.NOT_HTTP, str(error)[:200].strip()
    if isinstance(error, InvalidHeader):  # it quotes the header, which may be the seller's token
        return Problem.OURS, "a header holds characters that no header may hold"
    return Problem.OURS, f"{type(error).__name__}: {error}"


def _root(error: BaseException) -> BaseException:
    """What the socket or the parser said, out of the layers that requests and urllib3 put around it."""
    found, layer = error, error
    while (layer := layer.__cause__ or layer.__context__) is not None:
        if isinstance(layer, OSError | http.client.HTTPException) and not isinstance(layer, RequestException):
            found = layer
    return found
