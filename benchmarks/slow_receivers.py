"""Posts per second to receivers that take 200 ms, on ten hosts and more, with two worker processes.

    python -m benchmarks.slow_receivers [--posts 4500] [--hosts 12] [--delay 0.2] [--database sqlite]

A host is an address of loopback, which the engine counts as it counts any other; each takes the posts of two sellers.
The baseline is what the same receivers give to two processes of `requests` sessions with so many threads that each
host always has as many posts in hand as one seller may have there (8). On SQLite, and on PostgreSQL where there is
one. Prints a table and a line of JSON for each.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from itertools import cycle

from .databases import DATABASES, environment, on_each
from .qcluster import cluster
from .report import emit, table
from .throughput import PROCESSES, timed, write_backlog
from .timing_receiver import timing_receiver

SELLERS_A_HOST = 2
AT_ONCE = 8  # a host, of the baseline
ASKED_FOR = 300  # posts a second
LONGEST = 180  # seconds


def bare_loop(barrier, addresses: Sequence[str], bodies: list[bytes]) -> None:
    """One process of the baseline: AT_ONCE threads for each host, shared by all processes."""
    import requests

    left = iter(bodies)
    lock = threading.Lock()

    def work(address: str) -> None:
        session = requests.Session()
        while True:
            with lock:
                body = next(left, None)
            if body is None:
                return
            session.post(address, data=body, headers={"Content-Type": "application/json"}, timeout=15)

    at = cycle(addresses)
    threads = [
        threading.Thread(target=work, args=(next(at),)) for _ in range(AT_ONCE * len(addresses) // PROCESSES)
    ]
    barrier.wait()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def delivered_per_second(posts: int, **environment: str) -> float:
    """While a real cluster drains them: from the first that is delivered to the last."""
    from deliveries.models import Delivery, State

    done = Delivery.objects.filter(state=State.DELIVERED)
    with cluster(**environment):
        until = time.monotonic() + LONGEST
        began, before = 0.0, 0
        while (count := done.count()) < posts:
            if count and not began:
                began, before = time.monotonic(), count
            if time.monotonic() > until:
                raise SystemExit(f"Only {count} of {posts} posts were delivered in {LONGEST} s.")
            time.sleep(0.1)
        return (posts - before) / (time.monotonic() - began)


def measure(options: argparse.Namespace) -> None:
    """In a process of its own, which has the database in its environment."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connections

    call_command("migrate", verbosity=0)
    with timing_receiver(options.hosts, options.delay) as receiver:
        bodies = write_backlog(receiver.addresses, options.posts, SELLERS_A_HOST * options.hosts)
        hooks = [f"{address}/bare" for address in receiver.addresses]
        share = bodies[: options.posts // PROCESSES]
        bare = timed(bare_loop, len(share) * PROCESSES, [(hooks, share)] * PROCESSES).per_second
        ours = delivered_per_second(
            options.posts,
            DELIVERY_ALLOWED_NETWORKS="127.0.0.0/8",
            DELIVERY_ALLOWED_PORTS=str(receiver.port),
            WORKERS=str(PROCESSES),
        )
        connections.close_all()
    print(
        f"{options.database}: {options.posts} posts to {options.hosts} hosts, {options.delay * 1000:.0f} ms each"
    )
    rows = [("webhookhub", f"{ours:.0f}", ASKED_FOR), ("bare requests, 8 a host", f"{bare:.0f}", "")]
    table(("", "posts/s", "asked for"), rows)
    emit(
        "slow_receivers",
        database=options.database,
        posts_per_second=round(ours),
        baseline_posts_per_second=round(bare),
        ratio=round(ours / bare, 3),
        hosts=options.hosts,
        answer_ms=round(options.delay * 1000),
        posts=options.posts,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=4500)
    parser.add_argument("--hosts", type=int, default=12)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds that a receiver takes")
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        measure(options)
        return

    def run(database: str, url: str, folder: str) -> None:
        inner = [sys.executable, "-m", "benchmarks.slow_receivers", "--inner", "--database", database]
        inner += ["--posts", str(options.posts), "--hosts", str(options.hosts), "--delay", str(options.delay)]
        subprocess.run(inner, env=environment(url, folder), check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
