from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from configurations import encryption


class Command(BaseCommand):
    help = (
        "Encrypts every stored secret and token with the newest key, the first of FIELD_ENCRYPTION_KEY. After that "
        "the older keys can be taken out. Safe to run again, and while posts are sent."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count, write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = []
        for field in encryption.fields():
            done = self._column(field, dry_run=options["dry_run"], verbosity=options["verbosity"])
            unreadable += [f"{_name(field)} {pk}" for pk in done.unreadable]
        if unreadable:
            raise CommandError(_unreadable(unreadable))

    def _column(
        self, field: encryption.EncryptedTextField, *, dry_run: bool, verbosity: int
    ) -> encryption.Rotated:
        rows = encryption.stored(field).count()
        on_terminal = verbosity and self.stderr.isatty()
        for done in encryption.reencrypt(field, dry_run=dry_run):
            if on_terminal:
                self.stderr.write(f"\r{_name(field)} {done.seen:,} / {rows:,}", ending="")
        if on_terminal:
            self.stderr.write("\r\x1b[K", ending="")
        if verbosity:
            text = _("%(column)s: %(fresh)d have the newest key, %(renewed)d got it.")
            if dry_run:
                text = _("%(column)s: %(fresh)d have the newest key, %(renewed)d would get it.")
            self.stdout.write(text % {"column": _name(field), "fresh": done.fresh, "renewed": done.renewed})
        return done


def _name(field: encryption.EncryptedTextField) -> str:
    return f"{field.model.__name__}.{field.name}"


def _unreadable(names: list[str]) -> str:
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return ngettext(
        "%(n)d value cannot be read with any key of FIELD_ENCRYPTION_KEY: %(names)s. Add the key that it was "
        "written with, behind a comma, and run this again before any key is taken out.",
        "%(n)d values cannot be read with any key of FIELD_ENCRYPTION_KEY: %(names)s. Add the key that they were "
        "written with, behind a comma, and run this again before any key is taken out.",
        len(names),
    ) % {"n": len(names), "names": shown}
