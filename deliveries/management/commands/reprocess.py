import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import bulk, bulk_words, selecting
from deliveries.models import BulkReprocess, Delivery
from deliveries.options import add_options, in_words, is_chosen, refused, selection
from sales.commandkit import DONE, PARTLY, OperatorCommand
from sales.templatetags.formats import number

ASK_ABOVE = 1000  # posts
LOOK_EVERY = 1.0  # seconds, while it waits
STANDS_STILL = 30.0  # seconds without a post, after which it asks whether a worker runs

EXAMPLES = """\
It first says how many posts would be sent, to which hosts, and how many of them arrived already; above 1,000 it
asks. Then it queues them, behind all that is fresh, and ends; the worker sends them.

  manage.py reprocess --configuration 7 --status failed --since 2026-11-20 --dry-run
  manage.py reprocess --owner ana@example.com --http-code 5xx --http-code timeout --yes --wait
  manage.py reprocess --transaction HP1121336654 --event PURCHASE_APPROVED
  manage.py reprocess --list
  manage.py reprocess --pause 12        (and --resume 12, --stop 12)

Options of different kinds narrow each other; one that is given several times widens. Ctrl-C leaves what is queued:
--resume goes on where it was, --stop takes back what is not sent yet. docs/reprocessing.md tells the rest.

Exit code: 0 done, 1 with --wait some did not arrive, 2 refused, 130 stopped by Ctrl-C.
"""


class Command(OperatorCommand):
    help = "Sends posts again: many at once, chosen by configuration, owner, status, answer, event, time or sale."

    examples = EXAMPLES
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        which = add_options(parser, bulk.CAN_GO)
        which.add_argument(
            "--all", action="store_true", help="all posts: needed where nothing else is chosen"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask, however many they are")
        parser.add_argument(
            "--wait", action="store_true", help="stay, and show the progress until all are sent"
        )
        running = parser.add_argument_group("one that was started").add_mutually_exclusive_group()
        running.add_argument("--list", action="store_true", help="those under way")
        running.add_argument(
            "--pause", type=int, metavar="ID", help="what is unsent is as it was, until --resume"
        )
        running.add_argument(
            "--resume", type=int, metavar="ID", help="go on after a pause or an interruption"
        )
        running.add_argument("--stop", type=int, metavar="ID", help="what is unsent is as it was, for good")

    def handle(self, *args: Any, **options: Any) -> None:
        self.started: BulkReprocess | None = None
        self.asked_at: datetime | None = None
        actions = {"pause": self._pause, "resume": self._resume, "stop": self._stop}
        chosen = [name for name in actions if options[name] is not None]
        if (chosen or options["list"]) and is_chosen(options):
            raise refused(_("Choose posts to start one, or name one that was started: not both."))
        if options["list"]:
            self._list()
        elif chosen:
            found = BulkReprocess.objects.filter(pk=options[chosen[0]]).first()
            if found is None:
                raise refused(_("There is no bulk reprocess %(id)s.") % {"id": options[chosen[0]]})
            actions[chosen[0]](found, options)
        else:
            self._start(options)

    # --- start

    def _start(self, options: dict[str, Any]) -> None:
        if not is_chosen(options) and not options["all"]:
            raise refused(
                _("Nothing was chosen. Say which posts, such as --status failed, or --all for all of them.")
            )
        selected = selection(options)
        self.asked_at = timezone.now()
        facts = selecting.facts_of(selected.of(Delivery.objects.filter(created_at__lte=self.asked_at)))
        for line in bulk_words.lines_of(facts):
            self.say(line)
        figures = bulk_words.figures_of(facts) | {"dry_run": options["dry_run"], "bulk": None, "queued": 0}
        if not facts.posts:
            self.finish(_("Nothing was done."), figures)
        elif options["dry_run"]:
            self.finish(_("Nothing was done: this was a dry run."), figures)
        else:
            if facts.posts > ASK_ABOVE and not options["yes"]:
                self._ask(facts.posts)
            self._queue(selected, in_words(options) or "--all")
            self._finish_start(figures, options)

    def _ask(self, posts: int) -> None:
        if self.as_json or not sys.stdin.isatty():
            text = _("These are more than %(most)s posts. Add --yes if they are to be sent.")
            raise refused(text % {"most": number(ASK_ABOVE)})
        self.stdout.write(_("Send %(n)s posts? [yes/no] ") % {"n": number(posts)}, ending="")
        self.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise refused(_("Nothing was sent."))

    def _queue(self, selected: selecting.Selected, asked_for: str) -> None:
        progress = self.progress(_queued_line)
        try:
            self.started = bulk.start(
                selected.of(Delivery.objects.all()),
                asked_for=asked_for,
                asked_at=self.asked_at,
                selection={"options": selected.to_json()},
                on_batch=lambda one: progress.show(one.queued, one.total),
            )
        except BulkReprocess.Nothing:
            self.started = None

    def _finish_start(self, figures: dict[str, Any], options: dict[str, Any]) -> None:
        if self.started is None or not self.started.queued:
            self.finish(_("Somebody else was quicker: none of them was left to send."), figures)
            return
        queued = self.started.queued
        figures |= {"bulk": self.started.pk, "queued": queued}
        text = ngettext(
            "%(n)s post is queued, as bulk reprocess %(id)s.",
            "%(n)s posts are queued, as bulk reprocess %(id)s.",
            queued,
        ) % {"n": number(queued), "id": self.started.pk}
        self._end(text, figures, options)

    # --- one that was started

    def _pause(self, found: BulkReprocess, options: dict[str, Any]) -> None:
        bulk.pause(found)
        if found.state == bulk.BulkState.STOPPED:
            raise refused(_("Bulk reprocess %(id)s was stopped already.") % {"id": found.pk})
        self._tell(found, _("Paused: %(progress)s. Go on with manage.py reprocess --resume %(id)s."))

    def _stop(self, found: BulkReprocess, options: dict[str, Any]) -> None:
        bulk.stop(found)
        self._tell(found, _("Stopped: %(progress)s. What was not sent is as it was before."))

    def _resume(self, found: BulkReprocess, options: dict[str, Any]) -> None:
        self.started = found
        progress = self.progress(_queued_line)
        try:
            bulk.go_on(found, on_batch=lambda one: progress.show(one.queued, one.total))
        except BulkReprocess.NotPossible as why:
            raise refused(str(why)) from why
        text = _("Bulk reprocess %(id)s goes on.") % {"id": found.pk}
        self._end(text, bulk_words.facts_of(found), options)

    def _tell(self, found: BulkReprocess, text: str) -> None:
        progress = bulk.progress_of([found])[found.pk]
        self.finish(
            text % {"progress": bulk_words.progress_line(progress), "id": found.pk},
            bulk_words.facts_of(found),
        )

    def _list(self) -> None:
        found = list(BulkReprocess.objects.under_way().newest_first())
        progress = bulk.progress_of(found)
        for one in found:
            stage = bulk.stage_of(one, progress[one.pk])
            self.say(
                f"{one.pk}  {stage.label}  {bulk_words.progress_line(progress[one.pk])}  {one.asked_for}"
            )
        text = "" if found else _("No bulk reprocess is under way.")
        self.finish(text, {"bulks": [bulk_words.facts_of(one) for one in found]})

    # --- to the end

    def _end(self, text: str, figures: dict[str, Any], options: dict[str, Any]) -> None:
        if not options["wait"]:
            self.finish(text, figures)
            return
        self._clear_progress()
        self.say(text)
        progress = self._wait(self.started)
        done = progress.delivered == progress.total
        figures |= {"progress": asdict(progress)}
        self.finish(bulk_words.progress_line(progress) + ".", figures, DONE if done else PARTLY)

    def _wait(self, started: BulkReprocess) -> bulk.Progress:
        """Until nothing is left to send, or somebody has paused or stopped it."""
        shown, sent, moved_at = self.progress(_sent_line), -1, time.monotonic()
        while True:
            started.refresh_from_db()
            progress = bulk.progress_of([started])[started.pk]
            shown.show(progress.sent, progress.total)
            if bulk.stage_of(started, progress) != bulk.Stage.RUNNING:
                return progress
            if progress.sent != sent:
                sent, moved_at = progress.sent, time.monotonic()
            elif time.monotonic() - moved_at > STANDS_STILL:
                moved_at = float("inf")
                shown.clear()
                self.stderr.write(_("Nothing is being sent: does a worker run? manage.py health says more."))
            time.sleep(LOOK_EVERY)

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        found = self.started
        if found is None and self.asked_at:
            found = BulkReprocess.objects.filter(by=None, asked_at=self.asked_at).first()
        if found is None:
            return _("Stopped. Nothing was queued."), {"bulk": None, "queued": 0}
        found.refresh_from_db()
        facts = {"n": number(found.queued), "total": number(found.total), "id": found.pk}
        if found.queued_to is None:
            text = _(
                "Stopped waiting; the posts go on being sent. manage.py reprocess --resume %(id)s --wait waits again, "
                "--stop %(id)s takes back what is not sent yet."
            )
        else:
            text = _(
                "Stopped. Of %(total)s posts %(n)s are queued and will be sent. manage.py reprocess --resume %(id)s "
                "queues the rest, --stop %(id)s takes back what is not sent yet."
            )
        return text % facts, bulk_words.facts_of(found)


def _queued_line(done: int, total: int) -> str:
    return _("%(done)d of %(total)d queued") % {"done": done, "total": total}


def _sent_line(done: int, total: int) -> str:
    return _("%(done)d of %(total)d sent") % {"done": done, "total": total}
