import math
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import engine, sending
from deliveries.models import Delivery, HeldHost, State
from deliveries.results import Result
from deliveries.vitals import due_by_host, posts
from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand, a_span
from sales.templatetags.formats import number, span

EXAMPLES = """\
  manage.py deliver --dry-run
  manage.py deliver
  manage.py deliver --seconds 50                 from cron, every minute
  manage.py deliver --json | jq .outcomes

Beside a running worker it takes its share: no post is sent twice. Without one it also tries again what has come due,
so cron can take a worker's place where a minute's delay does no harm.

Exit code: 0 nothing that is due is left, 1 something is, 2 the database cannot be used, or all
sending is held, 130 stopped by Ctrl-C: what was under way has ended and is recorded.
"""
MOST_HOSTS = 20  # in the list for people

# What became of a post, by the state that its delivery is in now.
OUTCOMES = {
    State.DELIVERED: "delivered",
    State.WAITING: "again",
    State.FAILED: "failed",
    State.HELD: "held",
    State.DISCARDED: "discarded",
}


class Command(OperatorCommand):
    help = (
        "Sends all posts that are due, and ends. For when no worker runs, from cron or to debug, and beside one that "
        "has much to do."
    )
    examples = EXAMPLES
    can_try = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outcomes = Counter[str]()

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--seconds",
            type=a_span,
            metavar="N",
            help="start nothing new after so many seconds (without it: until nothing is due)",
        )

    def handle(self, *args: Any, dry_run: bool, seconds: timedelta | None, **options: Any) -> None:
        if dry_run:
            self._foretell()
            return
        sending.look()
        if held := HeldHost.everything():
            raise CommandError(_held(held), returncode=REFUSED)
        progress, due = self.progress(), Delivery.objects.sendable().count()

        def told(results: Sequence[Result]) -> None:
            self.outcomes.update(_outcome(result) for result in results)
            made = self.outcomes.total()
            progress.show(made, max(made, due))

        engine.drain(seconds.total_seconds() if seconds else math.inf, told=told)
        facts = self._facts()
        self.finish(_summary(facts), facts, PARTLY if facts["left"] else DONE)

    def when_stopped(self) -> tuple[str, dict[str, Any]]:
        facts = self._facts()
        return _("Stopped. %(text)s") % {"text": _summary(facts)}, facts

    def _facts(self) -> dict[str, Any]:
        outcomes = {name: self.outcomes[name] for name in (*OUTCOMES.values(), "late")}
        return {
            "attempts": self.outcomes.total(),
            "outcomes": outcomes,
            "left": Delivery.objects.sendable().count(),
            "seconds": round(time.monotonic() - self.began, 1),
        }

    def _foretell(self) -> None:
        hosts, seen = due_by_host(), posts()
        age = timezone.now() - seen.due_since if seen.due_since else None
        if held := HeldHost.everything():
            self.say(_held(held))
        self.say(_due(seen.due, age))
        for host, count in list(hosts.items())[:MOST_HOSTS]:
            self.say(f"{number(count):>9}  {host or _('no host')}")
        self.finish(
            _more_hosts(len(hosts) - MOST_HOSTS),
            {
                "dry_run": True,
                "due": seen.due,
                "oldest_due_seconds": age and round(age.total_seconds(), 1),
                "hosts": hosts,
            },
        )


def _outcome(result: Result) -> str:
    return "late" if result.late else OUTCOMES[State(result.delivery.state)]


def _summary(facts: dict[str, Any]) -> str:
    made, counts = facts["attempts"], facts["outcomes"]
    attempts = ngettext("%(n)s attempt in %(took)s s", "%(n)s attempts in %(took)s s", made) % {
        "n": number(made),
        "took": facts["seconds"],
    }
    parts = [
        _("delivered %(n)s") % {"n": number(counts["delivered"])},
        _("will be tried again %(n)s") % {"n": number(counts["again"])},
        _("failed %(n)s") % {"n": number(counts["failed"])},
    ]
    for name, text in (
        ("held", _("held %(n)s")),
        ("discarded", _("discarded %(n)s")),
        ("late", _("late %(n)s")),
    ):
        if counts[name]:
            parts.append(text % {"n": number(counts[name])})
    text = _("%(attempts)s: %(counts)s.") % {"attempts": attempts, "counts": ", ".join(parts)}
    if not facts["left"]:
        return text
    left = ngettext("%(n)s post that is due is left.", "%(n)s posts that are due are left.", facts["left"])
    return _("%(text)s %(left)s") % {"text": text, "left": left % {"n": number(facts["left"])}}


def _held(held: HeldHost) -> str:
    return _("All sending is held, so nothing is posted: %(why)s `manage.py release` goes on.") % {
        "why": held.why
    }


def _due(count: int, age: timedelta | None) -> str:
    if not count:
        return _("No post is due.")
    if age is None:
        return ngettext("%(n)s post is due:", "%(n)s posts are due:", count) % {"n": number(count)}
    return ngettext(
        "%(n)s post is due, for %(span)s:", "%(n)s posts are due, the oldest for %(span)s:", count
    ) % {"n": number(count), "span": span(age)}


def _more_hosts(count: int) -> str:
    if count <= 0:
        return ""
    return ngettext("and %(n)s more host", "and %(n)s more hosts", count) % {"n": number(count)}
