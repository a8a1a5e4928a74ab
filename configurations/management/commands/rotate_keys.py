from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from configurations import encryption
from sales.commandkit import OperatorCommand

EXAMPLES = """\
  manage.py rotate_keys --dry-run
  manage.py rotate_keys

docs/keys.md has the steps before and after it.

Exit code: 0 everything has the newest key, 1 some values cannot be read with any key, 130 stopped by Ctrl-C: the
same command goes on with the rest.
"""


class Command(OperatorCommand):
    help = (
        "Encrypts every stored secret and token with the newest key, the first of FIELD_ENCRYPTION_KEY. After that "
        "the older keys can be taken out. Safe to run again, and while posts are sent."
    )
    examples = EXAMPLES
    can_try = True

    def handle(self, *args: Any, **options: Any) -> None:
        columns, unreadable = {}, []
        for field in encryption.fields():
            done = self._column(field, dry_run=options["dry_run"])
            columns[_name(field)] = {"fresh": done.fresh, "renewed": done.renewed}
            unreadable += [f"{_name(field)} {pk}" for pk in done.unreadable]
        if unreadable:
            raise CommandError(_unreadable(unreadable))
        self.finish("", {"columns": columns, "dry_run": options["dry_run"]})

    def _column(self, field: encryption.EncryptedTextField, *, dry_run: bool) -> encryption.Rotated:
        rows = encryption.stored(field).count()
        progress = self.progress()
        for done in encryption.reencrypt(field, dry_run=dry_run):
            progress.show(done.seen, rows)
        progress.clear()
        text = _("%(column)s: %(fresh)d have the newest key, %(renewed)d got it.")
        if dry_run:
            text = _("%(column)s: %(fresh)d have the newest key, %(renewed)d would get it.")
        self.say(text % {"column": _name(field), "fresh": done.fresh, "renewed": done.renewed})
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
