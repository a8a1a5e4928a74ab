import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from legacy_posts import encodings
from legacy_posts.cells import DAY_FIRST, MONTH_FIRST
from legacy_posts.importing import Importer, Result, owners
from legacy_posts.models import Kind
from legacy_posts.reading import CSV, JSONL, Source, Unusable
from legacy_posts.rejects import Rejects
from legacy_posts.rows import Cleaner
from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand, ctrl_c_waits

EXAMPLES = """\
A row says whose post it is, when it was, and about what:

  id,kind,owner,occurred_at,event,transaction,product_name,url,status,payload,response,tries
  7731,sent,ana@example.com,2024-05-12T14:21:38Z,approved,HP1121336654,Pottery at home,https://example.com/in,200,"{…}",ok,1

Every column, and the names that old spreadsheets have for it, is in docs/legacy-posts.md; examples/legacy_posts.csv is
such a file. Bad rows go to a file beside it (legacy_posts.rejects.csv) with the line and the reason in front: mend it
there and import that file. A file can be imported again, also after Ctrl-C: what is there already is left alone.

  manage.py import_legacy_posts old.csv --dry-run --time-zone America/Sao_Paulo
  manage.py import_legacy_posts pending.jsonl.gz --kind pending
  zcat old.csv.gz | manage.py import_legacy_posts - --encoding latin-1 --dates day-first

Exit code: 0 all rows are good, 1 some are bad and the rest is written, 2 the file, or the rest of it, cannot be read.
"""
SHOWN = 20  # bad rows on the terminal; all of them are in the file of rejects


class Command(OperatorCommand):
    help = "Imports what the former system posted, and what it had not posted yet, from CSV or JSON Lines."

    examples = EXAMPLES
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file, also with gzip; - reads standard input")
        parser.add_argument("--format", choices=(CSV, JSONL), default="", help="otherwise told by its look")
        parser.add_argument(
            "--kind",
            choices=Kind.values,
            help="of rows that do not say it: were they sent, or are they pending?",
        )
        parser.add_argument(
            "--encoding",
            type=_encoding,
            metavar="NAME",
            help="such as latin-1; without it UTF-8, what the file's mark says, or what it looks like for sure",
        )
        parser.add_argument(
            "--time-zone",
            type=_zone,
            metavar="NAME",
            help="zone of times that have none, such as America/Sao_Paulo; without it they are refused",
        )
        parser.add_argument(
            "--dates",
            choices=(DAY_FIRST, MONTH_FIRST),
            default="",
            help="what 03/04/2024 means; without it such dates are refused",
        )
        parser.add_argument(
            "--rejects", type=Path, metavar="FILE", help="where bad rows go; by default beside the file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.importer: Importer | None = None
        self.shown, self.dry_run = 0, options["dry_run"]
        try:
            with _opened(options["file"]) as file:
                source = Source(file, format=options["format"], encoding=options["encoding"] or "")
                self._say_encoding(source)
                cleaner = Cleaner(
                    owners(),
                    kind=options["kind"] and Kind(options["kind"]),
                    zone=options["time_zone"],
                    dates=options["dates"],
                )
                with closing(Rejects(_path_of_rejects(options, source), source)) as rejects:
                    name = Path(options["file"]).name
                    self.importer = Importer(source, cleaner, rejects, name=name, dry_run=self.dry_run)
                    self._run(self.importer)
        except BrokenPipeError:
            raise
        except (Unusable, OSError) as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        result = self.importer.result
        self.finish(
            _summary(self.importer, dry_run=self.dry_run), self._facts(), PARTLY if result.bad else DONE
        )

    def _say_encoding(self, source: Source) -> None:
        if source.encoding.guessed and self.verbosity:
            self.stderr.write(
                _(
                    "The file is not UTF-8: it is read as %(name)s. If names look wrong, choose with --encoding."
                )
                % {"name": source.encoding.name}
            )

    def _run(self, importer: Importer) -> None:
        progress = self.progress(lambda done, total: _line_of(importer, done, total))
        batches = importer.run()
        try:
            while self._take(batches):
                source, result = importer.source, importer.result
                progress.clear()
                self._show_bad(result)
                progress.show(source.done if source.size else result.rows, source.size)
        except Unusable as error:
            if not importer.result.rows:
                raise
            raise Unusable(f"{error} {_kept(importer.result)}") from error

    def _take(self, batches: Iterator[Result]) -> bool:
        """One batch, written and counted. False where there is none left."""
        with ctrl_c_waits():
            return next(batches, None) is not None

    def _show_bad(self, result: Result) -> None:
        for line, reason in result.reasons[self.shown : SHOWN]:
            self.stderr.write(_("Line %(line)d: %(reason)s") % {"line": line, "reason": reason})
        if self.shown < SHOWN < result.bad:
            self.stderr.write(_("There are more bad rows; they are not shown here."))
        self.shown = len(result.reasons)

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        if self.importer is None:
            return _("Stopped before anything was written."), {}
        return _stopped(self.importer.result), self._facts()

    def _facts(self) -> dict[str, Any]:
        """The counts, and the bad rows with their reasons."""
        assert self.importer is not None  # noqa: S101  it is called when there is a result
        result, rejects = self.importer.result, self.importer.rejects
        facts = asdict(result) | {
            "bad_rows": [{"line": line, "reason": reason} for line, reason in result.reasons],
            "rejects": str(rejects.path) if rejects.was_written else None,
            "encoding": self.importer.source.encoding.name,
            "dry_run": self.dry_run,
        }
        del facts["reasons"]
        return facts


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with open(name, "rb") as file:
        yield file


def _path_of_rejects(options: dict[str, Any], source: Source) -> Path | None:
    """Where there is nothing yet, so that rows which somebody is mending are not lost. None: nothing is written."""
    if path := options["rejects"]:
        if path.exists():
            raise Unusable(
                _("There is a file %(path)s already: name another for the rejects.") % {"path": path}
            )
        return path
    if options["dry_run"]:
        return None
    file = Path("legacy_posts" if options["file"] == "-" else options["file"])
    bare = file.with_suffix("") if file.suffix == ".gz" else file
    stem = bare.stem.removesuffix(".rejects")
    for n in range(1, 10_000):
        path = bare.with_name(f"{stem}.rejects{'' if n == 1 else f'-{n}'}.{source.format}")
        if not path.exists():
            return path
    raise Unusable(_("There are too many files of rejects beside %(path)s: remove some.") % {"path": file})


def _encoding(name: str) -> str:
    try:
        return encodings.known(name)
    except LookupError:
        raise ArgumentTypeError(
            _("“%(name)s” is no encoding: write one such as latin-1, cp1252 or utf-16.") % {"name": name}
        ) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ArgumentTypeError(
            _("“%(name)s” is no time zone: write one such as America/Sao_Paulo.") % {"name": name}
        ) from None


def _line_of(importer: Importer, done: int, total: int) -> str:
    facts = {"line": importer.result.line, "share": 100 * done / total if total else 0}
    return _("Line %(line)d, %(share).0f %% of the file") % facts if total else _("Line %(line)d") % facts


def _stopped(result: Result) -> str:
    kept = _kept(result)
    return _("Stopped. %(kept)s Run the same command again to go on.") % {"kept": kept}


def _kept(result: Result) -> str:
    return _("All rows up to line %(line)d are dealt with, none after it.") % {"line": result.line}


def _summary(importer: Importer, *, dry_run: bool) -> str:
    result, rejects = importer.result, importer.rejects
    parts = {
        "added": ngettext("%(n)d post added", "%(n)d posts added", result.added) % {"n": result.added},
        "known": ngettext("%(n)d was there already", "%(n)d were there already", result.known)
        % {"n": result.known},
        "bad": ngettext("%(n)d row is bad", "%(n)d rows are bad", result.bad) % {"n": result.bad},
    }
    text = _("%(added)s, %(known)s, %(bad)s.") % parts
    if rejects.was_written:
        where = _("The bad rows are in %(path)s: mend them there, and import that file.")
        text = f"{text} {where % {'path': rejects.path}}"
    return _("Nothing was written. It would be: %(text)s") % {"text": text} if dry_run else text
