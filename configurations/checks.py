"""A missing or wrong key is said at the start, in one sentence, and not by the first post."""

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from . import encryption


@register(Tags.database)
def check_keys(databases: list[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Whether the oldest and the newest value of each encrypted column can be read. For `check --database default`
    and `migrate`; what lies between them is for `rotate_keys` to count."""
    return list(_unreadable()) if databases and "default" in databases else []


def _unreadable() -> Iterator[CheckMessage]:
    for field in encryption.fields():
        if not _is_migrated(field):
            continue
        rows = encryption.stored(field)
        for pk, value in {*rows[:1], *rows.reverse()[:1]}:
            if not encryption.is_readable(value):
                yield Error(
                    f"FIELD_ENCRYPTION_KEY does not decrypt {field.model.__name__}.{field.name} of row {pk}: the key "
                    "that it was written with is missing.",
                    hint="Put that key behind the newest one, with a comma between.",
                    id="configurations.E001",
                )


def _is_migrated(field: encryption.EncryptedTextField) -> bool:
    introspection, table = connections["default"].introspection, field.model._meta.db_table
    with connections["default"].cursor() as cursor:
        if table not in introspection.table_names(cursor):
            return False
        columns = introspection.get_table_description(cursor, table)
    return field.column in {column.name for column in columns}
