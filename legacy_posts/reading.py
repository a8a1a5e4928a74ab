"""A file of the former system as records: CSV or JSON Lines, plain or gzip, from a path or the standard input.

It is read once, from its beginning to its end, and never held in memory. What cannot be read in a line is that
line's problem; what makes all that follows unreadable raises Unusable.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from django.utils.text import capfirst
from django.utils.translation import gettext as _

from . import columns
from .encodings import SAMPLE, Encoding, NotSure, detect

CSV, JSONL = "csv", "jsonl"
MAX_CELL = 4 * 1024 * 1024  # characters: above the limits of all columns, so that those give the reason
MAX_LINE = 16 * 1024 * 1024
MAX_RECORD = 2 * MAX_LINE
_GZIP = b"\x1f\x8b"


class Unusable(Exception):
    """The file, or all of it from some line on, cannot be read. `str()` of it says why and what to do."""


@dataclass(slots=True)
class Record:
    """One row, not looked into yet; with a `problem` where it cannot be read."""

    line: int  # the one that it begins in
    values: dict[str, Any] = field(default_factory=dict)  # by our columns
    problem: str = ""
    cells: list[str] = field(default_factory=list)  # of CSV, as they stand there
    raw: str = ""  # of JSON Lines, where it cannot be read


class _Rejoined(io.RawIOBase):
    """The file once more from its beginning, of which `head` was read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self.head, self.rest = memoryview(head), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.head:
            size = min(len(buffer), len(self.head))
            buffer[:size] = self.head[:size]
            self.head = self.head[size:]
            return size
        return self.rest.readinto(buffer) or 0


def _head_of(file: BinaryIO, size: int) -> bytes:
    """The first `size` bytes; a pipe gives them bit by bit."""
    parts, got = [], 0
    while got < size and (part := file.read(size - got)):
        parts.append(part)
        got += len(part)
    return b"".join(parts)


class Source:
    """An opened file: iterate it for its records. `encoding` and `format` are known at once.

    `format` and `encoding` are taken as given, or found out where they are empty. Raises Unusable.
    """

    def __init__(self, file: BinaryIO, *, format: str = "", encoding: str = "") -> None:
        self._file = file
        with suppress(OSError, AttributeError, ValueError):
            self.size = os.fstat(file.fileno()).st_size if file.seekable() else 0
        self._stream = self._unpacked(file)
        try:
            head = _head_of(self._stream, SAMPLE)
        except (OSError, EOFError, zlib.error) as error:
            raise Unusable(_("The gzip file is damaged: %(error)s.") % {"error": error}) from error
        try:
            self.encoding = Encoding(encoding) if encoding else detect(head)
        except NotSure as why:
            raise Unusable(str(why)) from None
        binary = io.BufferedReader(_Rejoined(head, self._stream), 1024 * 1024)
        codec, errors = self.encoding.name, self.encoding.errors
        self.text = io.TextIOWrapper(binary, codec, errors, newline="")
        first = head.decode(codec, "replace").lstrip("\ufeff \r\n\t")[:1]
        if not first:
            raise Unusable(_("The file is empty: its first line must name the columns."))
        self.format = format or (JSONL if first == "{" else CSV)
        self.header: list[str] = []  # of CSV, as it stands there
        self.delimiter = ","
        self.line = 0  # the last one that was read
        self._lines: list[str] = []  # of the record that is being read
        self._held = 0  # characters of those

    size = 0  # bytes; 0 where it is not known

    def _unpacked(self, file: BinaryIO) -> BinaryIO:
        head = _head_of(file, 2)
        whole = io.BufferedReader(_Rejoined(head, file), 1024 * 1024)
        return gzip.GzipFile(fileobj=whole) if head == _GZIP else whole  # type: ignore[return-value]

    @property
    def done(self) -> int:
        """Bytes of the file that were read; 0 where it is a pipe."""
        return self._file.tell() if self.size else 0

    def __iter__(self) -> Iterator[Record]:
        records = self._csv() if self.format == CSV else self._jsonl()
        while True:
            try:
                record = next(records, None)
            except UnicodeDecodeError:
                raise Unusable(
                    _("After line %(line)d the file is not %(encoding)s any more.")
                    % {"line": self.line, "encoding": self.encoding.name}
                ) from None
            except (OSError, EOFError, zlib.error) as error:
                raise Unusable(
                    _("After line %(line)d the file cannot be read: %(error)s")
                    % {"line": self.line, "error": error}
                ) from error
            if record is None:
                return
            yield record

    # --- Lines

    def _next_line(self) -> str:
        """Empty at the end."""
        line = self.text.readline(MAX_LINE)
        if line:
            self.line += 1
            if len(line) == MAX_LINE:
                raise Unusable(
                    _("Line %(line)d is longer than %(most)d characters: is this a CSV or JSON Lines file?")
                    % {"line": self.line, "most": MAX_LINE}
                )
        return line

    def _remembered(self) -> Iterator[str]:
        """The lines of one record, which its quotes may stretch over many, but not over the whole file."""
        while line := self._next_line():
            self._lines.append(line)
            self._held += len(line) + 50  # what a text costs beside its characters
            if self._held > MAX_RECORD:
                raise Unusable(
                    _("The row that begins in line %(line)d does not end: a quote is not closed.")
                    % {"line": self.line - len(self._lines) + 1}
                )
            yield line

    # --- CSV

    def _csv(self) -> Iterator[Record]:
        csv.field_size_limit(MAX_CELL)
        lines = self._remembered()
        names = self._read_header(lines)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
        while True:
            start = self.line + 1
            self._lines.clear()
            self._held = 0
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(start, problem=self._of_quotes(start, error), cells=self._leniently())
                continue
            while len(cells) > len(names) and not cells[-1]:
                cells.pop()
            if len(cells) == len(names):
                yield Record(start, dict(zip(names, cells, strict=True)), cells=cells)
            elif any(cell.strip() for cell in cells):
                problem = _("It has %(cells)d cells, the header has %(names)d.")
                counts = {"cells": len(cells), "names": len(names)}
                yield Record(start, problem=problem % counts, cells=cells)

    def _read_header(self, lines: Iterator[str]) -> list[str]:
        first = ""
        for first in lines:
            if first.strip():
                break
        self.delimiter = max(",;\t", key=first.count)  # spreadsheets of some countries write semicolons
        try:
            self.header = [name.strip() for name in next(csv.reader([first], delimiter=self.delimiter), [])]
        except csv.Error as error:
            raise Unusable(_("Line 1 names no columns: %(error)s.") % {"error": error}) from None
        while self.header and not self.header[-1]:  # a last delimiter too many
            self.header.pop()
        names = [columns.column_of(name) for name in self.header]
        if problem := columns.problem_with(self.header):
            known = _("The columns are: %(columns)s.") % {"columns": ", ".join(columns.COLUMNS)}
            raise Unusable(f"{problem} {known}")
        if missing := [name for name in columns.NEEDED if name not in names]:
            raise Unusable(_("These columns are missing: %(names)s.") % {"names": ", ".join(missing)})
        return names

    def _of_quotes(self, start: int, error: csv.Error) -> str:
        if self.line > start:
            return _(
                "A quote is not closed: lines %(start)d to %(end)d were taken for one cell (%(error)s)."
            ) % {
                "start": start,
                "end": self.line,
                "error": error,
            }
        return capfirst(f"{error}.")

    def _leniently(self) -> list[str]:
        """The cells as well as they can be told, for whoever mends them."""
        try:
            return next(csv.reader(self._lines, delimiter=self.delimiter), [])
        except csv.Error:
            return ["".join(self._lines)]

    # --- JSON Lines

    def _jsonl(self) -> Iterator[Record]:
        while line := self._next_line():
            start, text = self.line, line.strip("\ufeff \r\n\t")
            if not text:
                continue
            try:
                values = json.loads(text)
            except ValueError as error:
                yield Record(start, problem=_("It is no JSON: %(error)s.") % {"error": error}, raw=text)
            except RecursionError:
                yield Record(start, problem=_("It is nested too deeply."), raw=text)
            else:
                yield _record_of(start, values, text)


_NAMES: dict[str, str] = {}  # the names that objects have had so far, by their column


def _record_of(line: int, values: Any, text: str) -> Record:
    if not isinstance(values, dict):
        return Record(line, problem=_("It is no JSON object: write one {…} a line."), raw=text)
    try:
        named = {_NAMES[name]: value for name, value in values.items()}
    except KeyError:
        if problem := columns.problem_with(values):
            return Record(line, problem=problem, raw=text)
        _NAMES.update({name: columns.column_of(name) for name in values})
        named = {_NAMES[name]: value for name, value in values.items()}
    if len(named) < len(values):
        return Record(line, problem=columns.problem_with(values), raw=text)
    return Record(line, named, raw=text)
