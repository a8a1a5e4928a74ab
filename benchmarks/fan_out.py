"""What a change of status costs the platform with 0, 1, 10 and 100 configurations that want it.

    python -m benchmarks.fan_out [--rounds 200]

A sale of each of four sellers is saved with another status, in turn, so that a busy moment hits them alike: the whole
`save()`, with the event, its posts, the commit and the look whether the worker is woken already, which with Redis is no
query. The baseline is the same save where nobody wants it. On SQLite,
and on PostgreSQL where there is one. Prints a table and a line of JSON for each number.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from typing import Any

from .databases import DATABASES, environment, on_each

CONFIGURATIONS = (0, 1, 10, 100)
MOST_QUERIES = 5
MACHINE = f"{os.cpu_count()} cores, {platform.machine()}"


def prepare() -> dict[int, Any]:
    """{number of configurations: a sale of a seller who has so many}"""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from sales.models import Transaction
    from tests import factories

    sales = {}
    for count in CONFIGURATIONS:
        product = factories.make_product(factories.make_seller(login=False))
        for _ in range(count):
            factories.make_config(product.owner)
        made = factories.make_sale(product)
        sales[count] = Transaction.objects.with_facts().get(pk=made.pk)
    return sales


def change(sale: Any) -> None:
    sale.status = "REFUNDED" if sale.status == "APPROVED" else "APPROVED"
    sale.save()


def queries(sale: Any) -> tuple[list[str], int]:
    """Of one change: those up to the commit, and how many wake the worker after it."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        change(sale)
    asked = [one["sql"] for one in captured]
    end = asked.index("COMMIT")
    return [sql for sql in asked[:end] if not sql.startswith(("BEGIN", "SAVEPOINT", "RELEASE"))], len(
        asked
    ) - end - 1


def measure(database: str, rounds: int) -> None:
    """In a process of its own, which has the database in its environment."""
    import django

    django.setup()
    from deliveries.models import Delivery

    sales = prepare()
    asked = {count: queries(sale) for count, sale in sales.items()}
    for count, (statements, _) in asked.items():
        if len(statements) > MOST_QUERIES:
            raise SystemExit(f"With {count} configurations: {statements}")
    took: dict[int, list[float]] = {count: [] for count in sales}
    for _ in range(rounds):
        for count, sale in sales.items():
            began = time.perf_counter()
            change(sale)
            took[count].append(1000 * (time.perf_counter() - began))
    changes = rounds + 2  # with the first save, and the one whose queries were counted
    if (posts := Delivery.objects.count()) != changes * sum(CONFIGURATIONS):
        raise SystemExit(f"{changes} changes of each sale wrote {posts} posts.")
    report(database, {count: statistics.median(times) for count, times in took.items()}, asked)


def report(database: str, took: dict[int, float], asked: dict[int, tuple[list[str], int]]) -> None:
    print(
        f"  {database:14}{'configurations':>16}{'ms':>8}{'queries':>10}{'after the commit':>18}{'of none':>10}"
    )
    for count, median in took.items():
        statements, after = asked[count]
        print(f"  {'':14}{count:16}{median:8.2f}{len(statements):10}{after:18}{median / took[0]:10.2f}")
    for count, median in took.items():
        figures = {
            "benchmark": "fan_out", "database": database, "configurations": count, "milliseconds": round(median, 2),
            "queries": len(asked[count][0]), "queries_after_the_commit": asked[count][1], "ratio": round(median / took[0], 2), "machine": MACHINE,
        }  # fmt: skip
        print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        measure(options.database, options.rounds)
        return

    def run(database: str, url: str, folder: str) -> None:
        inner = [
            sys.executable,
            "-m",
            "benchmarks.fan_out",
            "--inner",
            "--database",
            database,
            "--rounds",
            str(options.rounds),
        ]
        subprocess.run(inner, env=environment(url, folder), check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
