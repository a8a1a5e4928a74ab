"""What the fault tests share: a shop that sells on, processes under a supervisor, and the count at the end.

The count is the same for every fault: each sale that was committed has its event and its posts; each post arrived,
and is recorded as delivered once; what came twice was in flight at a fault; nothing is left over, no process either.
"""

import contextlib
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from django.apps import apps
from django.core.management import call_command
from django.db import close_old_connections, connection, connections
from django.test import override_settings
from django_q.status import Stat

from configurations.models import WebhookConfig
from deliveries import wake
from deliveries.models import Delivery, DeliveryAttempt, Event, State
from sales.models import Product, Transaction
from tests import factories
from tests.deliveries.cluster_process import ClusterProcess, Supervised, is_alive, threads_of, wait_until
from tests.receiver import Post, Receiver

STUCK = 120  # seconds after the end of a fault: the promise of RELIABILITY.md
ORPHANED = 60  # seconds after which nobody may be left behind
# Seconds between a post's arrival and its record, on a machine that is busy: so long before a fault it was in flight.
IN_FLIGHT = 5.0
ON_ITS_WAY = 2.0  # seconds after a fault: what was sent just before it may be read later
TO_DIE = 20.0  # seconds after a signal; told to stop, a parent ends what is in flight first
# What one worker may have to repeat for one configuration: 8 on their way, 8 answered and not recorded yet.
UNFINISHED = 16

_codes = count(1)


@dataclass
class Fault:
    """One thing that was done to it. Times are monotonic seconds; `ended` is when all was as before.

    `claimed`: the webhook-ids of the posts that were on their way at the fault, which may come again for it. None: the
    database could not be asked, and only the time of the fault tells.
    """

    what: str
    began: float
    ended: float = math.inf
    claimed: set[str] | None = None

    def may_repeat(self, webhook_id: str, arrived: float) -> bool:
        """Whether it may come again after it arrived then."""
        if self.claimed is not None and webhook_id not in self.claimed:
            return False
        return self.began - IN_FLIGHT <= arrived <= self.ended + ON_ITS_WAY


def claimed() -> set[str]:
    """The webhook-ids of the posts that some worker has claimed, a dead one too, until their lease has run out."""
    return set(Delivery.objects.filter(state=State.SENDING).values_list("webhook_id", flat=True))


@dataclass
class Figures:
    """What the count found."""

    sales: int
    posts: int
    faults: int
    repeats: int
    longest: float  # seconds from the end of a fault, or from a later sale, until a post had come for the last time
    restarts: int = 0  # of a cluster, by its supervisor

    def __str__(self) -> str:
        return (
            f"{self.posts} posts, {self.faults} faults, longest {self.longest:.1f} s, "
            f"{self.repeats} repeats, {self.restarts} restarts"
        )


def a_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def compiled(name: str, folder: Path) -> str:
    """A library to load before the C library's own; skips the test where there is no C compiler."""
    if shutil.which("cc") is None:
        pytest.skip("There is no C compiler for what stands between the processes and their machine.")
    library = folder / f"{name}.so"
    source = Path(__file__).parent / f"{name}.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return str(library)


class WebProcess(Supervised):
    """The site under gunicorn, with the shop's page."""

    def __init__(self, port: int, **environment: str) -> None:
        bind = f"127.0.0.1:{port}"
        self.url = f"http://{bind}"
        self.command = [sys.executable, "-m", "gunicorn", "webhookhub.wsgi", "--bind", bind, "--workers", "2"]
        self.command += ["--threads", "4", "--log-level", "error"]
        super().__init__(**{"DJANGO_SETTINGS_MODULE": "tests.faults.settings"} | environment)

    def wait_until_up(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(requests.RequestException):
                return requests.get(f"{self.url}/accounts/login/", timeout=5).status_code < 600
            return False

        wait_until(lambda: self._has_ended() or answers(), "the site is not up.", 60)
        assert not self._has_ended(), "The site ended as soon as it began; its output says why."


class Shop:
    """Sales of one producer, whose configurations all hear of each; what was done meanwhile; and the count."""

    def __init__(self, receiver: Receiver, configurations: int = 1) -> None:
        self.receiver = receiver
        self.product: Product = factories.make_product()
        self.configs: list[WebhookConfig] = [
            factories.make_config(self.product.owner, url=f"{receiver.url}/{number}")
            for number in range(configurations)
        ]
        self.faults: list[Fault] = []
        self.asked: dict[str, float] = {}  # by the sale's code: when it was asked for
        self.promised: set[str] = set()  # the codes that the platform said were committed
        self.refused = 0
        self.errors: list[str] = []  # that are none of "away"

    # --- sell

    def sell(self, number: int = 1) -> None:
        """So many, each in a transaction of its own, by the test itself."""
        for _ in range(number):
            code = self._new_code()
            factories.make_sale(self.product, code=code)
            self.promised.add(code)

    def sell_on(self, site: str, timeout: float = 30) -> requests.Response | None:
        """One, by the web process at `site`. None if it could not be reached or died on it."""
        code = self._new_code()
        try:
            fields = {"code": code, "product": self.product.pk}
            answer = requests.post(f"{site}/sell/", data=fields, timeout=timeout)
        except requests.RequestException:
            self.refused += 1
            return None
        if answer.status_code == 201:
            self.promised.add(code)
        else:
            self.refused += 1
        return answer

    def _new_code(self) -> str:
        code = f"HP{next(_codes):010}"
        self.asked[code] = time.monotonic()
        return code

    @contextmanager
    def selling(self, per_second: float, site: str | None = None) -> Iterator[None]:
        """Sell at that rate meanwhile: by the web process, or else by the test. A sale that is refused is not retried."""
        ended = threading.Event()

        def sell() -> None:
            try:
                while not ended.wait(1 / per_second):
                    if site:
                        self.sell_on(site)
                    else:
                        self._sell_or_be_refused()
            finally:
                connection.close()

        seller = threading.Thread(target=sell, daemon=True)
        seller.start()
        try:
            yield
        finally:
            ended.set()
            seller.join(60)

    def _sell_or_be_refused(self) -> None:
        close_old_connections()
        try:
            self.sell()
        except Exception as error:  # of the database that is away, by the fault
            self.refused += 1
            self.errors.append(f"{type(error).__name__}: {error}")
            connection.close()

    # --- break

    @contextmanager
    def fault(self, what: str) -> Iterator[Fault]:
        fault = Fault(what, time.monotonic())
        try:
            yield fault
        finally:
            fault.ended = time.monotonic()
            self.faults.append(fault)

    def kill(self, what: str, pids: Sequence[int], signum: int, *, posts: bool = True) -> None:
        """Signal the first of them, and wait until all are dead. `posts`: one of them does, or may.

        What a dead one had claimed can be seen for as long as the lease lasts.
        """
        with self.fault(what) as fault:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[0], signum)
            wait_until(lambda: not any(map(is_alive, pids)), f"{what} lives on.", TO_DIE)
            fault.claimed = claimed() if posts else set()

    def kill_group(self, what: str, pids: Sequence[int], signum: int, *, posts: bool = True) -> None:
        """The same of all at once, as systemd does; the first is their leader."""
        with self.fault(what) as fault:
            os.killpg(pids[0], signum)
            wait_until(lambda: not any(map(is_alive, pids)), f"{what} lives on.", TO_DIE)
            fault.claimed = claimed() if posts else set()

    def arrived_since(self, at: float) -> set[str]:
        """The webhook-ids of the posts that came after that."""
        return {post.headers["webhook-id"] for post in list(self.receiver.posts) if post.at >= at}

    # --- count

    def count(self, *, repeats: int, failed: int = 0, timeout: float = STUCK) -> Figures:
        """Once all is delivered, at the latest `timeout` seconds from now. AssertionError if anything is amiss.

        `repeats`: how many posts may have come more than once. `failed`: how many the receiver refused at first.
        """
        connection.close()  # the fault may have cut it
        wait_until(self._nothing_waits, "not all is delivered.", timeout)
        sales = set(Transaction.objects.values_list("code", flat=True))
        assert self.promised <= sales, f"{len(self.promised - sales)} committed sales are gone."
        assert sorted(Event.objects.values_list("transaction_code", flat=True)) == sorted(sales)
        posts = dict(Delivery.objects.values_list("webhook_id", "event__transaction_code"))
        assert len(posts) == len(sales) * len(self.configs)
        assert set(Delivery.objects.values_list("state", flat=True)) <= {State.DELIVERED}
        delivered = Counter(
            DeliveryAttempt.objects.filter(delivered=True, late=False).values_list("delivery", flat=True)
        )
        assert len(delivered) == len(posts)
        assert set(delivered.values()) <= {1}, "A post was sent again after its answer was recorded."
        arrivals = self._arrivals()
        assert set(arrivals) == set(posts)
        again = {webhook_id: came for webhook_id, came in arrivals.items() if len(came) > 1}
        refused = set(
            DeliveryAttempt.objects.filter(delivered=False).values_list("delivery__webhook_id", flat=True)
        )
        assert len(refused) <= failed
        for webhook_id, came in again.items():
            assert len({post.body for post in came}) == 1, "A post came again with another body."
            for post in came[:-1] if webhook_id not in refused else ():
                assert any(fault.may_repeat(webhook_id, post.at) for fault in self.faults), (
                    f"A post came twice that was not in flight at a fault: at {[post.at for post in came]}; "
                    f"{[(f.what, f.began, f.ended, webhook_id in (f.claimed or ())) for f in self.faults]}."
                )
        assert len(again) <= repeats, f"{len(again)} posts came twice."
        longest = max(
            (self._waited(self.asked[posts[i]], came[-1].at) for i, came in arrivals.items()), default=0
        )
        assert longest < STUCK, f"A post waited for {longest:.0f} s."
        repeated = sum(len(came) - 1 for came in again.values())
        return Figures(len(sales), len(posts), len(self.faults), repeated, longest)

    def _nothing_waits(self) -> bool:
        return not Delivery.objects.exclude(state=State.DELIVERED).exists()

    def _arrivals(self) -> dict[str, list[Post]]:
        arrivals = defaultdict(list)
        for post in list(self.receiver.posts):
            arrivals[post.headers["webhook-id"]].append(post)
        return arrivals

    def _waited(self, sold: float, arrived: float) -> float:
        """From the first fault's end that it lived to see: later ones, and what they cost, count too.

        What came amid its first fault has waited until that began.
        """
        if ends := [fault.ended for fault in self.faults if sold <= fault.ended <= arrived]:
            return arrived - min(ends)
        began = [fault.began for fault in self.faults if fault.began <= arrived <= fault.ended]
        return max(0.0, min([arrived, *began]) - sold)


@dataclass
class Watch:
    """The processes of a run: who does what, and whether anybody is left behind. `environment` marks them."""

    mark: str = field(default_factory=lambda: uuid4().hex)
    mourning: list[tuple[float, list[int]]] = field(default_factory=list)  # whose parent died, and when

    @property
    def environment(self) -> dict[str, str]:
        return {"WEBHOOKHUB_FAULT_RUN": self.mark}

    def all(self) -> list[int]:
        """Every process that carries the mark."""
        marked = f"WEBHOOKHUB_FAULT_RUN={self.mark}".encode()
        found = []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and marked in Path(f"/proc/{name}/environ").read_bytes():
                    found.append(int(name))
        return [pid for pid in found if is_alive(pid)]

    def orphans(self, *supervised: Supervised) -> list[int]:
        """Who is neither one of these nor below one of them."""
        kept = {pid for each in supervised for pid in each.processes()}
        return [pid for pid in self.all() if pid not in kept]

    def mourn(self, children: list[int]) -> None:
        """Their parent has just been killed."""
        self.mourning.append((time.monotonic(), children))

    def look(self) -> None:
        """AssertionError if somebody's parent died more than a minute ago."""
        for died, children in self.mourning:
            late = time.monotonic() - died > ORPHANED
            assert not (late and any(map(is_alive, children))), "An orphan is at work after a minute."


def stat_of(cluster: ClusterProcess) -> Stat | None:
    """What the cluster says of its processes; None while it is not up."""
    found = [stat for stat in Stat.get_all(broker=wake.broker()) if stat.pid == cluster.pid]
    return found[0] if found else None


ROLES = ("busy worker", "idle worker", "sentinel", "monitor", "pusher", "parent")
WEB_ROLES = ("web worker", "web parent")
GROUP, WEB_GROUP = "group", "web group"  # all processes of a cluster, or of a site, at once
# Whose death takes posts that are on their way. Without a monitor or a pusher the workers end what they have.
POSTING = ("busy worker", "idle worker", "sentinel", "parent")


def process_of(role: str, cluster: ClusterProcess) -> int | None:
    """The process that does that; None while there is none, as amid a restart."""
    if role == "parent":
        return cluster.pid
    stat = stat_of(cluster)
    if stat is None:
        return None
    workers = sorted((pid for pid in stat.workers if is_alive(pid)), key=threads_of)
    pid = {
        "sentinel": stat.sentinel,
        "monitor": stat.monitor,
        "pusher": stat.pusher,
        "busy worker": workers[-1] if workers else 0,
        "idle worker": workers[0] if workers else 0,
    }[role]
    return pid if pid in cluster.descendants() else None


@contextmanager
def on_database(url: str) -> Iterator[None]:
    """This process's connection, and each process started meanwhile, on another database; with our tables, if it is empty."""
    from environ import Env

    before = connections.settings["default"]
    kind = {"CONN_MAX_AGE": before["CONN_MAX_AGE"]}
    if url.startswith("sqlite"):
        kind["OPTIONS"] = before["OPTIONS"]
    else:
        kind["CONN_HEALTH_CHECKS"] = True
    connections["default"].close()
    kept = connections["default"]
    connections.settings["default"] = connections.configure_settings(
        {"default": Env.db_url_config(url) | kind}
    )["default"]
    del connections["default"]
    try:
        if "deliveries_delivery" not in connection.introspection.table_names():
            # From the models as they are: through all the migrations it would take longer than the test.
            with override_settings(MIGRATION_MODULES={app.label: None for app in apps.get_app_configs()}):
                call_command("migrate", run_syncdb=True, verbosity=0)
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = before
        connections["default"] = kept
