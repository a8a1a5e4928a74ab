"""The parts of the benchmarks that can fail without anybody seeing it."""

import json
import os
import signal
from datetime import date
from xml.etree import ElementTree

import pytest

from benchmarks import plot, throughput
from benchmarks.report import percentile


@pytest.fixture
def docs(tmp_path, monkeypatch):
    """The folder of the docs, with a page that has room for the table."""
    monkeypatch.setattr(plot, "RESULTS", tmp_path / "performance.jsonl")
    monkeypatch.setattr(plot, "PLOT", tmp_path / "performance.svg")
    monkeypatch.setattr(plot, "PAGE", tmp_path / "performance.md")
    (tmp_path / "performance.md").write_text(f"Before.\n{plot.BEGIN}\nold\n{plot.END}\nAfter.\n")
    return tmp_path


def measured(posts: int, database: str = "sqlite") -> dict:
    return {
        "benchmark": "throughput",
        "database": database,
        "posts_per_second": posts,
        "baseline_posts_per_second": 4000,
    }


def test_the_newest_of_each_benchmark_and_database_is_drawn_and_all_are_kept(docs):
    plot.keep([measured(1000), measured(2000, "postgresql")], date(2026, 11, 1))
    plot.keep([measured(3000)], date(2026, 11, 2))
    plot.draw()
    assert [json.loads(line)["date"] for line in plot.RESULTS.read_text().splitlines()] == [
        "2026-11-01", "2026-11-01", "2026-11-02",
    ]  # fmt: skip
    page = plot.PAGE.read_text()
    assert page.startswith("Before.\n")
    assert page.endswith("\nAfter.\n")
    assert "old" not in page
    assert "| sqlite | 3,000 posts/s | bare loop 4,000 posts/s | 2026-11-02 |" in page
    assert "| postgresql | 2,000 posts/s |" in page
    assert "1,000 posts/s" not in page
    drawn = ElementTree.parse(plot.PLOT).iter("{http://www.w3.org/2000/svg}rect")
    widths = [float(rect.get("width")) for rect in drawn][1:]
    assert widths == [plot.WIDTH * 3 / 8, plot.WIDTH / 4]  # half the width is what it is judged by


def test_drawn_twice_the_page_is_the_same(docs):
    plot.keep([measured(1000)], date(2026, 11, 1))
    plot.draw()
    before = plot.PAGE.read_text()
    plot.draw()
    assert plot.PAGE.read_text() == before


def test_the_page_of_the_docs_has_room_for_the_table():
    page = plot.PAGE.read_text("utf-8")
    assert page.count(plot.BEGIN) == page.count(plot.END) == 1


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_the_least_that_so_many_do_not_exceed(percent, value):
    assert percentile(reversed(range(1, 101)), percent) == value


def raises(barrier):
    raise RuntimeError("It cannot be set up.")


def is_killed(barrier):
    os.kill(os.getpid(), signal.SIGKILL)


def waits(barrier):
    barrier.wait()


@pytest.mark.parametrize("dies", [raises, is_killed])
def test_a_process_that_dies_before_all_are_ready_ends_the_throughput_benchmark(dies):
    with pytest.raises(SystemExit, match="before it was ready"):
        throughput.timed(dies, 100, [()])


def test_who_ends_well_is_timed():
    speed = throughput.timed(waits, 100, [(), ()])
    assert speed.per_second > 0
