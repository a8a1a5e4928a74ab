"""Posts per second, end to end, against a bare `requests` loop with the same bodies in the same minute.

    python -m benchmarks.throughput [--posts 4000] [--configurations 20]

A backlog is written by the way of every sale; two processes drain it, recording, signing and checking every
address. The baseline is two processes of `requests.Session.post` that record nothing. Prints a table and a
line of JSON. It works in a database of its own, which is gone afterwards.
"""

import argparse
import json
import multiprocessing
import os
import platform
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from .fast_receiver import fast_receiver

PROCESSES = 2
_spawn = multiprocessing.get_context("spawn")


def _django() -> None:
    import django

    django.setup()


def _drain(barrier: Barrier) -> None:
    _django()
    from deliveries import engine
    from deliveries.models import Delivery

    barrier.wait()
    while Delivery.objects.due().exists():
        engine.drain(budget=60)


def _bare_loop(barrier: Barrier, url: str, bodies: list[bytes]) -> None:
    import requests

    session = requests.Session()
    barrier.wait()
    for body in bodies:
        session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=15)


def _timed(target, arguments: list[tuple]) -> float:
    """Seconds from the moment that all processes stand ready until the last has ended."""
    barrier = _spawn.Barrier(len(arguments) + 1)
    processes = [_spawn.Process(target=target, args=(barrier, *given)) for given in arguments]
    for process in processes:
        process.start()
    barrier.wait()
    started = time.perf_counter()
    for process in processes:
        process.join()
    took = time.perf_counter() - started
    if any(process.exitcode for process in processes):
        raise SystemExit("A process of the benchmark failed; see above.")
    return took


def _write_backlog(receiver: str, posts: int, configurations: int) -> list[bytes]:
    """Write `posts` due deliveries over `configurations` configurations; the bodies that they will post."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from deliveries.contract import json_v2, snapshot
    from deliveries.models import Delivery
    from sales.models import record_status_changes
    from tests import factories

    products = []
    for n in range(configurations):
        product = factories.make_product(factories.make_seller(login=False))
        factories.make_config(product.owner, url=f"{receiver}/{n}")
        products.append(product)
    for start in range(0, posts, 500):
        numbers = range(start, min(start + 500, posts))
        record_status_changes([factories.sale(products[n % configurations]) for n in numbers])
    event = Delivery.objects.select_related("event").first().event
    body = json_v2.render(
        event.id, event.type, event.occurred_at, snapshot.Sale.from_json(event.snapshot), "producer"
    )
    return [body] * posts


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=4000)
    parser.add_argument("--configurations", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="webhookhub-bench-") as folder, fast_receiver() as receiver:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "webhookhub.settings",
            "DATABASE_URL": f"sqlite:///{Path(folder) / 'bench.sqlite3'}",
            "BROKER_URL": "orm",
            "CACHE_DIR": str(Path(folder) / "cache"),
            "DEBUG": "True",
            "DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
            "DELIVERY_ALLOWED_PORTS": receiver.rsplit(":", 1)[1],
        }
        _django()
        bodies = _write_backlog(receiver, options.posts, options.configurations)
        ours = options.posts / _timed(_drain, [()] * PROCESSES)
        half = options.posts // PROCESSES
        bare = options.posts / _timed(_bare_loop, [(f"{receiver}/hook", bodies[:half])] * PROCESSES)
        from deliveries.models import Delivery, State

        delivered = Delivery.objects.filter(state=State.DELIVERED).count()
    if delivered != options.posts:
        raise SystemExit(f"Only {delivered} of {options.posts} posts were delivered.")
    print(f"{options.posts} posts, {options.configurations} configurations, {PROCESSES} processes, SQLite")
    print(f"  webhookhub           {ours:8.0f} posts/s")
    print(f"  bare requests loop   {bare:8.0f} posts/s")
    print(f"  ratio                {ours / bare:8.2f}")
    print(
        json.dumps(
            {
                "benchmark": "throughput",
                "database": "sqlite",
                "ratio": round(ours / bare, 3),
                "posts_per_second": round(ours),
                "baseline_posts_per_second": round(bare),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            }
        )
    )


if __name__ == "__main__":
    main()
