"""Rows per second and memory of `import_legacy_posts`, against csv and sqlite3 alone with the same rows.

    python -m benchmarks.legacy_import [--rows 1000000] [--database sqlite]

It writes a CSV file with payloads of 1.5 KB, imports it in a process of its own into a fresh database, and once more,
when every row is there already. The baseline reads the same file with csv.reader and writes its cells with executemany
into an SQLite table that has a primary key and nothing else, in the same minute on the same disk: what no import can be
faster than. Then it asks for page 1 and page 1,000 of the lists of a seller who has half of the posts, whole pages as a
browser gets them. Prints a table and a line of JSON for each measurement. Everything it makes is gone afterwards.
"""

import argparse
import csv
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from .databases import own_database

SELLERS = 20
BATCH = 2000
PAGES = (1, 1000)
NAMES = (
    "id", "owner", "kind", "occurred_at", "event", "transaction", "product_code", "product_name", "url", "status",
    "payload", "response", "tries",
)  # fmt: skip
BASELINE = "csv + sqlite3 alone"
MACHINE = f"{os.cpu_count()} cores, {platform.machine()}"


def write_file(path: Path, rows: int) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    events, answers = ("approved", "completed", "refunded"), (("200", "ok"), ("404", "<h1>Not found</h1>"))
    filler = {f"fact_{n}": f"ação número {n} de vários fatos de uma venda" for n in range(22)}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        for n in range(rows):
            code = f"HP{1_000_000_000 + n}"
            payload = {
                "id": f"{n:032x}",
                "event": "PURCHASE_APPROVED",
                "version": "2.0.0",
                "data": {
                    "buyer": {"email": f"buyer{n % 50_000}@example.com"},
                    "purchase": {"transaction": code},
                }
                | filler,
            }
            at = start + timedelta(seconds=n * 60)
            at = start + (at - start) % timedelta(days=700)
            status, answer = answers[n % 10 == 0]
            writer.writerow(
                (
                    n, f"seller{n % SELLERS if n % 2 else 0}@example.com", "sent", at.isoformat(), events[n % 3], code, 4100001,
                    "Curso de Retrato Avançado", f"https://hooks{n % 7}.example.com/in", status,
                    json.dumps(payload, ensure_ascii=False), answer, 1,
                )
            )  # fmt: skip


def baseline(source: Path, target: Path) -> int:
    """The reading and writing that cannot be saved; the number of rows."""
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    columns, places = ", ".join(f"[{name}]" for name in NAMES), ", ".join("?" * len(NAMES))
    connection.execute(f"CREATE TABLE posts (pk INTEGER PRIMARY KEY, {columns})")
    insert = f"INSERT INTO posts ({columns}) VALUES ({places})"
    count = 0
    with source.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        next(reader)
        while batch := list(islice(reader, BATCH)):
            with connection:
                connection.executemany(insert, batch)
            count += len(batch)
    connection.close()
    return count


def measured(source: Path) -> tuple[float, float, float, dict[str, Any]]:
    """Seconds, those of a processor, peak memory in MB and what the command said, of an import in its own process."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "import_legacy_posts", str(source), "--json", "--verbosity", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = json.loads(process.stdout.read())
    _pid, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"The import ended with {os.waitstatus_to_exitcode(status)}.")
    return took, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def prepare() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from sales.models import Seller

    call_command("migrate", verbosity=0)
    from django.contrib.auth import get_user_model

    for n in range(SELLERS):
        email = f"seller{n}@example.com"
        user = get_user_model().objects.create_user(email, email)
        Seller.objects.create(code=f"S{n}", name=f"Seller {n}", email=email, user=user)


def pages() -> dict[tuple[str, int], float]:
    """{(list, page): milliseconds}, of the seller who has half of the posts; the median of 5."""
    from django.test import Client
    from django.urls import reverse

    from legacy_posts import merged
    from legacy_posts.models import LegacyPost
    from sales.models import Seller

    user = Seller.objects.get(code="S0").user
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    posts = LegacyPost.objects.visible_to(user).newest_first()
    took = {}
    for name in ("sent", "all"):
        for number in PAGES:
            query = {}
            if number > 1:
                before = posts[(number - 1) * keyset().PAGE - 1 :][:1].get()
                key = merged.key_of(before) if name == "all" else keyset().key_of(before, "occurred_at")
                query = {"older": key}
            times = []
            for _ in range(6):
                began = time.perf_counter()
                answer = client.get(reverse(f"legacy_posts:{name}"), query)
                times.append(1000 * (time.perf_counter() - began))
                rows = answer.content.count(b'class="post')
                if rows != keyset().PAGE:
                    raise SystemExit(f"Page {number} of {name} ({answer.status_code}) has {rows} rows.")
            took[name, number] = statistics.median(times[1:])  # the first one loads the templates
    return took


def keyset() -> Any:
    from deliveries import keyset

    return keyset


@dataclass(frozen=True)
class Result:
    what: str
    rows: int
    took: float  # seconds
    busy: float  # seconds of this machine's processors, without the database server's: what others do not lengthen
    megabytes: float  # at the peak

    @property
    def speed(self) -> float:
        return self.rows / self.took


def imported(source: Path, rows: int) -> Iterator[Result]:
    for what, key in (("import", "added"), ("the same file again", "known")):
        took, busy, memory, said = measured(source)
        if said[key] != rows:
            raise SystemExit(f"Of {rows} rows {said[key]} were {key}: {said}")
        yield Result(what, rows, took, busy, memory)


def compared(source: Path, target: Path, rows: int) -> Result:
    began, busy = time.perf_counter(), time.process_time()
    baseline(source, target)
    took, busy = time.perf_counter() - began, time.process_time() - busy
    target.unlink()
    return Result(BASELINE, rows, took, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="at least 100000, for there to be a page 1,000"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    rows = max(100_000, options.rows)
    with (
        tempfile.TemporaryDirectory(prefix="webhookhub-bench-") as name,
        own_database(options.database, name) as url,
    ):
        folder = Path(name)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "webhookhub.settings",
            "DATABASE_URL": url,
            "BROKER_URL": "orm",
            "CACHE_DIR": str(folder / "cache"),
            "DEBUG": "True",
        }
        source = folder / "old.csv"
        write_file(source, rows)
        prepare()
        print(f"{rows:,} rows, {source.stat().st_size / 1024**2:,.0f} MB of CSV, {MACHINE}")
        results = [compared(source, folder / "baseline.sqlite3", rows), *imported(source, rows)]
        found = pages()
        from django.db import connection

        connection.close()
    report(options.database, results, found)


def report(kind: str, results: list[Result], found: dict[tuple[str, int], float]) -> None:
    bare = results[0].took
    print(f"  {kind:22}{'rows/s':>10}{'/processor s':>14}{'MB':>8}{'of the baseline':>18}")
    for one in results:
        print(
            f"  {one.what:22}{one.speed:10,.0f}{one.rows / one.busy:14,.0f}{one.megabytes:8,.0f}"
            f"{bare / one.took:18.2f}"
        )
    for (name, number), took in found.items():
        print(f"  {name + ' posts, page ' + format(number, ','):22}{took:10.1f} ms")
    facts = {"benchmark": "legacy_import", "database": kind, "rows": results[0].rows, "machine": MACHINE}
    for one in results:
        figures = {
            "what": one.what,
            "rows_per_second": round(one.speed),
            "rows_per_processor_second": round(one.rows / one.busy),
            "peak_megabytes": round(one.megabytes),
            "ratio": round(bare / one.took, 3),
        }
        print(json.dumps(facts | figures))
    for (name, number), took in found.items():
        print(json.dumps(facts | {"what": f"{name} posts, page {number}", "milliseconds": round(took, 1)}))


if __name__ == "__main__":
    main()
