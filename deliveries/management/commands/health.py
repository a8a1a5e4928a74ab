from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries.bounds import Bounds, Finding, judge
from deliveries.vitals import vitals
from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand, a_count, a_span

EXAMPLES = """\
  manage.py health
  manage.py health --max-age 300 --min-workers 4
  manage.py health --min-workers 0               posts are sent by `deliver` from cron
  manage.py health --json | jq '.findings[] | select(.ok | not)'

Exit code: 0 all is within its bounds, 1 something is not, 2 the database or the queue cannot be reached.
"""
NO_BOUND = "without it, any number is good"
WIDTH = 17  # of the column before the sentences


class Command(OperatorCommand):
    help = (
        "Says whether posts go out: what is due and since when, how long first tries take, the queue, the workers, "
        "the configurations that fail; and whether each is within its bounds. For a monitor, or for a look."
    )
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        usual = Bounds()
        for name, default, text in (
            ("--max-age", usual.max_age, "a post may be due, or left behind, for so long"),
            ("--max-lag", usual.max_lag, "95 of 100 first tries may take so long from their event"),
            ("--max-sweep-age", usual.max_sweep_age, "the last sweep of the queue may be so long ago"),
        ):
            parser.add_argument(
                name,
                type=a_span,
                default=default,
                metavar="SECONDS",
                help=f"{text} ({default.total_seconds():.0f})",
            )
        for name, number, text in (
            ("--max-queue", usual.max_queue, "so many jobs may wait in the queue"),
            (
                "--min-workers",
                usual.min_workers,
                "so many workers must be alive; with 0 neither queue nor sweep has a bound",
            ),
            ("--max-failing", usual.max_failing, "so many configurations may fail"),
            ("--max-disabled", usual.max_disabled, "so many configurations may be disabled by us"),
        ):
            parser.add_argument(
                name,
                type=a_count,
                default=number,
                metavar="N",
                help=f"{text} ({NO_BOUND if number is None else number})",
            )

    def handle(self, *args: Any, **options: Any) -> None:
        bounds = Bounds(**{name: options[name] for name in Bounds.__dataclass_fields__})
        seen = vitals()
        if seen.cluster.queue is None:
            raise CommandError(
                ngettext(
                    "The queue cannot be reached. The database can: %(n)d post is due.",
                    "The queue cannot be reached. The database can: %(n)d posts are due.",
                    seen.posts.due,
                )
                % {"n": seen.posts.due},
                returncode=REFUSED,
            )
        findings = judge(seen, bounds)
        bad = [finding for finding in findings if not finding.ok]
        for finding in findings:
            self.say(_line(finding))
        self.finish(
            _verdict(len(bad)),
            {"ok": not bad, "findings": [asdict(finding) for finding in findings], "vitals": asdict(seen)},
            PARTLY if bad else DONE,
        )


def _line(finding: Finding) -> str:
    mark = _("ok") if finding.ok else _("OUT OF BOUNDS")
    says = finding.says
    if not finding.ok:
        says = _("%(says)s The bound is %(bound)s.") % {"says": says, "bound": finding.bound_in_words}
    return f"{mark:<{WIDTH}}{says}"


def _verdict(bad: int) -> str:
    if not bad:
        return _("All is within its bounds.")
    return ngettext("%(n)d figure is out of bounds.", "%(n)d figures are out of bounds.", bad) % {"n": bad}
