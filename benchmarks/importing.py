"""Rows per second of `import_transactions`, with notification and without, against csv and executemany alone.

    python -m benchmarks.importing [--rows 50000]

It writes a CSV file of new sales with 20 columns each, of 20 sellers who have one configuration that matches, and
imports it into a fresh database: without notification, with it, and once more, when every row is there already. The
baseline reads the same file with csv.reader and writes its cells by executemany into a table that has a primary key
and nothing else, in the same database in the same minute: what no import can be faster than. On SQLite, and on
PostgreSQL where there is one. Prints a table and a line of JSON for each measurement.

Machines differ by more than these figures do, and one machine from hour to hour. So the bare `requests` loop of
benchmarks.throughput runs before and after, and says how fast this one is.
"""

import argparse
import csv
import io
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from .databases import DATABASES, analyze, environment, on_each
from .throughput import bare_posts_per_second

SELLERS = 20
BATCH = 500
BASELINE = "csv + executemany alone"
MACHINE = f"{os.cpu_count()} cores, {platform.machine()}"
NAMES = (
    "code", "status", "ordered_at", "approved_at", "warranty_until", "product_code", "product_name", "producer_code",
    "producer_name", "buyer_name", "buyer_email", "buyer_document", "buyer_document_type", "buyer_phone_code",
    "buyer_phone", "price", "currency", "payment_type", "installments", "offer_code",
)  # fmt: skip


@dataclass(frozen=True)
class Measured:
    what: str
    rows: int
    took: float  # seconds
    busy: float  # seconds of a processor in this process: what others on the machine do not lengthen


def write_file(path: Path, rows: int, first_code: int) -> None:
    """Sales of which each has its own code, buyer and times."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    statuses, means = ("APPROVED", "APPROVED", "COMPLETED", "REFUNDED"), ("CREDIT_CARD", "PIX", "BILLET")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        for n in range(rows):
            at, seller = start + timedelta(seconds=17 * n), n % SELLERS
            writer.writerow(
                (
                    f"HP{first_code + n}", statuses[n % 4], at.isoformat(), (at + timedelta(seconds=40)).isoformat(),
                    (at + timedelta(days=7)).isoformat(), 4_100_000 + seller, f"Curso de Retrato {seller}",
                    f"S{seller}", f"Produtora {seller}", f"João Núñez {n}", f"comprador{n}@example.com",
                    f"{12_345_678_901 + n}", "CPF", "11", f"9{80_000_000 + n}", f"{97 + n % 50}.90", "BRL",
                    means[n % 3], 1 + n % 12, "ab12cd34",
                )
            )  # fmt: skip


def baseline(source: Path) -> None:
    """The reading and writing that cannot be saved."""
    from django.db import connection, transaction

    columns = ", ".join(NAMES)
    key = (
        "INTEGER PRIMARY KEY"
        if connection.vendor == "sqlite"
        else "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    )
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE bare (pk {key}, {', '.join(f'{name} text' for name in NAMES)})")
        insert = f"INSERT INTO bare ({columns}) VALUES ({', '.join(['%s'] * len(NAMES))})"
        with source.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file)
            next(reader)
            while batch := list(islice(reader, BATCH)):
                with transaction.atomic():
                    cursor.executemany(insert, batch)


def imported(source: Path, *options: str, expected: dict[str, int]) -> None:
    """Raises SystemExit where the command did not do what is measured."""
    from django.core.management import call_command

    said = io.StringIO()
    call_command("import_transactions", str(source), *options, json=True, verbosity=0, stdout=said)
    facts = json.loads(said.getvalue())
    if {name: facts[name] for name in expected} != expected:
        raise SystemExit(f"Expected {expected}: {facts}")


def prepare() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from tests import factories

    for n in range(SELLERS):
        seller = factories.make_seller(login=False, code=f"S{n}", name=f"Produtora {n}")
        factories.make_product(seller, code=4_100_000 + n)
        factories.make_config(seller)


def timed(what: str, rows: int, work: Callable[[], None]) -> Measured:
    began, busy = time.perf_counter(), time.process_time()
    work()
    return Measured(what, rows, time.perf_counter() - began, time.process_time() - busy)


def measure(database: str, folder: Path, rows: int) -> None:
    """In a process of its own, which has the database in its environment."""
    import django

    django.setup()
    prepare()
    old, new = folder / "old.csv", folder / "new.csv"
    write_file(old, rows, 1_000_000_000)
    write_file(new, rows, 2_000_000_000)
    bare_before = bare_posts_per_second()
    results = [
        timed(BASELINE, rows, lambda: baseline(new)),
        timed("without posts", rows, lambda: imported(old, "--no-notify", expected={"created": rows})),
    ]
    analyze()  # as PostgreSQL does by itself, but not in each run before the next import begins
    results += [
        timed("with posts", rows, lambda: imported(new, expected={"created": rows})),
        timed("the same file again", rows, lambda: imported(new, expected={"unchanged": rows})),
    ]
    from deliveries.models import Delivery

    if (posts := Delivery.objects.count()) != rows:
        raise SystemExit(f"Of {rows} sales {posts} posts were written.")
    report(database, results, (bare_before + bare_posts_per_second()) / 2)


def report(database: str, results: list[Measured], bare_posts: float) -> None:
    """`bare_posts`: of the bare loop, per second."""
    bare = results[0].took
    print(f"  {database:26}{'rows/s':>10}{'/processor s':>14}{'of the baseline':>18}{'a bare post':>14}")
    for one in results:
        speed = one.rows / one.took
        print(
            f"  {one.what:26}{speed:10,.0f}{one.rows / one.busy:14,.0f}{bare / one.took:18.3f}{speed / bare_posts:14.2f}"
        )
    print(f"  A bare requests loop makes {bare_posts:,.0f} posts/s.")
    for one in results:
        figures = {
            "benchmark": "import", "database": database, "what": one.what, "rows": one.rows,
            "rows_per_second": round(one.rows / one.took),
            "rows_per_processor_second": round(one.rows / one.busy),
            "ratio": round(bare / one.took, 3), "bare_posts_per_second": round(bare_posts),
            "rows_per_bare_post": round(one.rows / one.took / bare_posts, 2), "machine": MACHINE,
        }  # fmt: skip
        print(json.dumps(figures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--database", choices=DATABASES, help="this one alone")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # set for the inner process
    options = parser.parse_args()
    if options.folder:
        measure(options.database, options.folder, options.rows)
        return

    def run(database: str, url: str, folder: str) -> None:
        inner = [
            sys.executable,
            "-m",
            "benchmarks.importing",
            "--folder",
            folder,
            "--database",
            database,
            "--rows",
            str(options.rows),
        ]
        subprocess.run(inner, env=environment(url, folder), check=True)

    on_each(run, options.database)


if __name__ == "__main__":
    main()
