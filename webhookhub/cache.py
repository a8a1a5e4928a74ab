"""The cache in files, for a copy on one machine without Redis."""

from pathlib import Path
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.filebased import FileBasedCache
from django.core.files import locks


class FileCache(FileBasedCache):
    """Django's own looks whether a key is there, and then writes it: of several processes, all might win.

    The lockout after wrong passwords, and that a code is good once, rest on `add()`: here one wins.
    """

    def add(self, key: str, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        self._createdir()
        with (Path(self._dir) / "add.lock").open("w") as file:
            locks.lock(file, locks.LOCK_EX)
            return super().add(key, value, timeout, version)
