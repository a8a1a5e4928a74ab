import getpass
import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import retention
from deliveries.retention import Deleted
from sales import privacy
from sales.commandkit import REFUSED, OperatorCommand
from sales.files import written_whole
from sales.privacy import Held
from sales.spreadsheets import csv_lines

EXAMPLES = """\
Retention: deletes the posts that were finished long ago, with their attempts, and the events that have no posts left.
What waits, is on its way or is held stays, and how many posts there were is kept. The worker does it every night.

  manage.py purge_history --dry-run
  manage.py purge_history
  manage.py purge_history --older-than 30

One buyer, by e-mail, in sales, carts, subscriptions, events, posts and answers: report what is held, or erase it.

  manage.py purge_history --buyer joao@example.com --dry-run
  manage.py purge_history --buyer joao@example.com --report joao.json
  manage.py purge_history --buyer joao@example.com

docs/retention.md says what is kept how long, and what is left of a buyer who was erased.

Exit code: 0 done, 2 nothing was begun, 130 stopped by Ctrl-C; run again, it goes on.
"""


class Command(OperatorCommand):
    help = "Deletes old posts, or reports or erases what is held on one buyer."

    examples = EXAMPLES
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--older-than",
            type=_days,
            metavar="DAYS",
            help="what to delete; without it, what is older than HISTORY_RETENTION_DAYS",
        )
        parser.add_argument(
            "--buyer", metavar="EMAIL", help="erase what is held on this buyer, and nothing else"
        )
        parser.add_argument(
            "--report",
            metavar="FILE",
            nargs="?",
            const="-",
            help="with --buyer: erase nothing, write what is held to a file that ends in .json or .csv, "
            "or as JSON to standard output",
        )
        parser.add_argument("--yes", action="store_true", help="with --buyer: erase without asking")

    def handle(self, *args: Any, **options: Any) -> None:
        self.deleted = Deleted()
        if options["buyer"] is None:
            if options["report"] or options["yes"]:
                raise CommandError(_("--report and --yes go with --buyer."), returncode=REFUSED)
            self._purge(options["older_than"], dry_run=options["dry_run"])
        elif options["older_than"] is not None:
            raise CommandError(
                _("--older-than and --buyer are two different tasks: run one after the other."),
                returncode=REFUSED,
            )
        else:
            self._buyer(options)

    # --- Retention

    def _purge(self, days: int | None, *, dry_run: bool) -> None:
        days = settings.HISTORY_RETENTION_DAYS if days is None else days
        if not days:
            raise CommandError(
                _(
                    "The History is kept for ever: HISTORY_RETENTION_DAYS is 0. Say what to delete by --older-than."
                ),
                returncode=REFUSED,
            )
        before = retention.limit(days)
        months = retention.months(before)
        whole = sum((month.deleted for month in months), Deleted())
        if dry_run:
            lines = [f"{month.month:%Y-%m}: {_counts(month.deleted)}" for month in months]
            text = "\n".join([*lines, _would_delete(whole, days)])
            by_month = {f"{month.month:%Y-%m}": asdict(month.deleted) for month in months}
            self.finish(text, {"dry_run": True, "days": days, **asdict(whole), "months": by_month})
            return
        progress = self.progress()
        for batch in retention.delete(before):
            self.deleted += batch
            progress.show(self.deleted.posts + self.deleted.events, whole.posts + whole.events)
        self.finish(
            _was_deleted(self.deleted, days), {"dry_run": False, "days": days, **asdict(self.deleted)}
        )

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        text = _("Stopped. Deleted until now: %(counts)s. Run the same command again to go on.")
        if self.deleted == Deleted():
            text = _("Stopped. What was done until now is kept; run the same command again to go on.")
        return text % {"counts": _counts(self.deleted)}, asdict(self.deleted)

    # --- One buyer

    def _buyer(self, options: dict[str, Any]) -> None:
        email = options["buyer"]
        try:
            held = privacy.hold_on(email)
        except privacy.NoBuyer as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        facts = {"buyer": email, "held": {table.what: table.count for table in held}}
        if options["report"]:
            self._report(email, held, options["report"], facts)
        elif not held:
            self.finish(_("Nothing is held on %(email)s.") % {"email": email}, facts | {"redacted": {}})
        elif options["dry_run"]:
            self.finish("\n".join(_said(held)), facts | {"dry_run": True})
        else:
            self._redact(email, held, facts, sure=options["yes"])

    def _redact(self, email: str, held: list[Held], facts: dict[str, Any], *, sure: bool) -> None:
        if not sure:
            if self.as_json or not sys.stdin.isatty():
                raise CommandError(
                    _("Erasing cannot be undone: add --yes to do it, or --dry-run to see what is held."),
                    returncode=REFUSED,
                )
            self.say("\n".join(_said(held)))
            answer = input(_("Erase %(email)s for good? Type yes: ") % {"email": email})
            if answer.strip().lower() != "yes":
                raise CommandError(_("Nothing was erased."), returncode=REFUSED)
        counts = privacy.redact(email, by=f"purge_history ({getpass.getuser()})")
        lines = [_("%(what)s: %(n)d erased") % {"what": what, "n": n} for what, n in sorted(counts.items())]
        self.finish("\n".join(lines), facts | {"redacted": counts})

    def _report(self, email: str, held: list[Held], name: str, facts: dict[str, Any]) -> None:
        if name == "-":
            if self.as_json:
                raise CommandError(
                    _("A report on standard output is JSON already: leave --json out."), returncode=REFUSED
                )
            _write_json(self.stdout._out, email, held)
            return
        write = {".json": _write_json, ".csv": _write_csv}.get(Path(name).suffix.lower())
        if write is None:
            raise CommandError(_("The report's name has to end in .json or .csv."), returncode=REFUSED)
        try:
            with written_whole(Path(name)) as file:
                write(file, email, held)
        except OSError as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        lines = [f"{table.what}: {table.count}" for table in held]
        lines.append(_("Written to %(name)s, which nobody but you may read.") % {"name": name})
        self.finish("\n".join(lines), facts | {"file": name})


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 36525):
        raise ArgumentTypeError(_("“%(text)s” is no number of days from 1 on.") % {"text": text})
    return int(text)


def _counts(deleted: Deleted) -> str:
    parts = (
        ngettext("%(n)d post", "%(n)d posts", deleted.posts) % {"n": deleted.posts},
        ngettext("%(n)d attempt", "%(n)d attempts", deleted.attempts) % {"n": deleted.attempts},
        ngettext("%(n)d event", "%(n)d events", deleted.events) % {"n": deleted.events},
    )
    return ", ".join(parts)


def _would_delete(deleted: Deleted, days: int) -> str:
    if deleted == Deleted():
        return _("Nothing is older than %(days)d days and finished.") % {"days": days}
    text = _("Nothing was deleted. Older than %(days)d days, and would be: %(counts)s.")
    return text % {"days": days, "counts": _counts(deleted)}


def _was_deleted(deleted: Deleted, days: int) -> str:
    if deleted == Deleted():
        return _("Nothing is older than %(days)d days and finished.") % {"days": days}
    return _("Deleted what was older than %(days)d days: %(counts)s.") % {
        "days": days,
        "counts": _counts(deleted),
    }


def _said(held: list[Held]) -> list[str]:
    """What is held, and what else becomes of it."""
    if not held:
        return [_("Nothing is held.")]
    return [f"{table.what}: {table.count}. {table.note}".strip() for table in held]


def _write_json(file: TextIO, email: str, held: list[Held]) -> None:
    """Row by row, however many there are."""
    head = {"buyer": email, "asked_at": timezone.now().isoformat()}
    file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "held": {')
    for n, table in enumerate(held):
        file.write(("," if n else "") + f"\n{json.dumps(table.what)}: [")
        for m, row in enumerate(table.rows):
            file.write(("," if m else "") + "\n" + json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False))
        file.write("]")
    file.write("\n}}\n")


def _write_csv(file: TextIO, email: str, held: list[Held]) -> None:
    """A line a fact, since no two tables have the same."""

    def facts() -> Iterator[tuple[Any, ...]]:
        for table in held:
            for n, row in enumerate(table.rows, 1):
                for name, value in row.items():
                    yield table.what, n, name, _cell(value)

    file.writelines(csv_lines(("table", "row", "fact", "value"), facts()))


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
