"""Where the time of one post went: name look-up, connect, TLS, waiting for the answer, and the answer itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sales.templatetags.formats import milliseconds

from .connections import Clock

# {column of a Posted: its word}, in the order in which they come.
WORDS = {
    "name_ms": _("name look-up"),
    "connect_ms": _("connect"),
    "tls_ms": _("TLS"),
    "wait_ms": _("waiting"),
    "answer_ms": _("answer"),
}


class Phases(NamedTuple):
    """Whole ms of each, cut off, so that their sum is never more than the post took; None where it did not happen.

    A kept connection has no look-up, connect or TLS. What was cut short lasts until the post ended.
    """

    name_ms: int | None = None
    connect_ms: int | None = None
    tls_ms: int | None = None
    wait_ms: int | None = None  # until the first byte of the answer
    answer_ms: int | None = None

    @classmethod
    def of(cls, clock: Clock, until: float) -> "Phases":
        """`until`: when the post ended, monotonic."""
        steps = clock.steps
        name = connect = tls = wait = answer = None
        if clock.connected:
            name = _ms(steps.began_at, steps.found_at, until)
            if steps.dialled_at is not None:
                connect = _ms(steps.dialled_at, steps.connected_at, until)
            if steps.connected_at is not None and (steps.secured_at is not None or steps.asked_at is None):
                tls = _ms(steps.connected_at, steps.secured_at, until)
        if steps.asked_at is not None:
            wait = _ms(steps.asked_at, steps.answered_at, until)
        if steps.answered_at is not None:
            answer = _ms(steps.answered_at, None, until)
        return cls(name, connect, tls, wait, answer)


NONE = Phases()


def _ms(begins: float, ends: float | None, until: float) -> int:
    return int((until if ends is None else ends) * 1000 - begins * 1000)


@dataclass(frozen=True, slots=True)
class Part:
    """One phase as it is drawn: `x` and `width` in hundredths of the whole bar."""

    kind: str
    word: Any
    ms: int
    x: str
    width: str


def parts(post: Any) -> list[Part]:
    """Of an attempt or a test; empty for one that was made before phases were kept, or that never began."""
    known = {column: ms for column in WORDS if (ms := getattr(post, column)) is not None}
    whole = sum(known.values())
    found, so_far = [], 0
    for column, ms in known.items():
        x, width = (100 * so_far / whole, 100 * ms / whole) if whole else (0, 0)
        found.append(Part(column.removesuffix("_ms"), WORDS[column], ms, f"{x:.2f}", f"{width:.2f}"))
        so_far += ms
    return found


def is_kept(post: Any) -> bool:
    """It went over a connection that was there already."""
    return post.wait_ms is not None and post.name_ms is None


def in_words(post: Any) -> str:
    """`connect 12 ms · TLS 20 ms · …` of an attempt; empty where nothing is known."""
    texts = [f"{part.word} {milliseconds(part.ms)}" for part in parts(post)]
    if is_kept(post):
        texts.insert(0, gettext("kept connection"))
    return " · ".join(texts)


def means_in_words(means: Mapping[str, int]) -> str:
    return " · ".join(f"{WORDS[column]} {milliseconds(ms)}" for column, ms in means.items())
