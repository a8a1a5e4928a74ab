"""From the commit of a sale until its post is at the receiver, with real worker processes.

    python -m benchmarks.latency [--sales 200] [--seconds 10] [--rate 200] [--database sqlite]

First a system with nothing else to do: one sale at a time, with random gaps. The baseline is a bare `requests.post` of
the same body to the same receiver, in turn with the sales. Then as many sales a second as a busy platform has, each in
a transaction of its own, by four threads. Then what an idle system costs, as a share of one core: all processes of the
cluster, and PostgreSQL's that work for them. SQLite with the queue in it; PostgreSQL with a Redis of the benchmark's
own. Prints a table and a line of JSON for each.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .databases import DATABASES, environment, on_each
from .qcluster import Cluster, cluster, processor_seconds
from .report import emit, percentile, table
from .timing_receiver import TimingReceiver, timing_receiver

SELLERS = 20
THREADS = 4
GAP = (0.02, 0.15)  # seconds between two sales of an idle system
REST = 8.0  # seconds in which nothing happens
# What is asked for: milliseconds, and per cent of a core.
LIMITS = {
    "sqlite": {"p50": 50, "p99": 120, "steady p99": 500, "idle %": 4},
    "postgresql": {"p50": 20, "p99": 60, "steady p99": 500, "idle %": 4},
}


def make_products(address: str) -> list[Any]:
    """One each of SELLERS producers who want to hear of everything."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from tests import factories

    products = [factories.make_product(factories.make_seller(login=False)) for _ in range(SELLERS)]
    for n, product in enumerate(products):
        factories.make_config(product.owner, url=f"{address}/{n}")
    return products


def sell(product: Any) -> tuple[str, float]:
    """The sale's code, and the monotonic time at which it was committed: before anybody is woken."""
    from django.db import transaction

    from tests import factories

    committed: list[float] = []
    sale = factories.sale(product)
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time.monotonic()))
        sale.save()
    return sale.code, committed[0]


class Latencies:
    """Of sales, by the time that their posts arrive."""

    def __init__(self, receiver: TimingReceiver) -> None:
        self._receiver = receiver
        self._arrived: dict[str, float] = {}

    def wait_for(self, committed: dict[str, float], timeout: float = 60) -> list[float]:
        """Milliseconds of each of them, {code of a sale: time}, once all have come."""
        from deliveries.models import Delivery

        until = time.monotonic() + timeout
        rows = Delivery.objects.filter(event__transaction_code__in=committed)
        ids = dict(rows.values_list("webhook_id", "event__transaction_code"))
        while missing := ids.keys() - self._arrived.keys():
            self._note()
            if time.monotonic() > until:
                raise SystemExit(f"{len(missing)} of {len(ids)} posts have not come within {timeout:.0f} s.")
            time.sleep(0.05)
        return [1000 * (self._arrived[webhook_id] - committed[code]) for webhook_id, code in ids.items()]

    def of_bare(self, sent: dict[str, float]) -> list[float]:
        self._note()
        return [1000 * (self._arrived[name] - at) for name, at in sent.items()]

    def _note(self) -> None:
        for webhook_id, at in self._receiver.arrivals():
            self._arrived.setdefault(webhook_id, at)


def one_at_a_time(products: list[Any], sales: int, bare: Callable[[str], None]) -> tuple[dict, dict]:
    """{code: committed at} of the sales and {name: begun at} of bare posts, in turn."""
    committed, sent = {}, {}
    for n in range(sales):
        time.sleep(random.uniform(*GAP))
        code, at = sell(random.choice(products))
        committed[code] = at
        time.sleep(random.uniform(*GAP))
        sent[f"bare-{n}"] = time.monotonic()
        bare(f"bare-{n}")
    return committed, sent


def steadily(products: list[Any], rate: int, seconds: float) -> tuple[dict[str, float], float]:
    """{code: committed at}, and how many a second it came to."""
    from django.db import connections

    committed: dict[str, float] = {}
    turns = iter(range(round(rate * seconds)))
    lock = threading.Lock()
    began = time.monotonic()

    def work() -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return connections.close_all()
            time.sleep(max(0.0, began + turn / rate - time.monotonic()))
            code, at = sell(products[turn % len(products)])
            committed[code] = at

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return committed, len(committed) / (time.monotonic() - began)


def idle_share(of: Cluster) -> float:
    """Per cent of one core over REST seconds in which nothing happens; of a process that ends in them, nothing."""

    def used() -> dict[int, float]:
        return {pid: processor_seconds(pid) for pid in [*of.processes(), *_servers()]}

    before, began = used(), time.monotonic()
    time.sleep(REST)
    seconds = sum(max(0.0, now - before.get(pid, 0.0)) for pid, now in used().items())
    return 100 * seconds / (time.monotonic() - began)


def _servers() -> list[int]:
    """PostgreSQL's processes for this database, but for our own."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return [pid for (pid,) in cursor.fetchall()]


def measure(database: str, options: argparse.Namespace) -> None:
    """In a process of its own, which has the database and the queue in its environment."""
    import django

    django.setup()
    import requests

    from deliveries.models import Delivery

    with timing_receiver() as receiver:
        address = receiver.addresses[0]
        ports = {"DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8", "DELIVERY_ALLOWED_PORTS": str(receiver.port)}
        products = make_products(address)
        latencies = Latencies(receiver)
        with cluster(**ports) as running:
            for product in products[:4]:
                latencies.wait_for(dict([sell(product)]))  # it is up, and what is done once is done
            body = Delivery.objects.exclude(body="").first().body.encode()

            def bare(name: str) -> None:
                head = {"Content-Type": "application/json", "webhook-id": name}
                requests.post(f"{address}/bare", data=body, headers=head, timeout=15)

            committed, sent = one_at_a_time(products, options.sales, bare)
            idle, baseline = latencies.wait_for(committed), latencies.of_bare(sent)
            committed, rate = steadily(products, options.rate, options.seconds)
            steady = latencies.wait_for(committed)
            time.sleep(3)
            share = idle_share(running)
    report(database, options, idle, baseline, steady, rate, share)


def report(
    database: str,
    options: argparse.Namespace,
    idle: list[float],
    baseline: list[float],
    steady: list[float],
    rate: float,
    share: float,
) -> None:
    broker = "redis" if os.environ["BROKER_URL"].startswith("redis") else "orm"
    limits = LIMITS[database]
    print(f"{database}, queue: {broker}; milliseconds from the commit to the receiver")
    rows = [
        (name, f"{percentile(values, 50):.1f}", f"{percentile(values, 99):.1f}", f"{max(values):.1f}", limit)
        for name, values, limit in (
            ("idle", idle, f"{limits['p50']} / {limits['p99']}"),
            ("bare requests.post", baseline, ""),
            (f"{rate:.0f} sales/s", steady, f"- / {limits['steady p99']}"),
        )
    ]
    table(("", "p50", "p99", "most", "limits"), rows)
    print(f"  An idle system takes {share:.1f} % of a core (limit {limits['idle %']}).")
    emit(
        "latency",
        database=database,
        broker=broker,
        idle_p50_ms=round(percentile(idle, 50), 1),
        idle_p99_ms=round(percentile(idle, 99), 1),
        baseline_p50_ms=round(percentile(baseline, 50), 1),
        baseline_p99_ms=round(percentile(baseline, 99), 1),
        steady_per_second=round(rate),
        steady_p50_ms=round(percentile(steady, 50), 1),
        steady_p99_ms=round(percentile(steady, 99), 1),
        idle_core_percent=round(share, 2),
        sales=len(idle),
        steady_sales=len(steady),
    )


@contextmanager
def queue_for(database: str) -> Iterator[str | None]:
    """The BROKER_URL that goes with it: the database itself, or a Redis of its own; None where that is missing."""
    if database == "sqlite":
        yield "orm"
    elif shutil.which("redis-server") is None:
        print("redis-server is not installed, so PostgreSQL with Redis is left out.")
        yield None
    else:
        from tests.redis_server import RedisServer

        with RedisServer() as server:
            yield server.url


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sales", type=int, default=200, help="one at a time")
    parser.add_argument("--rate", type=int, default=200, help="sales a second of a busy system")
    parser.add_argument("--seconds", type=float, default=10, help="of which so long")
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        measure(options.database, options)
        return

    def run(database: str, url: str, folder: str) -> None:
        inner = [sys.executable, "-m", "benchmarks.latency", "--inner", "--database", database]
        inner += [
            "--sales",
            str(options.sales),
            "--rate",
            str(options.rate),
            "--seconds",
            str(options.seconds),
        ]
        with queue_for(database) as queue:
            if queue:
                subprocess.run(inner, env=environment(url, folder, BROKER_URL=queue), check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
