"""Bodies, headers and commands as the detail page shows them: readable, coloured by classes, always escaped."""

import json
import logging
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from urllib.parse import parse_qsl

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import BashLexer, HtmlLexer, IniLexer, JsonLexer

from . import post_log, posting
from .models import Delivery, DeliveryAttempt
from .words import Explanation

logger = logging.getLogger(__name__)

# Characters; what is longer stands there plain. On hostile HTML the lexer takes 9 s for 64 KiB, 0.1 s for 8.
COLOURED, COLOURED_HTML = 64 * 1024, 8 * 1024
_FORMATTER = HtmlFormatter(nowrap=True)
_VARIABLE = "$HOTTOK"  # in a command it stands in double quotes, so that the shell puts its value there
# Control characters would act on the terminal they are pasted into; the signs for them only show.
_VISIBLE = {n: 0x2400 + n for n in range(32) if chr(n) not in "\t\n"} | {127: 0x2421}
# Marks that turn the direction of writing make a text look like another.
_VISIBLE |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)


@dataclass(frozen=True, slots=True)
class Shown:
    """`text` is what a copy takes, `html` the same for the eye."""

    text: str
    html: SafeString


def body(content: bytes, content_type: str, *, raw: bool = False) -> Shown:
    """A payload or an answer. JSON is set out in lines and a form decoded, unless `raw`; nothing is trusted."""
    message = Message()
    message["Content-Type"] = content_type.replace("\n", " ").replace("\r", " ")
    text = _decoded(content, message.get_content_charset() or "utf-8")
    kind = message.get_content_type() if content_type else ""
    lexer: Lexer | None = None
    if kind == "application/x-www-form-urlencoded":
        if not raw:
            pairs = parse_qsl(text, keep_blank_values=True)
            return _coloured("\n".join(f"{name} = {value}" for name, value in pairs), IniLexer(), copy=text)
    elif (pretty := _pretty(text)) is not None:
        return _coloured(text if raw else pretty, JsonLexer(), copy=text)
    elif ("html" in kind or "xml" in kind) and len(text) <= COLOURED_HTML:
        lexer = HtmlLexer()
    return _coloured(text, lexer, copy=text)


def headers(pairs: Iterable[Iterable[str]]) -> Shown:
    text = "\n".join(f"{name}: {value}" for name, value in pairs)
    return _coloured(text, None, copy=text)


def curl(delivery: Delivery) -> Shown:
    """The command that posts the same, signed for this minute. The token is the shell variable HOTTOK.

    Raises what the contract raises where the body cannot be made. `delivery` has its config and event loaded.
    """
    content = posting.body_of(delivery)
    sealed = posting.Keys.of([delivery]).seal(delivery, content, int(timezone.now().timestamp()))
    lines = [f"curl -i {shlex.quote(delivery.config.url)}"]
    for name, value in sealed.headers.items():
        is_token = name == posting.TOKEN_HEADER
        quoted = f'"{name}: {_VARIABLE}"' if is_token else shlex.quote(f"{name}: {value}")
        lines.append(f"  -H {quoted}")
    # What is signed is the body with the token itself in it.
    parts = (shlex.quote(part.decode()) for part in content.split(posting.TOKEN_PLACEHOLDER))
    data = f'"{_VARIABLE}"'.join(parts)
    lines.append(f"  --data-raw {data}")
    text = " \\\n".join(lines)
    return _coloured(text, BashLexer(), copy=text)


def curl_or_none(delivery: Delivery) -> Shown | None:
    """The same; None where the post cannot be made, which its attempt says in words, or its buyer was erased."""
    if delivery.event.redacted_at:
        return None
    try:
        return curl(delivery)
    except Exception:
        logger.exception(
            "The command of delivery %s cannot be made", delivery.pk, extra=post_log.ids(delivery)
        )
        return None


def payload(delivery: Delivery, *, raw: bool = False) -> Shown | None:
    """What is posted; None where it cannot be made, or where the buyer's data were erased."""
    if delivery.event.redacted_at:
        return None
    try:
        content = posting.body_of(delivery)
    except Exception:
        logger.exception(
            "The payload of delivery %s cannot be made", delivery.pk, extra=post_log.ids(delivery)
        )
        return None
    return body(posting.without_token(content), posting.content_type_of(delivery), raw=raw)


def report(delivery: Delivery, attempt: DeliveryAttempt | None, words: Explanation | None) -> str:
    """What a seller sends to the programmer: time, URL, code, answer. Plain text; no token, no secret."""
    answer = ""
    if attempt and attempt.response_body:
        answer = body(bytes(attempt.response_body), content_type(attempt.response_headers), raw=True).text
    link = settings.SITE_URL + delivery.get_absolute_url()
    context = {
        "delivery": delivery,
        "attempt": attempt,
        "words": words,
        "answer": answer[:2000],
        "link": link,
    }
    return render_to_string("deliveries/report.txt", context).strip() + "\n"


def content_type(pairs: Iterable[Iterable[str]]) -> str:
    return next((value for name, value in pairs if name.lower() == "content-type"), "")


def _decoded(content: bytes, charset: str) -> str:
    """What cannot be decoded stands there as \\xNN."""
    try:
        text = content.decode(charset, "backslashreplace")
    except (LookupError, ValueError):  # no such charset, or one that is no text
        text = content.decode("utf-8", "backslashreplace")
    text = text.replace("\r\n", "\n")
    return _safe(text)


def _safe(text: str) -> str:
    """Without what cannot be sent on as UTF-8, and with control characters to be seen."""
    return text.encode("utf-8", "backslashreplace").decode().translate(_VISIBLE)


def _pretty(text: str) -> str | None:
    """JSON set out in lines; None if it is none. A cut body is none either."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return _safe(json.dumps(json.loads(text), indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        return None


def _coloured(text: str, lexer: Lexer | None, *, copy: str) -> Shown:
    if lexer is None or len(text) > COLOURED:
        return Shown(copy, mark_safe(escape(text)))  # noqa: S308  escaped right here
    return Shown(copy, mark_safe(highlight(text, lexer, _FORMATTER).rstrip("\n")))  # noqa: S308  Pygments escapes
