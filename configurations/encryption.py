"""A text column that is encrypted at rest, with rotating keys.

The keys are FIELD_ENCRYPTION_KEY, newest first: the first encrypts, all of them decrypt. A value costs about
50 µs to read, so read it once for a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.db.models.functions import Cast

BATCH = 500  # rows
_FERNET = "gAAAA"  # how its tokens begin: the version and a time of this century


@cache
def _fernets(keys: tuple[str, ...]) -> list[Fernet]:
    try:
        return [Fernet(key) for key in keys]
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEY holds a value that is no key: each must be 32 bytes, url-safe base64."
        ) from error


@cache
def _all_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet(_fernets(keys))


def _keys() -> tuple[str, ...]:
    return tuple(settings.FIELD_ENCRYPTION_KEYS)


class EncryptedTextField(models.TextField):
    """Reads and writes plain text; the database, and what `dumpdata` writes, hold Fernet tokens.

    It cannot be searched.
    """

    def get_prep_value(self, value: str | None) -> str | None:
        if value is None:
            return None
        return _all_of(_keys()).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if value is None:
            return None
        try:
            return _all_of(_keys()).decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured(
                f"{self.model.__name__}.{self.name} cannot be decrypted: FIELD_ENCRYPTION_KEY lacks the key that "
                "it was written with. Add the older key behind a comma."
            ) from error

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))

    def to_python(self, value: Any) -> Any:
        """Of what value_to_string() gave, `loaddata` gets the plain text again."""
        if isinstance(value, str) and value.startswith(_FERNET) and is_readable(value):
            return self.from_db_value(value)
        return super().to_python(value)


def check_keys() -> None:
    """Raises ImproperlyConfigured where FIELD_ENCRYPTION_KEY holds a value that is no key."""
    _fernets(_keys())


def fields() -> Iterator[EncryptedTextField]:
    """Every encrypted column of the project."""
    for model in apps.get_models():
        yield from (field for field in model._meta.local_fields if isinstance(field, EncryptedTextField))


def stored(field: EncryptedTextField) -> models.QuerySet[Any]:
    """(pk, the stored text) of each row that has a value, in the order of the keys; nothing is decrypted."""
    rows = field.model._base_manager.annotate(stored=Cast(field.name, models.TextField()))
    return rows.filter(stored__isnull=False).order_by("pk").values_list("pk", "stored")


def is_readable(value: str) -> bool:
    """Whether one of the keys decrypts this stored text."""
    return _opens(_all_of(_keys()), value)


@dataclass(slots=True)
class Rotated:
    """What became of the values of one column; `unreadable` holds the keys of its rows."""

    renewed: int = 0
    fresh: int = 0  # under the newest key already
    unreadable: list[Any] | None = None

    @property
    def seen(self) -> int:
        return self.renewed + self.fresh + len(self.unreadable or ())


def reencrypt(field: EncryptedTextField, *, dry_run: bool = False) -> Iterator[Rotated]:
    """Put every value of a column under the newest key; yields how far it is after each batch, and at the end.

    A value that somebody else replaces meanwhile stays theirs: it is under the newest key already.
    """
    newest, every = _fernets(_keys())[0], _all_of(_keys())
    done, after = Rotated(unreadable=[]), None
    while True:
        rows = stored(field)
        batch = list((rows.filter(pk__gt=after) if after is not None else rows)[:BATCH])
        for pk, old in batch:
            if _opens(newest, old):
                done.fresh += 1
            elif not _opens(every, old):
                done.unreadable.append(pk)
            else:
                if not dry_run:
                    _replace(field, pk, old, every.rotate(old.encode()).decode())
                done.renewed += 1
        yield done
        if len(batch) < BATCH:
            return
        after = batch[-1][0]


def _replace(field: EncryptedTextField, pk: Any, old: str, new: str) -> None:
    text = models.TextField()
    rows = field.model._base_manager.annotate(stored=Cast(field.name, text)).filter(pk=pk, stored=old)
    rows.update(**{field.name: models.Value(new, output_field=text)})  # as it is: not encrypted once more


def _opens(keys: Fernet | MultiFernet, value: str) -> bool:
    try:
        keys.decrypt(value.encode())
    except InvalidToken:
        return False
    return True
