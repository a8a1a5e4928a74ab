import csv
import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import export
from deliveries.export import COLUMNS, OWNER, PAYLOADS, Column
from deliveries.models import Delivery
from deliveries.options import add_options, selection
from sales.commandkit import REFUSED, OperatorCommand
from sales.files import written_whole
from sales.spreadsheets import cell

EXAMPLES = """\
Writes what the History shows, of all sellers or of some: one row a post, newest first, however many there are.

  manage.py export_history posts.csv --since 2026-11-01 --until 2026-12-01
  manage.py export_history failed.jsonl.gz --status failed --http-code 5xx --payloads
  manage.py export_history --format jsonl --owner ana@example.com | jq .transaction

A file is there once it is whole; nobody but you may read it, since it names buyers. Signing secrets and tokens are
never in it, and of a URL only the host. CSV cells that a spreadsheet would run as a formula begin with an apostrophe.

Exit code: 0 done, also where no post is like that; 2 nothing was begun; 130 stopped by Ctrl-C, and no file written.
"""
FORMATS = ("csv", "jsonl")

Write = Callable[[Delivery], Any]


class Command(OperatorCommand):
    help = "Exports posts from the History as CSV or JSON Lines."

    examples = EXAMPLES
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "file",
            nargs="?",
            default="-",
            help="where to: the ending .csv or .jsonl tells the format, and .gz after it compresses; "
            "without it, or with -, standard output",
        )
        parser.add_argument("--format", choices=FORMATS, help="where the ending does not tell it")
        parser.add_argument(
            "--payloads",
            action="store_true",
            help="also what was posted, and what the last attempt was answered",
        )
        add_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        name, self.done = options["file"], 0
        if name == "-" and self.as_json and not options["dry_run"]:
            raise CommandError(
                _("--json needs a file: standard output would hold both the posts and the summary."),
                returncode=REFUSED,
            )
        format_ = options["format"] or _format_of(name)
        posts = selection(options).of(Delivery.objects.all())
        columns = (*COLUMNS, *OWNER, *(PAYLOADS if options["payloads"] else ()))
        progress, total = self.progress(), posts.order_by().count()
        if options["dry_run"]:
            text = ngettext(
                "%(n)d post would be exported. Nothing was written.",
                "%(n)d posts would be exported. Nothing was written.",
                total,
            )
            facts = {"posts": total, "file": name, "format": format_, "dry_run": True}
            return self.finish(text % {"n": total}, facts)
        try:
            with self._opened(name) as file:
                write = _writer(file, format_, columns)
                for chunk in export.chunks(posts, payloads=options["payloads"]):
                    for post in chunk:
                        write(post)
                    self.done += len(chunk)
                    progress.show(self.done, total)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(
                _("%(name)s cannot be written: %(error)s") % {"name": name, "error": error.strerror or error},
                returncode=REFUSED,
            ) from error
        text = ngettext("%(n)d post was exported.", "%(n)d posts were exported.", self.done) % {
            "n": self.done
        }
        if name == "-":
            progress.clear()
            if self.verbosity:
                self.stderr.write(text)
        else:
            self.finish(text, {"posts": self.done, "file": name, "format": format_})
        return None

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        return _("Stopped: the export is not whole, and no file was written."), {"posts": self.done}

    @contextmanager
    def _opened(self, name: str) -> Iterator[TextIO]:
        if name == "-":
            yield self.stdout._out
            self.stdout.flush()
        else:
            with written_whole(Path(name)) as file:
                yield file


def _format_of(name: str) -> str:
    if name == "-":
        return "csv"
    ending = Path(name.lower().removesuffix(".gz")).suffix.lstrip(".")
    if ending not in FORMATS:
        raise CommandError(
            _("The ending does not tell the format: add --format csv or --format jsonl."), returncode=REFUSED
        )
    return ending


def _writer(file: TextIO, format_: str, columns: tuple[Column, ...]) -> Write:
    """What writes one post into the file, as a program reads it."""
    if format_ == "jsonl":
        dumps = json.JSONEncoder(ensure_ascii=False, default=DjangoJSONEncoder().default).encode
        return lambda post: file.write(dumps(export.facts(post, columns)) + "\n")
    writer = csv.writer(file)
    writer.writerow([column.name for column in columns])
    return lambda post: writer.writerow([cell(column.get(post)) for column in columns])
