"""The answer to a post, read by http.client: urllib3's own class for it takes as long again, and a tenth of all that a
post costs, for decoding, retries and redirects that are not wanted here.
"""

import http.client
import re
from io import BytesIO
from types import FunctionType
from typing import Any, BinaryIO

# Of a head, with the empty line at its end: http.client's own limits.
_MOST_LINES, _LONGEST_LINE = 100, 65536
_PLAIN_LINES = re.compile(r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)\r?\n", re.MULTILINE)
_FOLD = re.compile(r"\r?\n[ \t]+")


def _head(fp: BinaryIO) -> http.client.HTTPMessage:
    """As http.client.parse_headers, which has the parser of e-mails take it apart: that takes five times as long.

    Only a head that leaves no room for doubt is read here, name and value in each line; any other goes that way.
    """
    lines: list[bytes] = []
    while len(lines) <= _MOST_LINES and (line := fp.readline(_LONGEST_LINE + 1)):
        lines.append(line)
        if line in (b"\r\n", b"\n"):
            break
    head = b"".join(lines)
    found = _PLAIN_LINES.findall(head.decode("latin-1"))
    if len(found) != len(lines) - 1 or len(lines) > _MOST_LINES or lines[-1] not in (b"\r\n", b"\n"):
        return http.client.parse_headers(BytesIO(head))
    message = http.client.HTTPMessage()
    for name, value in found:
        message.set_raw(name, value)
    return message


class Answer(http.client.HTTPResponse):
    """What `Pool.ask` returns: `status` is there, the body is still to be read."""

    pool: Any  # where `connection` goes back to
    connection: Any

    # As it is, but for what it calls by that name.
    _begin = FunctionType(
        http.client.HTTPResponse.begin.__code__, vars(http.client) | {"parse_headers": _head}, "begin"
    )

    def begin(self) -> None:
        self._begin()
        if len(set(self.headers.get_all("Content-Length", ()))) > 1:
            raise http.client.HTTPException("two lengths that disagree")

    def lines(self) -> list[list[str]]:
        """[[name, value], …] of its head, in their order."""
        return [
            [name, _FOLD.sub(" ", value) if "\n" in value else value] for name, value in self.headers.items()
        ]

    def has_odd_end(self) -> bool:
        """More may come than it has by its own rules, and would be taken for the next post's answer.

        After 1xx the final one may still come; 204 and 304 have no body, and yet some servers send one; and of a length
        that is no number only its sender knows what it means.
        """
        if self.status in (204, 304):
            return self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers
        return self.status < 200 or (
            self.length is None and not self.chunked and "Content-Length" in self.headers
        )

    def piece(self, most: int) -> bytes:
        """Of the body what is there, at most so many bytes; nothing at its end.

        Raises IncompleteRead where it breaks off before its end, and what the connection raises.
        """
        if self.fp is None:
            return b""
        if self.chunked and self.length is None:  # HEAD has none, whatever it says
            return self.read1(most)
        piece = self.fp.read1(most if self.length is None else min(most, self.length))
        if self.length is not None:
            if self.length and not piece:
                raise http.client.IncompleteRead(b"", self.length)
            self.length -= len(piece)
        if self.length == 0 or not piece:
            self._close_conn()
        return piece

    def let_go(self) -> None:
        """Its connection goes back to its pool if it was read to the end, and is closed if not."""
        pool, connection, was_read = self.pool, self.connection, self.isclosed()
        del self.pool, self.connection  # which knows its last answer: else none is freed with the pool
        self.close()
        if was_read:
            pool._put_conn(connection)
        else:
            connection.close()
