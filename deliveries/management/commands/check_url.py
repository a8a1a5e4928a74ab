from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deliveries.url_check import Check, Kind, Step, check
from sales.commandkit import DONE, PARTLY, REFUSED, OperatorCommand
from sales.templatetags.formats import milliseconds

EXAMPLES = """\
  manage.py check_url https://www.example.com/webhook
  manage.py check_url http://10.0.0.1/ --no-connect
  manage.py check_url https://www.example.com/webhook --json | jq '.steps[] | select(.kind == "failed")'

With --json, `allowed` says whether we may post there and `reason` is the class of the refusal ("private", "port",
"spelling", …), empty where there is none.

Exit code: 0 all is well, 1 a step failed, 2 it is an address that we do not post to.
"""
KINDS = {
    Kind.OK: gettext_lazy("ok"),
    Kind.LOOK: gettext_lazy("look"),
    Kind.FAILED: gettext_lazy("FAILED"),
    Kind.NOT_DONE: gettext_lazy("not done"),
}
NAMES = {
    "permitted": gettext_lazy("Address"),
    "found": gettext_lazy("Name"),
    "connected": gettext_lazy("Connection"),
    "certificate": gettext_lazy("Certificate"),
    "answer": gettext_lazy("Answer"),
}


class Command(OperatorCommand):
    help = (
        "Looks into a URL step by step: may we post there, is its name found, can it be connected to, is its "
        "certificate good, what does it answer to a HEAD. Nothing is posted. It connects as a post does, so what it "
        "says of a URL is what a post meets."
    )
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("url", metavar="URL", help="as it stands, or would stand, in a configuration")
        parser.add_argument(
            "--no-connect",
            "--dry-run",
            action="store_false",
            dest="connect",
            help="judge the address alone: no look-up, no connection",
        )

    def handle(self, *args: Any, url: str, connect: bool, **options: Any) -> None:
        found = check(url, connect=connect)
        for step in found.steps:
            self.say(_line(step))
            if step.advice:
                self.say(f"{'':<32}{step.advice}")
        code = DONE if found.ok else PARTLY if found.allowed else REFUSED
        self.finish(_verdict(found, connect=connect), asdict(found) | {"ok": found.ok}, code)


def _line(step: Step) -> str:
    took = "" if step.ms is None else milliseconds(step.ms)
    return f"{NAMES[step.name]:<12} {KINDS[step.kind]:<10}{took:>7}  {step.says}".rstrip()


def _verdict(found: Check, *, connect: bool) -> str:
    if not found.allowed:
        return _("We do not post there.")
    if not connect:
        return _("Where its name leads is judged at every connection.")
    if found.ok:
        return _("As far as can be seen without a post, one would arrive.")
    return _("A post would fail as well.")
