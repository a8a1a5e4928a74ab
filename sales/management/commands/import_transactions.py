import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, TextIO
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sales.import_rows import FORMATS, Unusable
from sales.importing import Result, import_batches

LINE_EVERY = 10  # seconds between two lines of progress in a log
UNUSABLE = 2
STOPPED = 130  # what a shell expects after Ctrl-C

EPILOG = """\
A row names the transaction by its code, and any of its facts:

  code,status,ordered_at,product_code,product_name,producer_code,producer_name,buyer_name,buyer_email,price
  HP1121336654,APPROVED,2026-11-23T15:52:10Z,4102118,Pottery at home,S0001,Ana Lima,João Souza,joao@example.com,147.00

Every column is explained in docs/importing.md; examples/ holds a file of each format.

  manage.py import_transactions sales.csv --dry-run
  zcat history.jsonl.gz | manage.py import_transactions - --format jsonl --no-notify

Exit code: 0 all rows are good, 1 some are bad and the rest is written, 2 the file cannot be read.
"""


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the example."""


class Command(BaseCommand):
    help = "Imports transactions and abandoned carts from a CSV or JSON Lines file."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, formatter_class=_Formatter, epilog=EPILOG, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
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
        parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
        parser.add_argument(
            "--no-notify", action="store_true", help="write history without posting it to anybody"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        progress = _Progress(self.stderr._out, options["verbosity"])
        total = Result()
        try:
            with _opened(options["file"]) as file:
                for done, last_line in import_batches(
                    file,
                    options["format"] or _format_of(options["file"]),
                    zone=options["time_zone"],
                    notify=not options["no_notify"],
                    dry_run=options["dry_run"],
                ):
                    total = total.plus(done)
                    progress.clear()
                    for line, reason in done.bad:
                        self.stderr.write(_("Line %(line)d: %(reason)s") % {"line": line, "reason": reason})
                    progress.show(total.last_line, last_line)
        except (Unusable, OSError) as error:
            raise CommandError(str(error), returncode=UNUSABLE) from error
        except KeyboardInterrupt:
            progress.clear()
            self.stderr.write(_stopped(total))
            raise SystemExit(STOPPED) from None
        finally:
            progress.clear()
        if options["verbosity"]:
            self.stdout.write(_summary(total, dry_run=options["dry_run"]))
        if total.bad:
            raise SystemExit(1)


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


def _stopped(total: Result) -> str:
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


class _Progress:
    """A bar on a terminal, now and then a line in a log, nothing where the verbosity is 0."""

    def __init__(self, out: TextIO, verbosity: int) -> None:
        self.out, self.on, self.tty = out, verbosity > 0, out.isatty()
        self.shown_at = time.monotonic()

    def show(self, line: int, last_line: int) -> None:
        if not self.on:
            return
        share = line / last_line
        if self.tty:
            bar = "█" * int(30 * share)
            self.out.write(f"\r{bar:░<30} {share:4.0%}  {line:,} / {last_line:,}")
        elif time.monotonic() - self.shown_at > LINE_EVERY:
            self.shown_at = time.monotonic()
            self.out.write(
                _("Line %(line)d of %(last)d (%(share).0f %%)\n")
                % {"line": line, "last": last_line, "share": 100 * share}
            )
        self.out.flush()

    def clear(self) -> None:
        if self.on and self.tty:
            self.out.write("\r\x1b[K")
            self.out.flush()
