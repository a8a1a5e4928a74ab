"""A wrong key is said before the first post, and not by it."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register

from . import encryption


@register(Tags.database)
def check_keys(databases: list[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Whether the oldest and the newest value of each encrypted column can be read. For `check --database default`
    and `migrate`; `webhookhub.start` asks the same as the pages, the worker or one of our commands begin."""
    if not databases or "default" not in databases:
        return []
    return [
        Error(
            f"FIELD_ENCRYPTION_KEY does not decrypt {field.model.__name__}.{field.name} of row {pk}: the key "
            "that it was written with is missing.",
            hint="Put that key behind the newest one, with a comma between.",
            id="configurations.E001",
        )
        for field, pk in encryption.unreadable()
    ]
