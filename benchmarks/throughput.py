"""Posts per second, end to end, against a bare `requests` loop with the same bodies in the same minute.

    python -m benchmarks.throughput [--posts 20000] [--configurations 20] [--database sqlite]

A backlog is written by the way of every sale; two processes drain it, recording, signing and checking every
address, with the settings of production. The baseline is two processes of `requests.Session.post` that record
nothing; it runs before and after, since others may use the machine, and the mean counts. On SQLite, and on
PostgreSQL where there is one, each in a database of its own, which is gone afterwards. Prints a table and a line
of JSON for each database.
"""

import argparse
import math
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from .databases import DATABASES, environment, own_database
from .fast_receiver import receiver
from .report import emit

PROCESSES = 2
READY_WITHIN = 120  # seconds until a process of ours is set up
SLOWEST = 20  # posts per second: who is slower is taken to hang
_spawn = multiprocessing.get_context("spawn")


class Speed(NamedTuple):
    per_second: float
    microseconds: (
        float  # of processor time for each post, in our processes: what else runs here moves it little
    )


def _django() -> None:
    import django

    django.setup()


def _drain(barrier: Barrier, log: str) -> None:
    """It logs each post into a file, as on a server."""
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
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


def bare_posts_per_second(posts: int = 8000) -> float:
    """Of the baseline alone: the speed of this machine in this minute, by which other benchmarks can be compared."""
    with receiver() as (address, _name):
        half = (f"{address}/hook", [b"x" * 2000] * (posts // PROCESSES))
        return timed(_bare_loop, posts, [half] * PROCESSES).per_second


def _counted(target, used, began, ended, barrier: Barrier, *arguments) -> None:
    """Run `target`; add the processor time that it took from the barrier on to `used`, and note when the first of them
    `began` and the last `ended`."""
    before = [0.0]

    class _Marked:
        def wait(self) -> None:
            barrier.wait(READY_WITHIN)
            before[0] = _processor_time()
            with used.get_lock():
                began.value = min(began.value, time.monotonic())  # the same clock in all processes

    try:
        target(_Marked(), *arguments)
    except BaseException:
        barrier.abort()  # nobody is to wait for this one
        raise
    with used.get_lock():
        used.value += _processor_time() - before[0]
        ended.value = max(ended.value, time.monotonic())


def _processor_time() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed(target, posts: int, arguments: list[tuple]) -> Speed:
    """From the moment that all processes stand ready until the last has done its work; that each then takes itself
    apart as a process is no part of it."""
    barrier = _spawn.Barrier(len(arguments) + 1)
    used, began, ended = (_spawn.Value("d", value) for value in (0.0, math.inf, 0.0))
    processes = [
        _spawn.Process(target=_counted, args=(target, used, began, ended, barrier, *given))
        for given in arguments
    ]
    try:
        for process in processes:
            process.start()
        _wait_at(barrier, processes)
        started = time.monotonic()
        for process in processes:
            process.join(max(0.0, started + posts / SLOWEST - time.monotonic()))
        if any(process.exitcode != 0 for process in processes):
            raise SystemExit("A process of the benchmark failed or hangs; see above.")
    finally:
        for process in processes:
            if process.is_alive():
                process.kill()
    return Speed(posts / (ended.value - began.value), used.value * 1_000_000 / posts)


def _wait_at(barrier: Barrier, processes: list) -> None:
    """Until all stand ready. One that was killed before can tell nobody."""
    watched = threading.Event()

    def watch() -> None:
        while not watched.wait(0.2):
            if any(process.exitcode for process in processes):
                barrier.abort()
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        barrier.wait(READY_WITHIN)
    except threading.BrokenBarrierError:
        raise SystemExit("A process of the benchmark failed before it was ready; see above.") from None
    finally:
        watched.set()


def write_backlog(addresses: Sequence[str], posts: int, configurations: int) -> list[bytes]:
    """Write `posts` due deliveries over `configurations` configurations; the bodies that they will post.

    The configurations take the addresses in turn, each with a path and a seller of its own.
    """
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from deliveries.contract import json_v2, snapshot
    from deliveries.models import Delivery
    from sales.models import record_status_changes
    from tests import factories

    products = []
    for n in range(configurations):
        product = factories.make_product(factories.make_seller(login=False))
        factories.make_config(product.owner, url=f"{addresses[n % len(addresses)]}/{n}")
        products.append(product)
    for start in range(0, posts, 500):
        numbers = range(start, min(start + 500, posts))
        record_status_changes([factories.sale(products[n % configurations]) for n in numbers])
    event = Delivery.objects.select_related("event").first().event
    body = json_v2.render(
        event.id, event.type, event.occurred_at, snapshot.Sale.from_json(event.snapshot), "producer"
    )
    return [body] * posts


def _measure(database: str, address: str, posts: int, configurations: int) -> None:
    """Run it on one database and print what came out; in a process of its own, since Django is set up once."""
    import psycopg

    with tempfile.TemporaryDirectory(prefix="webhookhub-bench-") as folder:
        try:
            with own_database(database, folder) as url:
                os.environ |= environment(
                    url,
                    folder,
                    DELIVERY_ALLOWED_NETWORKS="127.0.0.0/8",  # the receiver's
                    DELIVERY_ALLOWED_PORTS=str(urlsplit(address).port),
                )
                _django()
                ours, bare = _drain_and_baseline(address, posts, configurations)
                _close()
        except psycopg.OperationalError as error:
            print(f"{database} cannot be reached: {error}")
            return
    print(f"{database}: {posts} posts, {configurations} configurations, {PROCESSES} processes")
    for name, speed in (("webhookhub", ours), ("bare requests loop", bare)):
        print(f"  {name:20} {speed.per_second:8.0f} posts/s {speed.microseconds:8.0f} µs of processor a post")
    print(f"  {'ratio':20} {ours.per_second / bare.per_second:8.2f}")
    emit(
        "throughput",
        database=database,
        ratio=round(ours.per_second / bare.per_second, 3),
        posts_per_second=round(ours.per_second),
        baseline_posts_per_second=round(bare.per_second),
        processor_microseconds_per_post=round(ours.microseconds),
        baseline_processor_microseconds_per_post=round(bare.microseconds),
        posts=posts,
    )


def _drain_and_baseline(address: str, posts: int, configurations: int) -> tuple[Speed, Speed]:
    bodies = write_backlog([address], posts, configurations)
    half = [(f"{address}/hook", bodies[: posts // PROCESSES])] * PROCESSES
    before = timed(_bare_loop, posts, half)
    log = f"{os.environ['CACHE_DIR']}.log"
    try:
        ours = timed(_drain, posts, [(log,)] * PROCESSES)
    except SystemExit:
        print(Path(log).read_text(errors="replace")[-4000:])
        raise
    after = timed(_bare_loop, posts, half)
    from deliveries.models import Delivery, DeliveryAttempt, State

    delivered = Delivery.objects.filter(state=State.DELIVERED).count()
    if delivered != posts or DeliveryAttempt.objects.count() != posts:
        raise SystemExit(f"Only {delivered} of {posts} posts were delivered, or not each by one attempt.")
    return ours, Speed(*((one + other) / 2 for one, other in zip(before, after, strict=True)))


def _close() -> None:
    from django.db import connections

    connections.close_all()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--posts", type=int, default=20_000)
    parser.add_argument("--configurations", type=int, default=20)
    parser.add_argument("--database", choices=DATABASES, help="this one only")
    options = parser.parse_args()
    with receiver() as (address, name):
        print(f"The receiver is {name}.", flush=True)
        for database in [options.database] if options.database else DATABASES:
            run = _spawn.Process(
                target=_measure, args=(database, address, options.posts, options.configurations)
            )
            run.start()
            run.join()
            if run.exitcode:
                raise SystemExit(run.exitcode)


if __name__ == "__main__":
    main()
