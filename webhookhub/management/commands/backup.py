from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from sales.commandkit import REFUSED, OperatorCommand
from webhookhub import backup


class Command(OperatorCommand):
    help = (
        "Copies the whole database to a file while everything runs: of SQLite a database, looked through for damage; of "
        "PostgreSQL what pg_dump makes for pg_restore."
    )
    examples = """\
  manage.py backup /var/backups/webhookhub-$(date +%F).backup
  manage.py backup nightly.backup --json

The file is there once it is whole; one of that name that was there before is replaced. Nobody but its owner may read
it: buyers' data stand in it as they are. The secrets in it need FIELD_ENCRYPTION_KEY, which is not in it: keep both,
apart. docs/backup.md says how it is restored. Nothing is sent from a restored copy before `manage.py release`.

Exit code: 0 the file is there, 2 it is not.
"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path, help="where to; its folder has to be there")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            made = backup.make(file)
        except backup.NotMade as why:
            raise CommandError(str(why), returncode=REFUSED) from why
        text = _("The database is in %(file)s, %(size)s, which nobody but you may read.")
        facts = {"file": str(file), "kind": made.kind, "bytes": made.bytes}
        self.finish(text % {"file": file, "size": filesizeformat(made.bytes)}, facts)
