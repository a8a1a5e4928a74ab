import shutil
import sys
import tempfile
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand, Progress, ctrl_c_waits
from sales.import_rows import FORMATS, Unusable
from sales.importing import Result, import_batches

EXAMPLES = """\
  manage.py import_transactions sales.csv --dry-run
  zcat history.jsonl.gz | manage.py import_transactions - --format jsonl --no-notify
  manage.py import_transactions sales.csv --json | jq '.bad[]'

A row names the transaction by its code, and any of its facts:

  code,status,ordered_at,product_code,product_name,producer_code,producer_name,buyer_name,buyer_email,price
  HP1121336654,APPROVED,2026-11-23T15:52:10Z,4102118,Pottery at home,S0001,Ana Lima,João Souza,joao@example.com,147.00

Every column is explained in docs/importing.md; examples/ holds a file of each format.

Exit code: 0 all rows are good, 1 some are bad and the rest is written, 2 the file cannot be read, 130 stopped by
Ctrl-C: whole batches are written, and the same command goes on where it was.
"""


class Command(OperatorCommand):
    help = "Imports transactions and abandoned carts from a CSV or JSON Lines file."

    examples = EXAMPLES
    can_try = True
    total, dry_run = Result(), False

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file, UTF-8; - reads standard input")
        parser.add_argument(
            "--format", choices=sorted(set(FORMATS.values())), help="needed where the ending does not tell it"
        )
        parser.add_argument(
            "--time-zone",
            type=_zone,
            metavar="NAME",
            help="zone of times that have none, such as America/Sao_Paulo; without it they are refused",
        )
        parser.add_argument(
            "--no-notify", action="store_true", help="write history without posting it to anybody"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.total, self.dry_run = Result(), options["dry_run"]
        progress = self.progress(_line_of)
        try:
            with _opened(options["file"]) as file:
                batches = import_batches(
                    file,
                    options["format"] or _format_of(options["file"]),
                    zone=options["time_zone"],
                    notify=not options["no_notify"],
                    dry_run=self.dry_run,
                )
                next(batches)  # looks through the file
                while self._take(batches, progress):
                    pass
        except BrokenPipeError:
            raise
        except (Unusable, OSError) as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        self.finish(
            _summary(self.total, dry_run=self.dry_run), self._facts(), PARTLY if self.total.bad else DONE
        )

    def _take(self, batches: Iterator[tuple[Result, int]], progress: Progress) -> bool:
        """One batch, written and counted. False where there is none left."""
        with ctrl_c_waits():
            done, last_line = next(batches, (None, 0))
            if done is None:
                return False
            self.total = self.total.plus(done)
        progress.clear()
        for line, reason in done.bad:
            self.stderr.write(_("Line %(line)d: %(reason)s") % {"line": line, "reason": reason})
        progress.show(self.total.last_line, last_line)
        return True

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        return _stopped(self.total, dry_run=self.dry_run), self._facts()

    def _facts(self) -> dict[str, Any]:
        """The counts, and the bad rows with their reasons."""
        bad = [{"line": line, "reason": reason} for line, reason in self.total.bad]
        return asdict(self.total) | {"bad": bad, "dry_run": self.dry_run}


def _line_of(line: int, last_line: int) -> str:
    return _("Line %(line)d of %(last)d (%(share).0f %%)") % {
        "line": line,
        "last": last_line,
        "share": 100 * line / last_line,
    }


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ArgumentTypeError(
            _("“%(name)s” is no time zone: write one such as America/Sao_Paulo.") % {"name": name}
        ) from None


def _format_of(name: str) -> str:
    try:
        return FORMATS[Path(name).suffix.lstrip(".").lower()]
    except KeyError:
        raise Unusable(
            _("The ending does not tell the format: add --format csv or --format jsonl.")
        ) from None


def _opened(name: str) -> AbstractContextManager[BinaryIO]:
    """The file; standard input as a temporary one, since it is read twice."""
    if name != "-":
        return open(name, "rb")
    spooled = tempfile.SpooledTemporaryFile(max_size=16 * 1024 * 1024)  # noqa: SIM115
    shutil.copyfileobj(sys.stdin.buffer, spooled)
    return spooled


def _stopped(total: Result, *, dry_run: bool) -> str:
    if dry_run:
        return _("Stopped at line %(line)d. Nothing was written.") % {"line": total.last_line}
    if not total.last_line:
        return _("Stopped. Nothing was written yet.")
    return _(
        "Stopped. All rows up to line %(line)d are dealt with, none after it; run the same command again to go on."
    ) % {"line": total.last_line}


def _summary(total: Result, *, dry_run: bool) -> str:
    counts = _(
        "created %(created)d, changed %(changed)d, updated %(updated)d, unchanged %(unchanged)d, bad %(bad)d"
    ) % {
        "created": total.created,
        "changed": total.changed,
        "updated": total.updated,
        "unchanged": total.unchanged,
        "bad": len(total.bad),
    }
    sellers = ngettext("%(n)d new seller", "%(n)d new sellers", total.sellers) % {"n": total.sellers}
    products = ngettext("%(n)d new product", "%(n)d new products", total.products) % {"n": total.products}
    text = _("%(counts)s; %(sellers)s, %(products)s.") % {
        "counts": counts,
        "sellers": sellers,
        "products": products,
    }
    return _("Nothing was written. It would be: %(text)s") % {"text": text} if dry_run else text.capitalize()
