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
from typing import Literal

from django.conf import settings
from django.utils import timezone
from requests import RequestException
from requests.exceptions import InvalidHeader

from configurations import addresses

from . import names
from .answer import Answer
from .certificates import in_words
from .connections import Clock, Failed, Steps, running
from .models import Problem
from .phases import NONE, Phases
from .pools import Adapter, Pools, Request

logger = logging.getLogger(__name__)

NOBODYS = 0  # in place of a configuration's id, which begin at 1


@dataclass(slots=True)
class Outcome:
    """What came of one POST. Both a status and a problem are set where the answer broke off behind its status."""

    started_at: datetime
    status: int | None = None
    problem: Problem | Literal[""] = ""
    # What the problem is about, plain and untranslated: "host:port"; of a certificate its names or the day it
    # ended; of a refusal the address and its range.
    detail: str = ""
    headers: list[list[str]] = field(default_factory=list)  # [[name, value], …] of the answer, as they came
    body: bytes = b""  # the first DELIVERY_MAX_RESPONSE bytes, unpacked
    cut: bool = False  # headers or body were longer, or broke off
    took: timedelta = timedelta(0)  # until the last byte read
    phases: Phases = NONE


class Transport:
    """One for each process, made after the fork. Thread-safe.

    `lookup(host, port)` stands for socket.getaddrinfo; tests give another. Raises ImproperlyConfigured if
    DELIVERY_CA_FILE cannot be read.
    """

    def __init__(self, lookup: Callable[[str, int], names.Found] = names.look_up) -> None:
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
        outcome, began, place = Outcome(timezone.now()), clock.steps.began_at, ""
        # urllib3 hands nothing of ours down: what this thread sends and receives from here on goes by it.
        running.clock = clock
        try:
            target = self._parse(url)
            place = target.place
            self._exchange(Request(target, self.pools.get(config_id, target), headers, body), clock, outcome)
        except Exception as error:
            _note(outcome, error, clock, place)
        finally:
            del running.clock
        ended = time.monotonic()
        outcome.took, outcome.phases = timedelta(seconds=ended - began), Phases.of(clock, ended)
        return outcome

    def close(self) -> None:
        """Close the kept connections. The transport can still be used."""
        self.pools.close()

    def _exchange(self, request: Request, clock: Clock, outcome: Outcome) -> None:
        answer = self._send(request, clock)
        try:
            clock.head_is_there()
            outcome.status, outcome.headers, outcome.cut = answer.status, answer.lines(), clock.cut
            if not outcome.cut and not answer.has_odd_end():
                _read_body(answer, outcome)
        finally:
            answer.let_go()

    def _send(self, request: Request, clock: Clock) -> Answer:
        """Its answer, up to the body. On a kept connection that was closed just now, once more on a new one."""
        try:
            return self._adapter.send(request)
        except Exception as error:
            if clock.connected or clock.received or not isinstance(_root(error), _HUNG_UP):
                raise
        clock.fresh = True
        clock.steps = Steps(time.monotonic())
        return self._adapter.send(request)


def _read_body(answer: Answer, outcome: Outcome) -> None:
    """Piece by piece, so that what came before a break is kept."""
    most = settings.DELIVERY_MAX_RESPONSE
    body = bytearray()
    try:
        while len(body) <= most:
            piece = answer.piece(most + 1 - len(body))
            body += piece
            if not piece or answer.isclosed():
                break
    except BaseException:
        outcome.cut = True
        raise
    finally:
        outcome.cut = outcome.cut or len(body) > most
        outcome.body = bytes(body[:most])
        if body and answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            _unpack(outcome, most)


def _unpack(outcome: Outcome, most: int) -> None:
    """What came packed although we asked for plain. What cannot be unpacked stays as it came."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or deflate, by its head
    try:
        body = unpacker.decompress(outcome.body, most)
    except zlib.error:
        return
    outcome.body = body
    outcome.cut = outcome.cut or bool(unpacker.unconsumed_tail) or not unpacker.eof


_HUNG_UP = (ConnectionError, http.client.IncompleteRead, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def _note(outcome: Outcome, error: Exception, clock: Clock, place: str) -> None:
    """Put into `outcome` why no answer came, or not all of it."""
    if outcome.status is not None and (200 <= outcome.status < 300 or clock.cut):
        return  # accepted, or too long: that the rest is missing takes nothing back
    if isinstance(error, addresses.Refused):
        outcome.problem, outcome.detail = Problem.NOT_PERMITTED, error.subject or error.reason
    elif isinstance(error, Failed):
        outcome.problem, outcome.detail = error.problem, error.detail
    else:
        outcome.problem, outcome.detail = _name(_root(error), clock, place)
    if outcome.problem == Problem.OURS:
        logger.error("A post to %s could not be made: %s.", place or "a URL", outcome.detail)


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
