"""Page 1 and page 1,000 of the lists of posts, on a million rows, as the browser gets them.

    python -m benchmarks.paging [--rows 1000000] [--rounds 15]

Each page is asked of the real view, chart, filters, counts and all; the pages of a list in turn, so that a busy
moment hits them alike. The baseline is how the same rows are found by OFFSET in the same run. On SQLite, and on
PostgreSQL where there is one. Prints a table and a line of JSON for each list.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .databases import DATABASES, analyze, environment, multiply, on_each

FAR = 1000  # the page that is compared with the first


def _moments(base: int, step: int) -> dict[str, str]:
    """`step` seconds further back for each row."""
    return {
        "sqlite": f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {base} - n.i * {step}, 'unixepoch')",
        "postgresql": f"to_timestamp({base} - n.i * {step})",
    }


def _one(expression: str) -> dict[str, str]:
    return dict.fromkeys(DATABASES, expression)


def _fill(rows: int) -> Any:
    """A seller with `rows` posts, one every 20 s, of which every twentieth failed. The seller's user."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from deliveries.models import Delivery, State
    from tests import factories

    product = factories.make_product()
    factories.make_config(product.owner)
    sale = factories.make_sale(product)
    delivery = Delivery.objects.select_related("event").get(event__sale=sale)
    Delivery.objects.update(state=State.DELIVERED, last_status=200, tries=1)
    base = int(delivery.created_at.timestamp())
    ids = {"sqlite": "printf('%%032x', n.i)", "postgresql": "lpad(to_hex(n.i), 32, '0')::uuid"}
    code = {"sqlite": "'HP9' || printf('%%09d', n.i)", "postgresql": "'HP9' || lpad(n.i::text, 9, '0')"}
    multiply(
        delivery.event, rows, id=ids, occurred_at=_moments(base, 20), transaction_code=code,
        buyer_email={"sqlite": "'buyer' || n.i || '@example.com'", "postgresql": "'buyer' || n.i || '@example.com'"},
    )  # fmt: skip
    multiply(
        delivery, rows, event_id=ids, created_at=_moments(base, 20), webhook_id=_one("'msg_bench' || n.i"),
        state=_one("CASE WHEN n.i % 20 = 0 THEN 'failed' ELSE 'delivered' END".replace("%", "%%")),
    )  # fmt: skip
    analyze()
    return product.owner.user


def _key(posts: Any, page: int, size: int) -> str:
    """What stands in the address of that page."""
    from deliveries import history

    return history.key_of(posts.newest_first()[(page - 1) * size - 1 : (page - 1) * size][0])


def _lists(user: Any) -> Iterator[tuple[str, str, dict[str, str], Any]]:
    """(name, address, query, the rows) of each list."""
    from django.urls import reverse

    from deliveries.models import Delivery, State

    posts = Delivery.objects.visible_to(user)
    history = reverse("deliveries:history")
    yield "history", history, {}, posts
    yield "history, failed", history, {"status": "failed"}, posts.filter(state=State.FAILED)


def _median(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Milliseconds of each, called in turn."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for times, call in zip(took, calls, strict=True):
            began = time.perf_counter()
            call()
            times.append((time.perf_counter() - began) * 1000)
    return [statistics.median(times) for times in took]


def _measure(database: str, rows: int, rounds: int) -> None:
    """In a process of its own, which has the database in its environment."""
    import django

    django.setup()
    from django.test import Client

    from deliveries import history

    user = _fill(rows)
    client = Client()
    client.force_login(user)
    for name, address, query, posts in _lists(user):
        far = min(FAR, posts.count() // history.PAGE)
        older = {**query, "older": _key(posts, far, history.PAGE)}
        calls = [partial(_page, client, address, query), partial(_page, client, address, older)]
        calls += [partial(_rows_at, posts, 0), partial(_rows_at, posts, (far - 1) * history.PAGE)]
        _median(1, *calls)  # what only the first call does is no matter of paging
        first, later, near, offset = _median(rounds, *calls)
        _print(database, name, rows, far, first, later, offset / near)


def _page(client: Any, address: str, query: dict[str, str]) -> None:
    assert client.get(address, query).status_code == 200


def _rows_at(posts: Any, start: int) -> None:
    from deliveries import history

    list(posts.newest_first()[start : start + history.PAGE + 1])


def _print(
    database: str, name: str, rows: int, far: int, first: float, later: float, by_offset: float
) -> None:
    print(
        f"{database:<11}{name:<18}page 1 {first:7.1f} ms   page {far:,} {later:7.1f} ms   "
        f"ratio {later / first:5.2f}   by OFFSET {by_offset:6.1f}"
    )
    facts = {
        "benchmark": "paging", "database": database, "list": name, "rows": rows, "page": far,
        "page_1_ms": round(first, 1), "page_far_ms": round(later, 1), "ratio": round(later / first, 3),
        "baseline_offset_ratio": round(by_offset, 2), "machine": f"{os.cpu_count()} cores, {platform.machine()}",
    }  # fmt: skip
    print(json.dumps(facts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--database", choices=DATABASES, help=argparse.SUPPRESS)  # set for the inner process
    options = parser.parse_args()
    if options.database:
        _measure(options.database, options.rows, options.rounds)
        return

    def run(database: str, url: str, folder: str) -> None:
        settings = environment(url, folder, SECURE_COOKIES="False", STATIC_ROOT=f"{folder}/static")
        collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
        subprocess.run(collect, env=settings, check=True)
        inner = [sys.executable, "-m", "benchmarks.paging", "--database", database]
        inner += ["--rows", str(options.rows), "--rounds", str(options.rounds)]
        subprocess.run(inner, env=settings, check=True)

    on_each(run)


if __name__ == "__main__":
    main()
