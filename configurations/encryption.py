"""A text column that is encrypted at rest, with rotating keys.

The keys are FIELD_ENCRYPTION_KEY, newest first: the first encrypts, all of them decrypt. A value costs about
50 µs to read, so read it once for a batch.
"""

from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEY holds a value that is no key: each must be 32 bytes, url-safe base64."
        ) from error


class EncryptedTextField(models.TextField):
    """Reads and writes plain text; the database holds Fernet tokens. It cannot be searched."""

    def get_prep_value(self, value: str | None) -> str | None:
        if value is None:
            return None
        return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        if value is None:
            return None
        try:
            return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS)).decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise ImproperlyConfigured(
                f"{self.model.__name__}.{self.name} cannot be decrypted: FIELD_ENCRYPTION_KEY lacks the key that "
                "it was written with. Add the older key behind a comma."
            ) from error
