"""What the operators' commands of all apps share: examples in --help, --json, progress, exit codes.

Exit codes: 0 all is done, 1 a part is not (bad rows, a check that failed), 2 it could not begin or was refused,
130 stopped by Ctrl-C with all that is done kept, 141 whoever read the output has left (as with `| head`). Sentences
go to standard output, what is wrong and the progress to standard error. With --json standard output holds one JSON
object and nothing else: the facts; {"error": …} where it was refused; and "stopped": true where it was stopped.
"""

import json
import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from textwrap import fill
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext as _

DONE, PARTLY, REFUSED, STOPPED, NOBODY_READS = 0, 1, 2, 130, 141
WIDTH = 100  # characters of a line of --help
_SIGNS = {n: 0x2400 + n for n in range(32) if chr(n) not in "\t\n"} | {127: 0x2421}
# Controls of an older kind, and marks that turn the direction of writing.
_SIGNS |= dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
LINE_EVERY = 10  # seconds between two lines of progress in a log


class _Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keeps the lines of the examples."""


class WithExamples(BaseCommand):
    """A command with `examples`, which stand below its --help: calls, which are set in, and what else there is to know."""

    examples = ""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        heading = "Examples:\n\n" if self.examples.startswith(" ") else ""
        parser = super().create_parser(
            prog_name, subcommand, formatter_class=_Formatter, epilog=heading + self.examples, **kwargs
        )
        parser.description = fill(str(self.help), WIDTH)
        return parser


class OperatorCommand(WithExamples):
    """What operators and their scripts run; `can_try` gives it a --dry-run.

    Its `handle` calls one function and ends with `self.finish(…)`. Raise CommandError(text, returncode=REFUSED) for
    what makes it impossible to begin. `when_stopped` says what stands after Ctrl-C; the rest of that is done here.
    """

    can_try = False

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
        self.began = time.monotonic()
        self._progress: Progress | None = None
        try:
            try:
                return self._executed(*args, **options)
            finally:
                self.stdout.flush()
        except BrokenPipeError:
            _write_to_nobody()
            raise SystemExit(NOBODY_READS) from None

    def _executed(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            self._clear_progress()
            text, facts = self.when_stopped()
            self.stderr.write(str(text))
            self._write_json(facts | {"stopped": True})
            raise SystemExit(STOPPED) from None
        except CommandError as error:
            self._clear_progress()
            self._write_json({"error": str(error)})
            raise
        except (OperationalError, InterfaceError) as error:
            self._clear_progress()
            text = _("The database cannot be used: %(error)s") % {"error": str(error).strip()}
            self._write_json({"error": text})
            raise CommandError(text, returncode=REFUSED) from error

    def when_stopped(self) -> tuple[Any, dict[str, Any]]:
        """What to say after Ctrl-C, and the facts for --json: both of what is done by then."""
        return _("Stopped. What was done until now is kept."), {}

    def progress(self, unit: Callable[[int, int], str] | None = None) -> "Progress":
        """Shown on standard error, and cleared before the last word; silent with --verbosity 0."""
        self._progress = Progress(self.stderr._out, self.verbosity, unit)
        return self._progress

    def _clear_progress(self) -> None:
        if self._progress is not None:
            self._progress.clear()

    def say(self, text: Any) -> None:
        """A sentence for whoever watches; nothing with --json or --verbosity 0."""
        if text and not self.as_json and self.verbosity:
            self.stdout.write(plain(str(text)))

    def finish(self, text: Any, facts: dict[str, Any], code: int = DONE) -> None:
        """The last word: the sentence, or with --json the facts. Exits with `code` unless it is DONE."""
        self._clear_progress()
        self._write_json(facts)
        self.say(text)
        if code != DONE:
            raise SystemExit(code)

    def _write_json(self, facts: dict[str, Any]) -> None:
        if self.as_json:
            self.stdout.write(json.dumps(facts, cls=DjangoJSONEncoder, ensure_ascii=False))


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C in here takes effect at the end: what is written and what is counted stay one. Pressed twice, at once."""
    if threading.current_thread() is not threading.main_thread():  # only there can signals be heard
        yield
        return
    pressed = False

    def note(*_: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
    if pressed:
        raise KeyboardInterrupt


def plain(text: str) -> str:
    """The text with signs in place of control characters, which would act on the terminal that shows it."""
    return text.translate(_SIGNS)


def a_span(text: str) -> timedelta:
    """The `type` of an argument that is a number of seconds above 0."""
    try:
        length = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        length = timedelta(0)
    if length <= timedelta(0):
        raise ArgumentTypeError(_("“%(text)s” is no number of seconds above 0.") % {"text": text})
    return length


def a_count(text: str) -> int:
    """The `type` of an argument that counts, from 0."""
    if not (text.isascii() and text.isdigit()):
        raise ArgumentTypeError(_("“%(text)s” is no whole number from 0 on.") % {"text": text})
    return int(text)


def _write_to_nobody() -> None:
    """So that Python, which flushes both at its end, does not trip over a reader that has left."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nobody, stream.fileno())


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
