"""Tables for people's spreadsheets: CSV, streamed, in which no cell is run as a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse
from django.utils.text import Truncator
from django.utils.translation import ngettext

# What spreadsheets take for the beginning of a formula; tab and carriage return are skipped before they look.
# Source: OWASP, CSV Injection.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_NUMBER = set("0123456789.,-")


def cell(value: Any) -> str:
    """The value as text, made harmless: what a spreadsheet would run gets an apostrophe in front."""
    if value is None:
        return ""
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if text.startswith(FORMULA) and not (text[0] == "-" and set(text) <= _NUMBER):
        return f"'{text}"
    return text


MOST_NAMED, LONGEST_NAME = 10, 60


def first_few(names: Sequence[Any]) -> tuple[list[str], str]:
    """Of names in a file those that a message holds, each cut, and a sentence on how many more there are.

    A file may have a million columns, or one whose name is a megabyte.
    """
    few = [Truncator(str(name)).chars(LONGEST_NAME) for name in names[:MOST_NAMED]]
    more = len(names) - len(few)
    return few, ngettext("%(n)d more is like that.", "%(n)d more are like that.", more) % {
        "n": more
    } if more else ""


class _Echo:
    def write(self, text: str) -> str:
        return text


def csv_lines(header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of the table, one at a time, as RFC 4180 has them."""
    writer = csv.writer(_Echo())
    yield writer.writerow([cell(name) for name in header])
    for row in rows:
        yield writer.writerow([cell(value) for value in row])


def csv_response(name: str, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """A download that begins at once, however many rows follow. The mark in front tells Excel that it is UTF-8."""

    def lines() -> Iterator[str]:
        yield "\ufeff"
        yield from csv_lines(header, rows)

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )
