"""How much of an upload is taken at all."""

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


def most() -> int:
    """Bytes. Above the limit of an import, so that a file somewhat too large is told so on its own page."""
    return 2 * settings.IMPORT_MOST_BYTES


class NoMoreThanThat(FileUploadHandler):
    """Refuses a request before a byte of its files is read into memory or onto the disk, whoever sends it.

    Each POST is parsed before it is known who sent it: that is where the CSRF token stands.
    """

    def handle_raw_input(
        self, input_data: Any, META: dict[str, Any], content_length: int, *args: Any, **kwargs: Any
    ) -> None:
        if content_length > most():
            raise RequestDataTooBig("The files of the request are larger than any import takes.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
