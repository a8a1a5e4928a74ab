"""The file of bad rows: like the one they came from, with the line and the reason in front, to be mended and read."""

import csv
import json
from pathlib import Path
from typing import Any, TextIO

from django.utils.translation import gettext as _

from .columns import IGNORED
from .reading import CSV, Record, Source, Unusable


class Rejects:
    """Opened with the first bad row, so that there is no file where there is none.

    In the encoding of the source, byte for byte where a row cannot be decoded.
    """

    def __init__(self, path: Path | None, source: Source) -> None:
        self.path, self.source = path, source
        self._file: TextIO | None = None
        self._writer: Any = None
        # Of a file of rejects: its own two are written anew.
        self._own = [n for n, name in enumerate(source.header) if name in IGNORED]

    def add(self, record: Record, reason: str) -> None:
        if self.path is None:
            return
        file = self._file or self._open(self.path)
        reason = reason.encode(self._encoding, "replace").decode(self._encoding)
        if self.source.format == CSV:
            self._writer.writerow([record.line, reason, *self._others(record.cells)])
        else:
            values = _object(record) | {"line": record.line, "reason": reason}
            file.write(self._as_json(values) + "\n")

    def _as_json(self, values: dict[str, Any]) -> str:
        """Half a character, which JSON can spell and no file can hold, stays spelled."""
        text = json.dumps(values, ensure_ascii=False)
        try:
            text.encode(self._encoding, self.source.encoding.errors)
        except UnicodeEncodeError:
            return json.dumps(values)
        return text

    def close(self) -> None:
        if self._file:
            self._file.close()

    @property
    def was_written(self) -> bool:
        return self._file is not None

    @property
    def _encoding(self) -> str:
        return self.source.encoding.name

    def _open(self, path: Path) -> TextIO:
        source = self.source
        self._own = [n for n, name in enumerate(source.header) if name in IGNORED]
        try:
            self._file = open(path, "x", encoding=self._encoding, errors=source.encoding.errors, newline="")  # noqa: SIM115
        except OSError as error:
            raise Unusable(
                _("The bad rows cannot be written to %(path)s (%(error)s): name another file with --rejects.")
                % {"path": path, "error": error.strerror}
            ) from error
        if source.format == CSV:
            self._writer = csv.writer(self._file, delimiter=source.delimiter)
            self._writer.writerow([*IGNORED, *self._others(source.header)])
        return self._file

    def _others(self, cells: list[str]) -> list[str]:
        return [cell for n, cell in enumerate(cells) if n not in self._own]


def _object(record: Record) -> dict[str, Any]:
    """What the line says, by its own names; what is no object stands under "text"."""
    try:
        values = json.loads(record.raw)
    except (ValueError, RecursionError):
        values = None
    return values if isinstance(values, dict) else {"text": record.raw}
