"""The memory of the worker processes over 200,000 posts, which is to be flat.

    python -m benchmarks.memory [--posts 200000] [--before 100000] [--database sqlite]

A backlog is written in parts of 10,000 posts over 20 configurations, and a real cluster drains it; after each part the
memory of its two workers is read. Flat means that the mean of the second half is no more than 2 % above that of the
first; single readings are a few MB apart, as Python's garbage is collected or not yet. What is sent `--before` does not
count: meanwhile the caches fill, and the allocator finds out how much is needed at most, which shows as one step. The
baseline is a bare `requests` session that posts the same bodies. Prints a table and a line of JSON for each database.
"""

import argparse
import multiprocessing
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean
from typing import Any

from .databases import DATABASES, analyze, environment, multiply, on_each
from .fast_receiver import receiver
from .qcluster import PAGE, Cluster, cluster
from .report import emit, table

CONFIGURATIONS = 20
PART = 10_000
LONGEST = 120  # seconds for a part
GROWTH = 1.02
MB = 1_000_000


def first_posts(address: str) -> list[Any]:
    """One delivery for each of CONFIGURATIONS configurations."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from deliveries.models import Delivery
    from tests import factories

    for n in range(CONFIGURATIONS):
        product = factories.make_product(factories.make_seller(login=False))
        factories.make_config(product.owner, url=f"{address}/{n}")
        factories.make_sale(product)
    return list(Delivery.objects.select_related("event"))


def add(deliveries: list[Any], part: int, posts: int) -> None:
    """So many more, like these, which are written by the database itself: whoever writes them is not measured."""
    each = posts // len(deliveries)
    for delivery in deliveries:
        delivery.state, delivery.body = "waiting", ""
        first = (part * len(deliveries) + deliveries.index(delivery)) * each
        ids = {
            "sqlite": f"printf('%%032x', n.i + {first})",
            "postgresql": f"lpad(to_hex(n.i + {first}), 32, '0')::uuid",
        }
        name = f"'msg_' || (n.i + {first})"
        multiply(delivery.event, each, id=ids)
        same = dict.fromkeys(DATABASES, "NULL")
        multiply(
            delivery, each, event_id=ids, webhook_id=dict.fromkeys(DATABASES, name), opens=same, closes=same,
            state=dict.fromkeys(DATABASES, "'waiting'"), tries=dict.fromkeys(DATABASES, "0"),
            attempts_made=dict.fromkeys(DATABASES, "0"), body=dict.fromkeys(DATABASES, "''"), finished_at=same,
        )  # fmt: skip
    analyze()


def workers_of(running: Cluster) -> dict[int, int]:
    """{pid: bytes}: the sentinel forks the workers first, then the monitor and the pusher."""
    memory = running.memory()
    return {pid: memory[pid] for pid in sorted(memory)[:-2]}


def wait_until_delivered(count: int) -> None:
    from deliveries.models import Delivery, State

    until = time.monotonic() + LONGEST
    while (done := Delivery.objects.filter(state=State.DELIVERED).count()) < count:
        if time.monotonic() > until:
            raise SystemExit(f"Only {done} of {count} posts are delivered.")
        time.sleep(0.2)


def bare(url: str, body: bytes, posts: int, told: Connection) -> None:
    """The baseline, in a process of its own: its bytes after a tenth of the posts, and at the end."""
    import requests

    session = requests.Session()
    for n in range(posts):
        if n in (posts // 10, posts - 1):
            told.send(PAGE * int(Path("/proc/self/statm").read_text().split()[1]))
        session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=15)


def measure(options: argparse.Namespace, address: str) -> None:
    """In a process of its own, which has the database in its environment."""
    import django

    django.setup()
    from deliveries.models import Delivery

    deliveries = first_posts(address)
    made, seen, pids = len(deliveries), [], set()
    with cluster() as running:
        wait_until_delivered(made)
        for part in range((options.before + options.posts) // PART):
            add(deliveries, part, PART)
            made += PART
            wait_until_delivered(made)
            memory = workers_of(running)
            pids.add(tuple(memory))
            seen.append(max(memory.values()))
    if len(pids) != 1:
        raise SystemExit("A worker was replaced in between, so its memory says nothing.")
    body = Delivery.objects.exclude(body="").first().body.encode()
    mine, its = multiprocessing.get_context("spawn").Pipe()
    plain = multiprocessing.get_context("spawn").Process(
        target=bare, args=(f"{address}/bare", body, max(options.posts // 10, 1000), its)
    )
    plain.start()
    early, late = mine.recv(), mine.recv()
    plain.join()
    report(options, seen, early, late)


def report(options: argparse.Namespace, seen: list[int], early: int, late: int) -> None:
    counted = seen[options.before // PART :]
    middle = max(1, len(counted) // 2)
    half, last = mean(counted[:middle]), mean(counted[-middle:])
    print(f"{options.database}: memory of the greater of two workers")
    shown = sorted({0, *range(4, len(seen), 5), len(seen) - 1})
    rows = [(f"after {PART * (n + 1)} posts", f"{seen[n] / MB:.1f}") for n in shown]
    table(("", "MB"), [*rows, ("bare session, early", f"{early / MB:.1f}"), ("and late", f"{late / MB:.1f}")])
    flat = last <= half * GROWTH
    print(
        f"  Over the last {options.posts} it was {half / MB:.1f} MB in the mean of their first half and "
        f"{last / MB:.1f} in that of their second: {'flat' if flat else 'NOT flat'}."
    )
    emit(
        "memory",
        database=options.database,
        posts=options.posts,
        before=options.before,
        first_mb=round(seen[0] / MB, 1),
        half_mb=round(half / MB, 1),
        last_mb=round(last / MB, 1),
        growth_percent=round(100 * (last / half - 1), 2),
        flat=flat,
        baseline_early_mb=round(early / MB, 1),
        baseline_late_mb=round(late / MB, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=200_000, help=f"a multiple of {PART}")
    parser.add_argument("--before", type=int, default=100_000, help="so many first, which do not count")
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--inner", help=argparse.SUPPRESS)  # the receiver's address
    options = parser.parse_args()
    if options.inner:
        measure(options, options.inner)
        return

    def run(database: str, url: str, folder: str) -> None:
        with receiver() as (address, _):
            inner = [sys.executable, "-m", "benchmarks.memory", "--inner", address, "--database", database]
            own = environment(
                url,
                folder,
                DELIVERY_ALLOWED_NETWORKS="127.0.0.0/8",
                DELIVERY_ALLOWED_PORTS=address.rpartition(":")[2],
            )
            counts = ["--posts", str(options.posts), "--before", str(options.before)]
            subprocess.run([*inner, *counts], env=own, check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
