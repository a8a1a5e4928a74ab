"""What single cells say: a time, an event, a status, whose e-mail stands in a payload. Each raises BadCell."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus, urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from configurations.events import BY_STATUS, EventType
from configurations.models import Version

from .columns import plain
from .models import Format, Kind

DAY_FIRST, MONTH_FIRST = "day-first", "month-first"
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
PARSED = 64 * 1024  # characters of a payload that is looked into for the buyer's e-mail

_EPOCH = {10: 1, 13: 1000}  # digits of a count since 1970: how many a second
_SLASHED = re.compile(
    r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?", re.ASCII
)
_CODE = re.compile(r"(?:HTTP(?:/\S+)?\s+)?(\d{3})(?:\b.*)?", re.ASCII | re.IGNORECASE)
_FORM_EMAIL = re.compile(r"(?:^|&)email=([^&]*)")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_EMAIL_AT = (("data", "buyer"), ("data", "subscriber"), ("buyer",), ("subscriber",), ("data",), ())


class BadCell(Exception):
    """`str()` of it is the reason."""


KINDS = {
    **{str(kind): kind for kind in Kind},
    **dict.fromkeys(("enviado", "enviada", "enviados"), Kind.SENT),
    **dict.fromkeys(("pendente", "pendentes", "pendiente"), Kind.PENDING),
}
VERSIONS = {"1": Version.V1, "1.0": Version.V1, "1.0.0": Version.V1}
VERSIONS |= {"2": Version.V2, "2.0": Version.V2, "2.0.0": Version.V2}


def kind(text: str) -> Kind:
    try:
        return KINDS[text.strip().lower()]
    except KeyError:
        raise BadCell(_("kind: “%(value)s” is none: write sent or pending.") % {"value": text[:40]}) from None


@lru_cache(maxsize=1)
def _events() -> dict[str, EventType]:
    """By code, by the status word of 1.0.0, and by our labels in every language."""
    names = {plain(str(type_)): type_ for type_ in EventType}
    names |= {plain(str(type_).removeprefix("PURCHASE_")): type_ for type_ in EventType}
    names |= {plain(str(status)): event.type for status, event in BY_STATUS.items()}
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            names |= {plain(str(type_.label)): type_ for type_ in EventType}
    return names


@lru_cache(maxsize=4096)
def event(text: str) -> EventType:
    try:
        return _events()[plain(text)]
    except KeyError:
        known = ", ".join(EventType.values)
        words = ", ".join(str(status).lower() for status in BY_STATUS)
        raise BadCell(
            _("event: “%(value)s” is not known: write one of %(known)s, or a status of 1.0.0: %(words)s.")
            % {"value": text[:60], "known": known, "words": words}
        ) from None


def moment(zone: ZoneInfo | None, dates: str) -> Callable[[str], datetime]:
    """A reader of times; `zone` is that of times without one, `dates` the order of day and month in 03/04/2024."""
    newest = timezone.now() + timedelta(days=1)

    def read(text: str) -> datetime:
        at = _parsed(text, dates)
        if at.tzinfo is None:
            if zone is None:
                raise BadCell(
                    _("occurred_at: “%(value)s” has no time zone: add Z or an offset, or give --time-zone.")
                    % {"value": text}
                )
            at = at.replace(tzinfo=zone)
        if not OLDEST <= at <= newest:
            raise BadCell(_("occurred_at: “%(value)s” is before 1990 or in the future.") % {"value": text})
        return at.astimezone(UTC)

    return read


def _parsed(text: str, dates: str) -> datetime:
    try:
        if text.isascii() and text.isdigit():
            return datetime.fromtimestamp(int(text) / _EPOCH[len(text)], UTC)
        if match := _SLASHED.fullmatch(text):
            return _of_slashes(match, dates)
        return datetime.fromisoformat(text)
    except (ValueError, KeyError, OverflowError, OSError):
        raise BadCell(
            _("occurred_at: “%(value)s” is no time: write it as 2024-11-23T15:52:10Z.") % {"value": text[:40]}
        ) from None


def _of_slashes(match: re.Match[str], dates: str) -> datetime:
    first, second, year, *clock = (int(part or 0) for part in match.groups())
    if not dates:
        raise BadCell(
            _(
                "occurred_at: “%(value)s”: is the day first, or the month? Give --dates day-first or month-first."
            )
            % {"value": match[0]}
        )
    day, month = (first, second) if dates == DAY_FIRST else (second, first)
    return datetime(year, month, day, *clock)  # noqa: DTZ001  its zone is put in by the caller


def outcome(text: str) -> tuple[int | None, str]:
    """The HTTP status, or what is said in its place: "504 Gateway timeout" is 504, "connection refused" is text."""
    if not text:
        return None, ""
    if (match := _CODE.fullmatch(text)) and 100 <= int(match[1]) <= 599:
        return int(match[1]), ""
    if text.isascii() and text.isdigit():
        if int(text) == 0:
            return None, ""  # what many clients note where no answer came
        raise BadCell(_("status: “%(value)s” is no HTTP status.") % {"value": text[:20]})
    return None, text[:300]


def tries(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise BadCell(_("tries: “%(value)s” is no number from 0 to 9999.") % {"value": text[:20]})
    return int(text)


@lru_cache(maxsize=4096)
def host(url: str) -> str:
    """In lower case; empty where the URL names none."""
    try:
        return (urlsplit(url.strip()).hostname or "")[:253]
    except ValueError:
        return ""


# --- Payloads


def look(payload: str) -> Format:
    """What the payload is, by its look."""
    first = payload.lstrip()[:1]
    if first in ("{", "["):
        return Format.JSON
    if first and first != "<" and "=" in payload and "\n" not in payload.strip():
        return Format.FORM
    return Format.OTHER


def parsed(payload: str, format_: Format, *, wholly: bool) -> Any:
    """The JSON that it is; None where it is none, or is longer than PARSED and need not be looked at `wholly`."""
    if format_ != Format.JSON or (len(payload) > PARSED and not wholly):
        return None
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def email_in(format_: Format, payload: str, content: Any) -> str:
    """The buyer's e-mail as the contract's formats hold it, in lower case; empty where none is found."""
    found: Any = ""
    if format_ == Format.FORM:
        if match := _FORM_EMAIL.search(payload):
            found = unquote_plus(match[1])
    elif isinstance(content, dict):
        found = next(filter(None, (_email_at(content, path) for path in _EMAIL_AT)), "")
    return _email_or_none(found) if isinstance(found, str) else ""


def _email_at(content: dict[str, Any], path: tuple[str, ...]) -> Any:
    inner: Any = content
    for name in path:
        inner = inner.get(name) if isinstance(inner, dict) else None
    return inner.get("email") if isinstance(inner, dict) else None


def email(text: str) -> str:
    """In lower case."""
    found = _email_or_none(text)
    if text and not found:
        raise BadCell(_("buyer_email: “%(value)s” is no e-mail address.") % {"value": text[:60]})
    return found


def _email_or_none(text: str) -> str:
    text = text.strip()
    return text.lower() if len(text) <= 254 and _EMAIL.fullmatch(text) else ""


def version(format_: Format, content: Any) -> str:
    """The version of the contract that the payload is written in, by its look; empty where it is no payload."""
    if format_ == Format.OTHER:
        return ""
    return Version.V2 if isinstance(content, dict) and "data" in content else Version.V1
