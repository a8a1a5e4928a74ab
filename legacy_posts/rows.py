"""A record of the file becomes a post, or a reason why not. Nothing here touches the database."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.translation import gettext as _

from deliveries.contract import TOKEN_PLACEHOLDER

from . import cells
from .cells import BadCell
from .models import Format, Kind
from .reading import Record

MIB = 1024 * 1024
# The longest texts, in characters; those of payload and response in bytes.
LIMITS = {
    "id": 100,
    "transaction": 20,
    "product_code": 40,
    "product_name": 255,
    "url": 2000,
    "problem": 300,
    "payload": MIB,
    "response": MIB,
}
LONGEST = 2000  # what is no limit of a column, but no such fact either
_PLACEHOLDER = TOKEN_PLACEHOLDER.decode()
_CUT_OFF = range(0xDC80, 0xDD00)  # what surrogateescape makes of a byte that cannot be decoded


class BadRow(Exception):
    """`str()` of it is the reason: all that is wrong with the row."""


Facts = dict[str, Any]  # of one post, by the columns of its table


class Cleaner:
    """Built once for a file. `owners`: {e-mail or account code in lower case: id, or None where two have it}."""

    def __init__(
        self,
        owners: Mapping[str, int | None],
        *,
        kind: Kind | None = None,
        zone: ZoneInfo | None = None,
        dates: str = "",
    ) -> None:
        self.owners, self.kind = owners, kind
        self.moment = cells.moment(zone, dates)

    def clean(self, record: Record) -> Facts:
        """The facts of the post; its source is not among them. Raises BadRow."""
        if record.problem:
            raise BadRow(record.problem)
        if reason := _unstorable(record):
            raise BadRow(reason)
        row = _Row(record.values)
        text, read = row.text, row.read
        kind = read("kind", cells.kind) if record.values.get("kind") else self.kind
        if kind is None and not row.problems:
            row.problems.append(_("kind: Every row needs one: write sent or pending, or give --kind."))
        status, problem = read("status", cells.outcome, (None, ""))
        payload, response = row.whole("payload", kind), row.whole("response", kind)
        format_ = cells.look(payload)
        content = cells.parsed(payload, format_, wholly=kind == Kind.PENDING)
        if kind == Kind.PENDING:
            row.problems += _unsendable(payload, format_, content, text("content_type"))
        url, id_ = text("url"), text("id")
        facts = {
            "owner_id": read("owner", self._owner),
            "kind": kind,
            "occurred_at": read("occurred_at", self._moment),
            "event": read("event", cells.event),
            "transaction_code": text("transaction"),
            "product_code": text("product_code"),
            "product_name": text("product_name"),
            "buyer_email": read("buyer_email", cells.email) or cells.email_in(format_, payload, content),
            "url": url,
            "host": cells.host(url),
            "status": status,
            "problem": text("problem") or problem,
            "tries": read("tries", cells.tries),
            "payload": payload,
            "format": format_,
            "version": read("version", _version) or cells.version(format_, content),
            "response": response,
        }
        if row.problems:
            raise BadRow(" ".join(row.problems))
        facts["identity"] = f"id:{id_}" if id_ else _digest(facts)
        return facts

    def _moment(self, text: str) -> datetime:
        if not text:
            raise BadCell(_("occurred_at: Every row needs one."))
        return self.moment(text)

    def _owner(self, text: str) -> int:
        if not text:
            raise BadCell(_("owner: Every row needs one: the e-mail or the account code."))
        found = self.owners.get(text.lower(), 0)
        if found is None:
            raise BadCell(
                _("owner: Two accounts have the e-mail “%(value)s”: write the account code.")
                % {"value": text}
            )
        if not found:
            raise BadCell(
                _(
                    "owner: No account has the e-mail or code “%(value)s”: correct it, or have staff add the "
                    "seller first."
                )
                % {"value": text[:100]}
            )
        return found


class _Row:
    """Reads the cells of one row, and gathers all that is wrong with it."""

    __slots__ = ("problems", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.problems: list[str] = []

    def text(self, name: str) -> str:
        raw = self.values.get(name)
        if raw is None:
            return ""
        if type(raw) is not str:
            if isinstance(raw, bool) or not isinstance(raw, int | float):
                self.problems.append(_("%(name)s: Write a text.") % {"name": name})
                return ""
            raw = str(raw)
        raw = raw.strip()
        if len(raw) > LIMITS.get(name, LONGEST):
            self.problems.append(_too_long(name))
        return raw

    def read(self, name: str, reader: Callable[[str], Any], otherwise: Any = None) -> Any:
        try:
            return reader(self.text(name))
        except BadCell as bad:
            self.problems.append(str(bad))
            return otherwise

    def whole(self, name: str, kind: Kind | None) -> str:
        """A text as it stands there, to its last byte. JSON Lines may hold an object for it."""
        raw = self.values.get(name)
        if raw is None:
            return ""
        if not isinstance(raw, str):
            if kind == Kind.PENDING and name == "payload":
                self.problems.append(_("payload: Write it as a text, so that it is sent byte for byte."))
            raw = json.dumps(raw, ensure_ascii=False)
        most = LIMITS[name]
        if len(raw) > most // 4 and len(raw.encode(errors="surrogatepass")) > most:
            self.problems.append(_too_long(name))
        return raw


def _version(text: str) -> str:
    if text and text not in cells.VERSIONS:
        raise BadCell(_("version: “%(value)s” is none: write 1.0.0 or 2.0.0.") % {"value": text[:20]})
    return cells.VERSIONS[text] if text else ""


def _too_long(name: str) -> str:
    most = LIMITS.get(name, LONGEST)
    if most >= MIB:
        return _("%(name)s: It is longer than %(most)d MiB.") % {"name": name, "most": most // MIB}
    return _("%(name)s: It is longer than %(most)d characters.") % {"name": name, "most": most}


def _unsendable(payload: str, format_: Format, content: Any, content_type: str) -> list[str]:
    """Why a pending post with this payload could never be sent."""
    if not payload.strip():
        return [_("payload: A pending post needs what is to be sent.")]
    if format_ == Format.OTHER:
        return [_("payload: It is neither JSON nor form fields, so it cannot be sent.")]
    if format_ == Format.JSON and content is None:
        return [_("payload: It begins like JSON and is none: was it cut off?")]
    if _PLACEHOLDER in payload:
        return [_("payload: It holds a control character.")]
    stated = content_type.partition(";")[0].strip().lower()
    if stated and ("json" if format_ == Format.JSON else "form") not in stated:
        return [_("content_type: The payload does not look like “%(value)s”.") % {"value": stated[:60]}]
    return []


def _unstorable(record: Record) -> str:
    """Of what PostgreSQL and UTF-8 do not take; or empty."""
    joined = "\x1f".join(record.cells) if record.cells else _joined(record.values)
    if "\0" in joined:
        return _("It holds a NUL character, which cannot be stored.")
    try:
        joined.isascii() or joined.encode()
    except UnicodeEncodeError as error:
        if ord(joined[error.start]) in _CUT_OFF:
            byte = ord(joined[error.start]) - 0xDC00
            return _(
                "It cannot be decoded: byte %(byte)s is no character of the file's encoding. Mend it, or choose "
                "another encoding for the whole file with --encoding."
            ) % {"byte": f"0x{byte:02X}"}
        return _("It holds half a character (a lone surrogate), which cannot be stored.")
    return ""


def _joined(values: Mapping[str, Any]) -> str:
    return "\x1f".join(
        value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values.values()
    )


_OF_DIGEST = (
    "kind", "occurred_at", "event", "transaction_code", "product_code", "product_name", "url", "status", "problem",
    "tries", "payload", "response",
)  # fmt: skip


def _digest(facts: Facts) -> str:
    """The same for the same facts, in whatever format and order of columns they came."""
    joined = "\x1f".join([str(facts[name]) for name in _OF_DIGEST])
    return blake2b(joined.encode(), digest_size=16).hexdigest()
