from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from deliveries import sending
from deliveries.models import HeldHost
from sales.commandkit import REFUSED, OperatorCommand
from sales.templatetags.formats import number


class Command(OperatorCommand):
    help = "Releases all sending that was held: by a person, or because this database is a copy that was restored."
    examples = """\
  manage.py release --dry-run        why it is held, and how many posts would be sent at once
  manage.py release
  manage.py release --note "The old machine is switched off."

Exit code: 0 it is released, 2 it was not held, or SEND_POSTS is False.
"""
    can_try = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--note", default="", help="for the audit log")

    def handle(self, *args: Any, note: str, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self._foretell()
            return
        try:
            posts = sending.release(note)
        except sending.NotPossible as why:
            raise CommandError(str(why), returncode=REFUSED) from why
        text = ngettext(
            "Released: %(n)s post that waited is sent now.",
            "Released: %(n)s posts that waited are sent now.",
            posts,
        )
        text = text if posts else _("Released. Nothing waited.")
        self.finish(text % {"n": number(posts)}, {"held": False, "due": posts})

    def _foretell(self) -> None:
        held, posts = HeldHost.everything(), sending.waiting()
        if held is None:
            self.finish(_("Sending is not held."), {"dry_run": True, "held": False, "due": posts})
            return
        text = ngettext(
            "All sending is held: %(why)s %(n)s post would be sent at once.",
            "All sending is held: %(why)s %(n)s posts would be sent at once.",
            posts,
        )
        facts = {"dry_run": True, "held": True, "since": held.since, "reason": held.reason, "due": posts}
        self.finish(text % {"why": held.why, "n": number(posts)}, facts)
