import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import ngettext

from deliveries import engine


class Command(BaseCommand):
    help = (
        "Send all posts that are due, and end. For when no cluster runs, and beside one that has much to do."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name,
            subcommand,
            formatter_class=RawDescriptionHelpFormatter,
            epilog="Examples:\n  manage.py deliver\n  manage.py deliver --seconds 60",
            **kwargs,
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seconds",
            type=float,
            default=float("inf"),
            metavar="N",
            help="start nothing new after so many seconds (without it: until nothing is due)",
        )

    def handle(self, *, seconds: float, **options: Any) -> None:
        began = time.monotonic()
        made = engine.drain(budget=seconds)
        took = time.monotonic() - began
        self.stdout.write(
            ngettext("%(made)s attempt in %(took).1f s.", "%(made)s attempts in %(took).1f s.", made)
            % {"made": made, "took": took}
        )
