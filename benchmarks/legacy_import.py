"""Rows per second and memory of `import_legacy_posts`, against csv and sqlite3 alone with the same rows.

    python -m benchmarks.legacy_import [--rows 1000000] [--file old.csv]

It writes a CSV file with payloads of 1.5 KB, imports it in a process of its own into a fresh SQLite database, and once
more, when every row is there already. The baseline reads the same file with csv.reader and writes its cells with
executemany into a table that has a primary key and nothing else, in the same minute on the same disk: what no import
can be faster than. Then it asks for page 1 and page 1,000 of what was imported. Prints a table and a line of JSON for
each measurement. Everything it makes is gone afterwards.
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
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

SELLERS = 20
BATCH = 2000
PAGES = (1, 1000)
NAMES = (
    "id", "owner", "kind", "occurred_at", "event", "transaction", "product_code", "product_name", "url", "status",
    "payload", "response", "tries",
)  # fmt: skip
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
                    n, f"seller{n % SELLERS}@example.com", "sent", at.isoformat(), events[n % 3], code, 4100001,
                    "Curso de Retrato Avançado", f"https://hooks{n % 7}.example.com/in", status,
                    json.dumps(payload, ensure_ascii=False), answer, 1,
                )
            )  # fmt: skip


def baseline(source: Path, target: Path) -> int:
    """The seconds' worth of reading and writing that cannot be saved; the number of rows."""
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


def measured(source: Path, folder: Path) -> tuple[float, float, dict[str, object]]:
    """Seconds, peak memory in MB and what the command said, of one import in a process of its own."""
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
    return took, used.ru_maxrss / 1024, said


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


def pages() -> dict[int, float]:
    """{page: milliseconds of its rows}, of the seller with a twentieth of the posts; the median of 5."""
    from deliveries import keyset
    from legacy_posts.models import TIME, LegacyPost
    from legacy_posts.pages import for_list
    from sales.models import Seller

    user = Seller.objects.get(code="S0").user
    posts = LegacyPost.objects.visible_to(user).of_kind("sent")
    took = {}
    for number in PAGES:
        rows = (
            posts.newest_first().values_list(TIME, "pk")[(number - 1) * keyset.PAGE - 1 :][:1]
            if number > 1
            else ()
        )
        key = {}
        for at, pk in rows:
            key = {"older": keyset.key_of(LegacyPost(pk=pk, occurred_at=at), TIME)}
        times = []
        for _ in range(5):
            began = time.perf_counter()
            keyset.page(for_list(posts), column=TIME, **key)
            times.append(1000 * (time.perf_counter() - began))
        took[number] = statistics.median(times)
    return took


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="webhookhub-bench-") as name:
        folder = Path(name)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "webhookhub.settings",
            "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite3'}",
            "BROKER_URL": "orm",
            "CACHE_DIR": str(folder / "cache"),
            "DEBUG": "True",
        }
        source = folder / "old.csv"
        write_file(source, rows)
        prepare()
        megabytes = source.stat().st_size / 1024**2
        print(f"{rows:,} rows, {megabytes:,.0f} MB of CSV, SQLite, {MACHINE}")
        began = time.perf_counter()
        baseline(source, folder / "baseline.sqlite3")
        bare = time.perf_counter() - began
        (folder / "baseline.sqlite3").unlink()
        results = [
            ("csv + sqlite3 alone", rows / bare, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        ]
        for what, key in (("import", "added"), ("the same file again", "known")):
            took, memory, said = measured(source, folder)
            if said[key] != rows:
                raise SystemExit(f"Of {rows} rows {said[key]} were {key}: {said}")
            results.append((what, rows / took, memory))
        found = pages()
    for what, speed, memory in results:
        print(
            f"  {what:22}{speed:10,.0f} rows/s {memory:8,.0f} MB   {speed * bare / rows:5.2f} of the baseline"
        )
    for number, took in found.items():
        print(f"  page {number:<17,}{took:10.1f} ms")
    for what, speed, memory in results:
        facts = {
            "rows_per_second": round(speed),
            "peak_megabytes": round(memory),
            "ratio": speed * bare / rows,
        }
        print(json.dumps(_line(what, rows) | facts))
    for number, took in found.items():
        print(json.dumps(_line(f"page {number}", rows) | {"milliseconds": round(took, 1)}))


def _line(what: str, rows: int) -> dict[str, object]:
    return {
        "benchmark": "legacy_import",
        "what": what,
        "database": "sqlite",
        "rows": rows,
        "machine": MACHINE,
    }


if __name__ == "__main__":
    main()
