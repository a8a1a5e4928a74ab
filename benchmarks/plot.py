"""Draw docs/performance.svg, and the table in docs/performance.md, from docs/performance.jsonl.

    python -m benchmarks.plot

A line of the file is what a benchmark printed, with the date. Of each benchmark and database the newest counts.
"""

import json
from collections.abc import Iterable
from datetime import date
from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parent.parent / "docs"
RESULTS, PLOT, PAGE = DOCS / "performance.jsonl", DOCS / "performance.svg", DOCS / "performance.md"
BEGIN, END = "<!-- newest results: benchmarks/plot.py -->", "<!-- end of them -->"


class Bar(NamedTuple):
    """A figure beside the one that it is judged by: a limit, or the baseline of the same run."""

    benchmark: str
    what: str
    figure: str  # the name in the JSON
    unit: str
    beside: str | float  # another name in the JSON, or the limit itself
    means: str  # what `beside` is
    only: dict | None = None  # lines with these facts alone


BARS = (
    Bar("throughput", "posts delivered and recorded", "posts_per_second", "posts/s", "baseline_posts_per_second", "bare loop"),
    Bar("slow_receivers", "posts to receivers that take 200 ms", "posts_per_second", "posts/s", 300.0, "at least"),
    Bar("latency", "commit to receiver, idle, p50", "idle_p50_ms", "ms", 20.0, "at most", {"database": "postgresql"}),
    Bar("latency", "commit to receiver, idle, p99", "idle_p99_ms", "ms", 60.0, "at most", {"database": "postgresql"}),
    Bar("latency", "commit to receiver, idle, p50", "idle_p50_ms", "ms", 50.0, "at most", {"database": "sqlite"}),
    Bar("latency", "commit to receiver, idle, p99", "idle_p99_ms", "ms", 120.0, "at most", {"database": "sqlite"}),
    Bar("latency", "commit to receiver under load, p99", "steady_p99_ms", "ms", 500.0, "at most"),
    Bar("latency", "an idle system, of a core", "idle_core_percent", "%", 4.0, "at most"),
    Bar("fairness", "p99 of others beside an endpoint that hangs", "ratio", "× alone", 1.5, "at most", {"beside": "one hangs"}),
    Bar("fairness", "p99 of others beside ten that hang", "ratio", "× alone", 2.0, "at most", {"beside": "ten hang"}),
    Bar("fairness", "an owner's limit", "posts_per_second", "posts/s", "limit", "limit", {"beside": "rate limit"}),
    Bar("fan_out", "a sale with 100 configurations", "milliseconds", "ms", 0.0, "", {"configurations": 100}),
    Bar("import", "sales imported, with posts", "rows_per_second", "rows/s", 2000.0, "at least", {"what": "with posts"}),
    Bar("paging", "page 1,000 of the History", "page_far_ms", "ms", "page_1_ms", "page 1", {"list": "history"}),
    Bar("memory", "a worker after its last post", "last_mb", "MB", "half_mb", "after half of them"),
)  # fmt: skip


class Shown(NamedTuple):
    bar: Bar
    database: str
    value: float
    beside: float
    day: str


def keep(results: Iterable[dict], day: date) -> None:
    with RESULTS.open("a", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps({"date": day.isoformat()} | result) + "\n")


def newest() -> list[Shown]:
    lines = [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()] if RESULTS.exists() else []
    shown = []
    for bar in BARS:
        fitting = [
            line
            for line in lines
            if line["benchmark"] == bar.benchmark and line.items() >= (bar.only or {}).items()
        ]
        by_database = {line.get("database", ""): line for line in fitting}  # a later one takes its place
        for database, line in sorted(by_database.items(), reverse=True):
            beside = line[bar.beside] if isinstance(bar.beside, str) else bar.beside
            shown.append(Shown(bar, database, line[bar.figure], beside, line["date"]))
    return shown


def draw() -> None:
    shown = newest()
    PLOT.write_text(_svg(shown), encoding="utf-8")
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_table(shown)}{END}{after}", encoding="utf-8")


def _table(shown: Iterable[Shown]) -> str:
    lines = ["| | database | measured | judged by | date |", "| --- | --- | --- | --- | --- |"]
    for bar, database, value, beside, day in shown:
        judged = f"{bar.means} {_number(beside)} {bar.unit}" if bar.means else ""
        lines.append(f"| {bar.what} | {database} | {_number(value)} {bar.unit} | {judged} | {day} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:g}"


ROW, LEFT, WIDTH, RIGHT = 26, 330, 300, 220


def _svg(shown: list[Shown]) -> str:
    """A bar for each figure, as long as it is beside what it is judged by, which is the line at half."""
    height = ROW * len(shown) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" '
        'font-family="sans-serif" font-size="12">',
        "<title>Results of the benchmarks, each beside what it is judged by</title>",
        f'<rect width="{LEFT + WIDTH + RIGHT}" height="{height}" fill="#fff"/>',
    ]
    for n, (bar, database, value, beside, _) in enumerate(shown):
        top = 10 + ROW * n
        long = WIDTH * min(1.0, value / beside / 2) if beside else WIDTH / 2
        label = escape(f"{bar.what} ({database})")
        said = f"{_number(value)} {bar.unit}" + (f" · {bar.means} {_number(beside)}" if bar.means else "")
        colour = "#2f6f4f" if _is_good(bar, value, beside) else "#b3541e"
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 14}" text-anchor="end" fill="#222">{label}</text>',
            f'<rect x="{LEFT}" y="{top + 3}" width="{long:.1f}" height="16" fill="{colour}"/>',
            f'<text x="{LEFT + WIDTH + 8}" y="{top + 14}" fill="#222">{escape(said)}</text>',
        ]
    middle, foot = LEFT + WIDTH / 2, 10 + ROW * len(shown)
    parts += [
        f'<line x1="{middle}" y1="6" x2="{middle}" y2="{foot}" stroke="#222" stroke-dasharray="3 3"/>',
        f'<text x="{middle}" y="{foot + 14}" text-anchor="middle" fill="#222">what it is judged by</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _is_good(bar: Bar, value: float, beside: float) -> bool:
    """Within its limit; against a baseline there is none here."""
    return {"at most": value <= beside, "at least": value >= beside}.get(bar.means, True)


if __name__ == "__main__":
    draw()
