"""All benchmarks, one after the other, and what came of them kept for the docs.

    python -m benchmarks [latency throughput …] [--short] [--list]

Other options are handed on, e.g. `python -m benchmarks latency --database=sqlite`. Each prints its table and its lines of JSON as when it runs alone. The lines, with the date, are added to
docs/performance.jsonl, and the plot and the table of docs/performance.md are drawn anew from that. `--short` runs each
for a few seconds, to see that it works, and keeps nothing.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import plot

# name: (module, options of a short run). The order is that of docs/performance.md.
ALL = {
    "throughput": ("throughput", ["--posts", "1000"]),
    "slow-receivers": ("slow_receivers", ["--posts", "600"]),
    "latency": ("latency", ["--sales", "10", "--seconds", "2"]),
    "fairness": ("fairness", ["--short"]),
    "fan-out": ("fan_out", ["--rounds", "10"]),
    "import": ("importing", ["--rows", "1000"]),
    "paging": ("paging", ["--rows", "20000", "--rounds", "3"]),
    "scraping": ("scraping", ["--rows", "20000", "--due", "2000", "--new", "500"]),
    "memory": ("memory", ["--posts", "20000", "--before", "0"]),
    "legacy-import": ("legacy_import", ["--rows", "20000"]),
}


def run(name: str, more: list[str], *, short: bool) -> list[dict]:
    """What it printed as JSON. SystemExit if it failed."""
    module, short_options = ALL[name]
    command = [sys.executable, "-u", "-m", f"benchmarks.{module}", *(short_options if short else []), *more]
    print(f"--- {name}", flush=True)
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("{"):
                found.append(json.loads(line))
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="python -m benchmarks"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all of them if none is given"
    )
    parser.add_argument("--short", action="store_true", help="a few seconds each, and keep nothing")
    options, more = parser.parse_known_args()
    if unknown := set(options.names) - ALL.keys():
        parser.error(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(ALL)}.")
    for name in options.names or ALL:
        if not Path(__file__).with_name(f"{ALL[name][0]}.py").exists():
            print(f"--- {name} is not part of this copy")
            continue
        found = run(name, more, short=options.short)
        if not options.short:
            plot.keep(found, datetime.now(UTC).date())
    if not options.short:
        plot.draw()


if __name__ == "__main__":
    main()
