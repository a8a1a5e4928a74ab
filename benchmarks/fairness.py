"""What one seller's trouble does to the others: how long their posts take beside it, and without it.

    python -m benchmarks.fairness [--seconds 20] [--rate 50] [--waiting 10000] [--bulk 100000] [--short] [--database sqlite]

A real cluster of two worker processes; twenty sellers have fifty sales a second together, and what counts is the time
from the commit of each to its post at the receiver. First nothing else goes on; then beside one endpoint that answers
after 15 s and for which 10,000 posts wait; beside ten of them; beside a bulk reprocess of 100,000 posts; and at last
alone again, since others may use the machine: the baseline is the mean of the two. Then a configuration that is limited
to 20 posts a second, which both workers keep together. On SQLite with the queue in it, and on PostgreSQL with a Redis
of the benchmark's own. Prints a table and a line of JSON for each of these.
"""

import argparse
import subprocess
import sys
import time
from typing import Any

from .databases import DATABASES, analyze, environment, multiply, on_each
from .latency import Latencies, make_products, queue_for, sell, steadily
from .qcluster import cluster
from .report import emit, percentile, table
from .timing_receiver import TimingReceiver, timing_receiver

HANGS = 15.0  # seconds
MANY = 10  # endpoints that hang at once
LIMIT = 20  # posts a second
# What is asked for: how many times the p99 of the others may be what it is alone.
MOST = {"one hangs": 1.5, "ten hang": 2.0}
IDS = {"sqlite": "printf('%%032x', {0} + n.i)", "postgresql": "lpad(to_hex({0} + n.i), 32, '0')::uuid"}


def _numbers() -> Any:
    """From which number on the next rows are counted, so that no two have the same."""
    number = 0
    while True:
        yield number
        number += 10_000_000


NUMBERS = _numbers()


def write_backlog(product: Any, posts: int, state: str) -> None:
    """So many posts of that product's seller, waiting or delivered, written at once."""
    from deliveries.models import Delivery

    sell(product)
    delivery = Delivery.objects.filter(event__product=product).select_related("event").latest("pk")
    first = next(NUMBERS)
    ids = {vendor: expression.format(first) for vendor, expression in IDS.items()}
    facts = {
        "state": f"'{state}'", "tries": "0", "attempts_made": "0", "claim_id": "NULL", "lease_until": "NULL",
        "next_try_at": "NULL", "lane": "0", "body": "''", "webhook_id": f"'msg_bench' || ({first} + n.i)",
    }  # fmt: skip
    multiply(delivery.event, posts, id=ids)
    facts = {name: dict.fromkeys(DATABASES, expression) for name, expression in facts.items()}
    multiply(delivery, posts, event_id=ids, **facts)
    analyze()


def hanging_endpoints(receiver: TimingReceiver, count: int, waiting: int) -> list[Any]:
    """The configurations of so many sellers; `waiting` posts for all of them together wait by now."""
    from tests import factories

    configs = []
    for n in range(count):
        product = factories.make_product(factories.make_seller(login=False))
        configs.append(factories.make_config(product.owner, url=f"{receiver.addresses[n]}/hangs"))
        write_backlog(product, waiting // count, "waiting")
    return configs


def end(configs: list[Any]) -> None:
    """Nothing more goes to them; returns once the last answer is here."""
    from deliveries.models import Delivery, State

    for config in configs:
        config.remove()
    until = time.monotonic() + 60
    while Delivery.objects.filter(config__in=configs, state=State.SENDING).exists():
        if time.monotonic() > until:
            raise SystemExit("Posts to endpoints that hang do not end.")
        time.sleep(0.2)


def reprocess(product: Any, posts: int) -> Any:
    """A bulk reprocess of so many, under way."""
    from deliveries import bulk
    from deliveries.models import Delivery, State

    write_backlog(product, posts, "delivered")
    found = Delivery.objects.filter(event__product=product, state=State.DELIVERED)
    return bulk.start(found, asked_for="A benchmark.", selection={}, seconds=None)


def rate_of(receiver: TimingReceiver, address: str, seconds: float) -> float:
    """Posts a second to a configuration that is limited, by those that came after its first burst."""
    from tests import factories

    product = factories.make_product(factories.make_seller(login=False))
    config = factories.make_config(product.owner, url=f"{address}/limited", posts_per_second=LIMIT)
    receiver.arrivals()
    write_backlog(product, round(LIMIT * seconds * 1.5), "waiting")
    began = time.monotonic()
    time.sleep(seconds + 2)
    came = [at - began for _id, at in receiver.arrivals()]
    config.remove()
    counted = [at for at in came if at >= 2]
    return len(counted) / seconds


def measure(database: str, options: argparse.Namespace) -> None:
    """In a process of its own, which has the database and the queue in its environment."""
    import django

    django.setup()
    from deliveries import bulk

    with timing_receiver() as receiver, timing_receiver(hosts=MANY, delay=HANGS) as hanging:
        ports = {
            "DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
            "DELIVERY_ALLOWED_PORTS": f"{receiver.port},{hanging.port}",
        }
        products = make_products(receiver.addresses[0])
        latencies = Latencies(receiver)

        def others() -> list[float]:
            committed, _rate = steadily(products, options.rate, options.seconds)
            return latencies.wait_for(committed)

        with cluster(**ports):
            for product in products:
                latencies.wait_for(dict([sell(product)]))  # it is up, and what is done once is done
            found = {"alone, before": others()}
            for name, count in (("one hangs", 1), ("ten hang", MANY)):
                if options.only in (None, name):
                    configs = hanging_endpoints(hanging, count, options.waiting)
                    found[name] = others()
                    end(configs)
            if options.only in (None, "reprocess"):
                running = reprocess(products[0], options.bulk)
                found["bulk reprocess"] = others()
                bulk.stop(running)
            found["alone, after"] = others()
            rate = None
            if options.only in (None, "rate"):
                rate = rate_of(receiver, receiver.addresses[0], options.seconds)
    report(database, options, found, rate)


def report(
    database: str, options: argparse.Namespace, found: dict[str, list[float]], rate: float | None
) -> None:
    alone = (percentile(found["alone, before"], 99) + percentile(found["alone, after"], 99)) / 2
    print(f"{database}: {options.rate} sales/s of others; milliseconds from the commit to the receiver")
    rows = []
    for name, values in found.items():
        p50, p99 = percentile(values, 50), percentile(values, 99)
        ratio = f"{p99 / alone:.2f}"
        limit = MOST.get(name, "")
        rows.append((name, f"{p50:.1f}", f"{p99:.1f}", f"{max(values):.1f}", ratio, limit))
    table(("", "p50", "p99", "most", "p99 / alone", "limit"), rows)
    for name, values in found.items():
        p99 = percentile(values, 99)
        figures = {"p50_ms": round(percentile(values, 50), 1), "p99_ms": round(p99, 1), "sales": len(values)}
        emit("fairness", database=database, beside=name, **figures, ratio=round(p99 / alone, 2))
    if rate is not None:
        print(f"  A limit of {LIMIT} posts/s: {rate:.2f} posts/s by two workers.")
        emit("fairness", database=database, beside="rate limit", limit=LIMIT, posts_per_second=round(rate, 2))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each of these")
    parser.add_argument("--rate", type=int, default=50, help="sales a second of the others")
    parser.add_argument("--waiting", type=int, default=10_000, help="posts for the endpoints that hang")
    parser.add_argument("--bulk", type=int, default=100_000, help="posts that are reprocessed")
    parser.add_argument("--short", action="store_true", help="a few seconds, and few posts")
    parser.add_argument("--only", choices=["one hangs", "ten hang", "reprocess", "rate"], help="this alone")
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.short:
        options.seconds, options.waiting, options.bulk = 3, 500, 500
    if options.inner:
        measure(options.database, options)
        return

    def run(database: str, url: str, folder: str) -> None:
        inner = [sys.executable, "-m", "benchmarks.fairness", "--inner", "--database", database]
        for name in ("seconds", "rate", "waiting", "bulk"):
            inner += [f"--{name}", str(getattr(options, name))]
        if options.only:
            inner += ["--only", options.only]
        with queue_for(database) as queue:
            if queue:
                subprocess.run(inner, env=environment(url, folder, BROKER_URL=queue), check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
