"""What an outcome means in plain words: what happened, who can act, what to do.

Serves the History, the page of codes, the admin and the mails. Nothing here knows a request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from .models import Problem
from .words import BY_SLUG, Explanation, Words

# The page of codes.
SECTIONS: Sequence[tuple[Words, Sequence[str]]] = (
    (_("Received"), ("200", "201", "202", "204", "2xx", "page", "apps-script")),
    (_("Redirects"), ("301", "308", "302", "303", "307", "3xx")),
    (_("Refused"), tuple(slug for slug in BY_SLUG if slug[0] == "4")),
    (_("Failed"), (*(slug for slug in BY_SLUG if slug[0] == "5"), "odd")),
    (_("No answer"), (*Problem.values, "cut")),
)


def explain(
    status: int | None,
    problem: str = "",
    detail: str = "",
    *,
    url: str = "",
    headers: Iterable[Iterable[str]] = (),
    page: bool = False,
    delivered: bool = False,
) -> Explanation | None:
    """The words for what came of a post; None where nothing was tried yet.

    `url` is the one posted to and `headers` are the answer's, [[name, value], …]: both only fill in names.
    `page`: the answer was a web page. `delivered` tells the redirect of Apps Script from other ones.
    """
    if status is None and not problem:
        return None
    if status is None:
        row = _filled(BY_SLUG[problem], url, headers)
    elif page and 200 <= status < 300:
        row = _filled(BY_SLUG["page"], url, headers)
    elif delivered and 300 <= status < 400:
        row = _filled(BY_SLUG["apps-script"], url, headers)
    else:
        row = _of_status(status, url, headers)
    return replace(row, detail=detail)


def for_slug(slug: str) -> Explanation:
    """What the page of codes says about it: a row of the table, or a code's range. Raises KeyError if neither."""
    if slug in BY_SLUG:
        return _filled(BY_SLUG[slug], "", ())
    if not (slug.isascii() and slug.isdigit() and len(slug) == 3):
        raise KeyError(slug)
    return _of_status(int(slug), "", ())


def _of_status(status: int, url: str, headers: Iterable[Iterable[str]]) -> Explanation:
    if str(status) in BY_SLUG:
        return _filled(BY_SLUG[str(status)], url, headers)
    row = _filled(BY_SLUG[f"{status // 100}xx" if 200 <= status < 600 else "odd"], url, headers)
    return replace(row, slug=str(status), title=format_lazy(_("Code {code}"), code=status))


def _filled(row: Explanation, url: str, headers: Iterable[Iterable[str]]) -> Explanation:
    """`row` with the names of this post in its words."""
    location = next((value for name, value in headers if name.lower() == "location"), "")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        host, port = None, None
    facts = {
        "location": location[:300] or _("another address"),
        "host": host or _("the host"),
        "port": port if host else 443,
    }
    return replace(row, happened=format_lazy(row.happened, **facts))
