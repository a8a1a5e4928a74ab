"""What is encrypted at rest, with rotating keys.

The keys are FIELD_ENCRYPTION_KEY, newest first: the first encrypts, all of them decrypt. A value costs about
50 µs to read, so a process remembers the last REMEMBERED: a worker needs the same ones for each batch.

A text column is an EncryptedTextField. Another app's JSON column, some texts of which went through `encrypt`, is told
of once by `also_in("app.Model", "column")`: `fields` has it from then on, and with it the check at the start and
`rotate_keys`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, models
from django.db.models.functions import Cast

BATCH = 500  # rows
REMEMBERED = 4000  # values, of some 300 bytes each
_FERNET = "gAAAA"  # how its tokens begin: the version and a time of this century
_TOKEN = re.compile(rf"{_FERNET}[\w-]+={{0,2}}", re.ASCII)
_also_in: set[tuple[str, str]] = set()


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


def encrypt(text: str) -> str:
    """A token of letters, digits, "-", "_" and "=", under the newest key."""
    return _all_of(_keys()).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Raises InvalidToken where no key reads it."""
    return _decrypted(_keys(), token)


@lru_cache(maxsize=REMEMBERED)
def _decrypted(keys: tuple[str, ...], token: str) -> str:
    return _all_of(keys).decrypt(token.encode()).decode()


class EncryptedTextField(models.TextField):
    """Reads and writes plain text; the database, and what `dumpdata` writes, hold Fernet tokens.

    It cannot be searched.
    """

    def get_prep_value(self, value: str | None) -> str | None:
        if value is None:
            return None
        return encrypt(str(value))

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if value is None:
            return None
        try:
            return decrypt(value)
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


def also_in(model: str, column: str) -> None:
    """Say that texts in this JSON column ("app.Model") went through `encrypt`; where the app is not installed, nothing
    comes of it."""
    _also_in.add((model, column))


def fields() -> Iterator[models.Field]:
    """Every column of the project that holds something encrypted."""
    for model in apps.get_models():
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField) or (model._meta.label, field.name) in _also_in:
                yield field


def stored(field: models.Field) -> models.QuerySet[Any]:
    """(pk, the stored text) of each row that has a value, in the order of the keys; nothing is decrypted."""
    rows = field.model._base_manager.annotate(stored=Cast(field.name, models.TextField()))
    return rows.filter(stored__isnull=False).order_by("pk").values_list("pk", "stored")


def is_readable(value: str) -> bool:
    """Whether one of the keys decrypts this stored text."""
    return _opens(_all_of(_keys()), value)


def unreadable() -> Iterator[tuple[models.Field, Any]]:
    """(column, pk) where the oldest or the newest value of a column cannot be read with any key; a look of
    milliseconds. What lies between them is for `rotate_keys` to count. Raises DatabaseError.

    A table or column that no migration has made yet holds nothing.
    """
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
    for field in fields():
        if not _is_migrated(field, tables):
            continue
        rows = stored(field)
        for pk, value in sorted({*rows[:1], *rows.reverse()[:1]}):
            if not all(map(is_readable, _tokens(field, value))):
                yield field, pk


def _is_migrated(field: models.Field, tables: set[str]) -> bool:
    table = field.model._meta.db_table
    if table not in tables:
        return False
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, table)
    return field.column in {column.name for column in columns}


def _tokens(field: models.Field, value: str) -> list[str]:
    """Of a text column its value, whatever it is; of JSON what looks like a token."""
    return [value] if isinstance(field, EncryptedTextField) else _TOKEN.findall(value)


@dataclass(slots=True)
class Rotated:
    """What became of the values of one column; `unreadable` holds the keys of its rows."""

    renewed: int = 0
    fresh: int = 0  # under the newest key already
    unreadable: list[Any] | None = None

    @property
    def seen(self) -> int:
        return self.renewed + self.fresh + len(self.unreadable or ())


def reencrypt(field: models.Field, *, dry_run: bool = False) -> Iterator[Rotated]:
    """Put every value of a column under the newest key; yields how far it is after each batch, and at the end.

    A value that somebody else replaces meanwhile stays theirs: it is under the newest key already.
    """
    newest, every = _fernets(_keys())[0], _all_of(_keys())
    done, after = Rotated(unreadable=[]), None
    while True:
        rows = stored(field)
        batch = list((rows.filter(pk__gt=after) if after is not None else rows)[:BATCH])
        for pk, old in batch:
            tokens = _tokens(field, old)
            stale = [token for token in tokens if not _opens(newest, token)]
            if not all(_opens(every, token) for token in stale):
                done.unreadable.append(pk)
            elif not stale:
                done.fresh += bool(tokens)  # of JSON there may be rows without any
            else:
                if not dry_run:
                    new = old
                    for token in stale:
                        new = new.replace(token, every.rotate(token.encode()).decode())
                    _replace(field, pk, old, new)
                done.renewed += 1
        yield done
        if len(batch) < BATCH:
            return
        after = batch[-1][0]


def _replace(field: models.Field, pk: Any, old: str, new: str) -> None:
    text = models.TextField()
    rows = field.model._base_manager.annotate(stored=Cast(field.name, text)).filter(pk=pk, stored=old)
    value = models.Value(new, output_field=text)  # as it is: not encrypted once more
    is_text = isinstance(field, EncryptedTextField)
    rows.update(**{field.name: value if is_text else Cast(value, models.JSONField())})


def _opens(keys: Fernet | MultiFernet, value: str) -> bool:
    try:
        keys.decrypt(value.encode())
    except InvalidToken:
        return False
    return True
