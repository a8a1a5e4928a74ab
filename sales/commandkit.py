"""What the operators' commands of all apps share: examples in --help, --json, progress, exit codes.

Exit codes: 0 all is done, 1 a part is not (bad rows, a check that failed), 2 it could not begin or was refused,
130 stopped by Ctrl-C with all that is done kept. Sentences go to standard output, what is wrong and the progress to
standard error. With --json standard output holds one JSON object and nothing else.
"""

import json
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from typing import Any, TextIO

from django.core.management.base import BaseCommand, DjangoHelpFormatter
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.translation import gettext as _

DONE, PARTLY, REFUSED, STOPPED = 0, 1, 2, 130
LINE_EVERY = 10  # seconds between two lines of progress in a log


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


class OperatorCommand(BaseCommand):
    """A command with `examples`, which stand below its --help; `can_try` gives it a --dry-run.

    Its `handle` calls one function and ends with `self.finish(…)`. Raise CommandError(text, returncode=REFUSED) for
    what makes it impossible to begin.
    """

    examples = ""
    can_try = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, formatter_class=_Formatter, epilog=self.examples, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", dest="as_json", help="print one JSON object and nothing else"
        )
        if self.can_try:
            parser.add_argument(
                "--dry-run", action="store_true", help="say what would be done, and change nothing"
            )

    def execute(self, *args: Any, **options: Any) -> Any:
        self.as_json = bool(options.get("as_json"))
        self.verbosity = options["verbosity"]
        return super().execute(*args, **options)

    def progress(self, unit: Callable[[int, int], str] | None = None) -> "Progress":
        """Shown on standard error; silent with --verbosity 0."""
        return Progress(self.stderr._out, self.verbosity, unit)

    def say(self, text: Any) -> None:
        """A sentence for whoever watches; nothing with --json or --verbosity 0."""
        if not self.as_json and self.verbosity:
            self.stdout.write(str(text))

    def finish(self, text: Any, facts: dict[str, Any], code: int = DONE) -> None:
        """The last word: the sentence, or with --json the facts. Exits with `code` unless it is DONE."""
        if self.as_json:
            self.stdout.write(json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False))
        else:
            self.say(text)
        if code != DONE:
            raise SystemExit(code)


class Progress:
    """A bar on a terminal, now and then a line in a log, nothing where the verbosity is 0.

    `unit(done, total)` makes the line of the log; without one it counts.
    """

    def __init__(self, out: TextIO, verbosity: int, unit: Callable[[int, int], str] | None = None) -> None:
        self.out, self.on, self.tty = out, verbosity > 0, out.isatty()
        self.unit = unit or _counted
        self.shown_at = time.monotonic()

    def show(self, done: int, total: int) -> None:
        """`total` may still grow, and is 0 where it is not known."""
        if not self.on:
            return
        if self.tty:
            share = done / total if total else 0
            bar = "█" * int(30 * share)
            self.out.write(f"\r{bar:░<30} {share:4.0%}  {done:,} / {total:,}" if total else f"\r{done:,}")
        elif time.monotonic() - self.shown_at > LINE_EVERY:
            self.shown_at = time.monotonic()
            self.out.write(self.unit(done, total) + "\n")
        self.out.flush()

    def clear(self) -> None:
        if self.on and self.tty:
            self.out.write("\r\x1b[K")
            self.out.flush()


def _counted(done: int, total: int) -> str:
    if not total:
        return _("%(done)d done") % {"done": done}
    return _("%(done)d of %(total)d (%(share).0f %%)") % {
        "done": done,
        "total": total,
        "share": 100 * done / total,
    }
