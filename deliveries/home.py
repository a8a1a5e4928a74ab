"""Whether the database is the one that we left, or a copy of it that was put in its place or somewhere else.

What a copy does not take along tells. On PostgreSQL: which server, which database and which table it is, which a dump
that is restored makes anew, be it in the same database. On SQLite: a file beside the database has the mark that the
row has, and both move on every minute; so an older copy of the file is found out too, and one in another folder.

A copy of a whole PostgreSQL server (a file system's snapshot, a replica that is promoted) is the same in all of this:
SEND_POSTS is for those.
"""

import logging
import os
import tempfile
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.db import ProgrammingError, connection, models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

logger = logging.getLogger(__name__)

MARK_LASTS = timedelta(minutes=1)
_PLACE = "d.oid::text || '.' || 'deliveries_home'::regclass::oid"
_SERVER = "(SELECT system_identifier::text FROM pg_control_system()) || '.' || "
_QUERY = "SELECT (SELECT mark FROM deliveries_home WHERE id = 1), {} FROM pg_database d WHERE d.datname = current_database()"


class Home(models.Model):
    """One row. Its `mark` is told from what is outside of the database."""

    mark = models.CharField(max_length=100)
    marked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = verbose_name_plural = _("home of the database")
        default_permissions = ()

    def __str__(self) -> str:
        return self.mark


def is_here() -> bool:
    """One query; on SQLite also a small file, and once a minute a write. A new database is at home where it is."""
    return _is_on_this_server() if connection.vendor == "postgresql" else _is_beside_its_file()


def settle() -> None:
    """From now on it is at home here."""
    if connection.vendor == "postgresql":
        _mark(_row_and_place()[1])
    else:
        with transaction.atomic():  # on SQLite nobody else writes meanwhile
            _move_on(None)


def _mark(mark: str) -> None:
    row = Home(pk=1, mark=mark, marked_at=timezone.now())
    Home.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["id"], update_fields=["mark", "marked_at"]
    )


# --- PostgreSQL


def _is_on_this_server() -> bool:
    mark, place = _row_and_place()
    if mark is None:
        _mark(place)
    return mark in (None, place)


def _row_and_place() -> tuple[str | None, str]:
    """A server may keep its identifier to itself; then the database and the table have to do."""
    apart = transaction.atomic if connection.in_atomic_block else nullcontext
    with connection.cursor() as cursor:
        try:
            with apart():
                cursor.execute(_QUERY.format(_SERVER + _PLACE))
        except ProgrammingError:
            cursor.execute(_QUERY.format(_PLACE))
        return cursor.fetchone()


# --- SQLite


def file() -> Path | None:
    """Beside the database; None of one in memory."""
    name = str(connection.settings_dict["NAME"])
    return None if "memory" in name and not Path(name).exists() else Path(f"{os.path.realpath(name)}.home")


def _is_beside_its_file() -> bool:
    """The row is read before the file, which is always the first to know a mark."""
    path, row = file(), Home.objects.filter(pk=1).first()
    if path is None:
        return True
    if row is not None:
        try:
            if row.mark not in path.read_text().split():
                return False
        except FileNotFoundError:
            return False
        except OSError as error:
            logger.warning("Whether the database is a copy cannot be told: %s", error)
            return True
    if row is None or row.marked_at < timezone.now() - MARK_LASTS:
        with transaction.atomic():
            present = Home.objects.filter(pk=1).first()
            if (present and present.mark) == (row and row.mark):  # else another process was quicker
                _move_on(present)
    return True


def _move_on(row: Home | None) -> None:
    """The file has the mark before and the new one: whichever of the two the database has after a crash is right."""
    path, mark = file(), uuid4().hex
    if path is None:
        return
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w") as raw:
            raw.write(f"{row.mark}\n{mark}\n" if row else f"{mark}\n")
            raw.flush()
            os.fsync(raw.fileno())
            os.fchmod(raw.fileno(), 0o644)  # the pages may run as somebody else
        os.replace(beside, path)
        _sync_folder(path.parent)  # else a power loss might take the new file and leave the new row
    except OSError as error:
        logger.warning("The file beside the database cannot be written: %s", error)
        return
    _mark(mark)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
