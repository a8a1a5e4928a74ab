"""What a scrape of /metrics and a look of /readyz cost on a million posts, 100,000 of them due: `python -m benchmarks.scraping`.

Each scrape counts 30,000 tries that are new: those of 15 s at 2,000 a second.
"""

import argparse
import os
import time
import traceback
from datetime import timedelta

from .databases import analyze, environment, multiply, on_each
from .paging import _fill, _one


def _measure(rows: int, due: int, new: int) -> None:
    import django

    django.setup()
    from django.db.models import F

    from deliveries import engine, metrics, readiness
    from deliveries.models import AttemptCounter, Delivery, DeliveryAttempt, WakeFlag

    _fill(rows)
    first = Delivery.objects.order_by("pk").first()
    engine.drain()
    attempt = DeliveryAttempt.objects.create(
        delivery=first, number=1, started_at=first.created_at, duration_ms=40, url="", request_headers=[],
        response_headers=[], response_body=b"", status=200, delivered=True,
    )  # fmt: skip
    multiply(attempt, rows, delivery_id=_one(f"{first.pk} + n.i"))
    Delivery.objects.filter(pk__gt=first.pk + rows - due).update(state="waiting", tries=0, attempts_made=0)
    WakeFlag.objects.update_or_create(pk=1, defaults={"swept_at": first.created_at})
    analyze()
    metrics.page()
    took = []
    for turn in range(1, 6):
        AttemptCounter.objects.update(
            counted_to=attempt.pk + turn * new,
            seen_to=attempt.pk + (turn + 1) * new,
            seen_at=F("seen_at") - timedelta(seconds=20),
        )
        began = time.perf_counter()
        metrics.page()
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    readiness.look()
    ready = time.perf_counter() - began
    tried = AttemptCounter.objects.get().totals
    print(f"scrape {sorted(took)[2] * 1000:.0f} ms, readyz {ready * 1000:.1f} ms; counted {tried}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=30_000)
    parser.add_argument("--only")
    options = parser.parse_args()

    def run(database: str, url: str, folder: str) -> None:
        if pid := os.fork():
            os.waitpid(pid, 0)
            return
        os.environ |= environment(url, folder)
        print(database, flush=True)
        try:
            _measure(options.rows, options.due, options.new)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)

    on_each(run, options.only)


if __name__ == "__main__":
    main()
