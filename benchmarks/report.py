"""What the benchmarks print, and on what machine: a table for people, one JSON object a line for programs."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from typing import Any

MACHINE = f"{os.cpu_count()} cores, {platform.machine()}"


def emit(benchmark: str, **figures: Any) -> None:
    """One line of JSON."""
    print(json.dumps({"benchmark": benchmark} | figures | {"machine": MACHINE}), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """The first column to the left, the others to the right."""
    lines = [list(map(str, head)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([f"  {first.ljust(widths[0])}", *cells]), flush=True)


def percentile(values: Iterable[float], percent: float) -> float:
    """The least value that so many per cent of them do not exceed. `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)]
