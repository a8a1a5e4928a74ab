"""How a line of the log looks: plain, or with LOG_FORMAT=json one JSON object.

Both escape control characters, so that nothing that came from outside (a name, a URL, an answer) can begin a line
that is not ours or colour a terminal, and both blot out what looks like a secret or somebody's address. The callers
log neither; this is for the error of a library that repeats its input.
"""

import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from django.core.signals import request_finished
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse

logger = logging.getLogger("webhookhub.requests")

# What a line may be about, given as `extra`: only these come into it. Where `each` is given, a list of such, there is a
# line for each, as if each had been logged by itself: a record of its own for each post costs a twentieth of the post.
ABOUT = (
    *("request_id", "method", "route", "status", "ms", "user"),
    *("event", "delivery", "webhook_id", "attempt", "configuration", "test", "outcome", "host", "late"),
)

_request: ContextVar[str] = ContextVar("request", default="")


class About(logging.Filter):
    """Adds the id of the request that a line was logged in."""

    def filter(self, record: logging.LogRecord) -> bool:
        if request := _request.get():
            record.request_id = request
        return True


# C0 and C1 controls, and what Unicode takes for the end of a line or turns around (Trojan Source).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BLOTS = (
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,}"), "whsec_…"),
    # Who has the key of a reset has the account; who has a URL's login or query, perhaps the receiver.
    (re.compile(r"(/password/reset/key/)[^/\s]+"), r"\1…"),
    (re.compile(r"(https?://)[^\s/@]+@"), r"\1…@"),
    (re.compile(r"(https?://[^\s?#]*)\?[^\s\"'<>)]+"), r"\1?…"),
    (re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), "…@…"),
    (
        re.compile(
            r"(?i)\b(hottok|token|secret|password|authorization|cookie)(['\"]?\s*[=:]\s*['\"]?)"
            r"(?:(?:bearer|basic)\s+)?[^\s,;&'\"]+"
        ),
        r"\1\2…",
    ),
)
_PERHAPS = re.compile(r"[@=:?]|whsec_|/key/")  # most lines hold none of these


def blot(text: str) -> str:
    """`text` without what looks like a secret or an e-mail address."""
    if _PERHAPS.search(text):
        for pattern, instead in _BLOTS:
            text = pattern.sub(instead, text)
    return text


def on_one_line(text: str) -> str:
    """Its control characters as they are written in a program: \\n."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class Plain(logging.Formatter):
    """`time level logger: message (what it is about)`; of a traceback, each line behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_when(record)} {record.levelname} {record.name}: {blot(record.getMessage())}"
        lines = []
        for about in _abouts(record):
            told = " ".join([f"{name}={value}" for name, value in about.items()])
            lines.append(on_one_line(f"{head} ({told})" if told else head))
        lines += [f"  | {on_one_line(part)}" for part in self._traceback(record)]
        return "\n".join(lines)

    def _traceback(self, record: logging.LogRecord) -> list[str]:
        text = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        if record.stack_info:
            text += f"\n{record.stack_info}"
        return blot(text).strip().splitlines()


class Json(Plain):
    """One object: time, level, logger, message, what it is about, and perhaps the lines of a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _when(record),
            "level": record.levelname,
            "logger": record.name,
            "message": blot(record.getMessage()),
        }
        traceback = {"traceback": lines} if (lines := self._traceback(record)) else {}
        # In ASCII: what is no letter of it is escaped.
        return "\n".join([json.dumps({**line, **about, **traceback}) for about in _abouts(record)])


def _abouts(record: logging.LogRecord) -> list[dict[str, Any]]:
    """What each of its lines is about."""
    about = _about(record.__dict__)
    return [about | _about(one) for one in record.__dict__.get("each", ({},))]


def _about(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in ABOUT if given.get(name) not in (None, "")}


def _when(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


# --- Requests -----------------------------------------------------------------------------------------

_GIVEN = re.compile(r"[A-Za-z0-9-]{8,64}")


class RequestLogMiddleware:
    """Gives each request an id, which every line logged in it carries and the answer too; and a line of its own.

    The line names the route and not the address, which may hold the key of a password reset or somebody's name. A
    proxy may give the id, as X-Request-ID.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if _GIVEN.fullmatch(given) else secrets.token_hex(8)
        _request.set(request_id)  # until it is finished: Django logs a 404 once all middleware is done
        began = time.perf_counter()
        response = self.get_response(request)
        ms = round((time.perf_counter() - began) * 1000)
        match = request.resolver_match
        about = {"method": request.method, "status": response.status_code, "ms": ms}
        about["route"] = match.view_name if match else "none"
        if user := getattr(request, "_cached_user", None):  # whom somebody asked for: a line is no reason to
            about["user"] = user.pk
        logger.info("%s %s", request.method, about["route"], extra=about)
        response.headers["X-Request-ID"] = request_id
        return response


@receiver(request_finished)
def _forget_the_id(**_: Any) -> None:
    _request.set("")
