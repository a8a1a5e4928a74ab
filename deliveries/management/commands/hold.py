from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from deliveries import sending
from sales.commandkit import REFUSED, OperatorCommand


class Command(OperatorCommand):
    help = "Holds all sending: nothing is posted to anybody, what arises waits, and no try is spent. Sellers read the reason."
    examples = """\
  manage.py hold "We move to another machine until noon."
  manage.py release

What is on its way at this moment ends as it began. docs/backup.md says what holds by itself.

Exit code: 0 it is held, 2 it was held already.
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("reason", help="a sentence for the sellers, who read it")

    def handle(self, *args: Any, reason: str, **options: Any) -> None:
        reason = " ".join(reason.split())[:300]
        if not reason:
            raise CommandError(_("Write why: the sellers read it."), returncode=REFUSED)
        try:
            held = sending.hold(reason)
        except sending.NotPossible as why:
            raise CommandError(str(why), returncode=REFUSED) from why
        text = _("All sending is held: nothing is posted until it is released.")
        self.finish(text, {"held": True, "since": held.since, "reason": reason})
