"""Which connection a post takes: kept ones for a while, for each configuration by itself, and requests' adapter."""

import queue
import threading
import time
from collections import OrderedDict
from contextlib import suppress
from functools import lru_cache
from typing import Any

from django.conf import settings
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.utils import check_header_validity
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.url import _encode_target

from configurations import addresses

from .answer import Answer
from .connections import IDLE_FOR, Safe, SafeHTTP, SafeHTTPS, running, tls_context
from .names import Names

KEPT = 8  # connections for each configuration: as many as the engine uses at once
MOST_POOLS = 100  # times KEPT stays below the usual limit of 1,024 open files
SWEEP_EVERY = 5.0  # seconds

_encoded = lru_cache(maxsize=1000)(_encode_target)


class _Kept:
    """The connections of a pool that nobody uses, newest first out: urllib3's queue, which closes old ones too."""

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._connections: list[Safe] = []
        self._lock = threading.Lock()

    def put(self, connection: Any, block: bool = False) -> None:
        if connection is None or connection.is_closed:
            return
        connection.idle_since = time.monotonic()
        with self._lock:
            if len(self._connections) >= self._maxsize:
                raise queue.Full
            self._connections.append(connection)

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        self.close_stale()
        with self._lock:
            if not self._connections:
                raise queue.Empty
            return self._connections.pop()

    def qsize(self) -> int:
        return len(self._connections)

    def close_stale(self) -> None:
        now = time.monotonic()
        with self._lock:
            stale = [c for c in self._connections if c.is_stale(now)]
            if stale:
                self._connections = [c for c in self._connections if c not in stale]
        for connection in stale:
            connection.close()


class Pool:
    """What both kinds of pool share."""

    QueueCls = _Kept
    used_at = 0.0  # monotonic seconds

    def _get_conn(self, timeout: float | None = None) -> Any:
        return self._new_conn() if running.clock.fresh else super()._get_conn(timeout)

    def ask(self, request: "Request") -> Answer:
        """As `urlopen`, without what that does for retries, redirects and proxies, of which there are none here."""
        connection = self._get_conn()
        try:
            if connection.is_closed:
                connection.connect()
            with suppress(BrokenPipeError, ConnectionResetError):
                # It may have answered before it had read all.
                connection.request(request.method, request.path, headers=request.headers, body=request.body)
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        answer.pool, answer.connection = self, connection
        return answer


class _HTTPPool(Pool, HTTPConnectionPool):
    ConnectionCls = SafeHTTP


class _HTTPSPool(Pool, HTTPSConnectionPool):
    ConnectionCls = SafeHTTPS


class Pools:
    """The kept connections, for each configuration and place by itself: one seller's answers never meet another's.

    Thread-safe. A pool that is dropped closes its connections when the last post on it is done.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._tls = tls_context(settings.DELIVERY_CA_FILE)
        self._pools: OrderedDict[tuple[int, str, str, int], Pool] = OrderedDict()
        self._lock = threading.Lock()
        self._sweeper: threading.Timer | None = None

    def get(self, config_id: int, target: addresses.Target) -> Pool:
        key = config_id, target.scheme, target.host, target.port
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._new(target)
                if len(self._pools) > MOST_POOLS:
                    self._pools.popitem(last=False)
                self._sweep_later()
            else:
                self._pools.move_to_end(key)
            pool.used_at = time.monotonic()
        return pool

    def close(self) -> None:
        with self._lock:
            self._pools.clear()
            if self._sweeper is not None:
                self._sweeper.cancel()
                self._sweeper = None

    def _new(self, target: addresses.Target) -> Pool:
        if target.scheme == "https":
            return _HTTPSPool(
                target.host, target.port, maxsize=KEPT, names=self._names, ssl_context=self._tls
            )
        return _HTTPPool(target.host, target.port, maxsize=KEPT, names=self._names)

    def _sweep_later(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Timer(SWEEP_EVERY, self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        """Close what is idle, and go on as long as there is anything."""
        unused_since = time.monotonic() - IDLE_FOR - settings.DELIVERY_DEADLINE
        with self._lock:
            self._sweeper = None
            for key, pool in list(self._pools.items()):
                pool.pool.close_stale()
                if pool.used_at < unused_since and not pool.pool.qsize():
                    del self._pools[key]
            if self._pools:
                self._sweep_later()


class Request(PreparedRequest):
    """A POST, or with no body at all a HEAD. Its parts are those that the address check took apart: no parser
    sees the URL again.
    """

    def __init__(
        self, target: addresses.Target, pool: Pool, headers: dict[str, str], body: bytes | None
    ) -> None:
        super().__init__()
        self.method = "HEAD" if body is None else "POST"
        self.path = _encoded(target.path)
        self.pool = pool
        length = {} if body is None else {"Content-Length": str(len(body))}
        self.headers = headers | {"Accept-Encoding": "identity"} | length
        for header in self.headers.items():
            check_header_validity(header)
        self.body = body


class Adapter(HTTPAdapter):
    """requests' adapter without what it takes from elsewhere: no proxies, no cookies, no retries, no redirects. What it
    does besides for each request, and with each answer, is a tenth of what sending costs, and nothing of it is of use.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The pools are ours."""

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("Posts go straight to the checked address.")

    def send(self, request: Request) -> Answer:
        """With the body still to be read. Raises what http.client and the connection raise."""
        return request.pool.ask(request)
