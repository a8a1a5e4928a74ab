"""The samples as they are posted: rendered by the contract, never written down."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from django.utils.safestring import SafeString

from deliveries import contract, posting, showing
from deliveries.contract import samples
from deliveries.models import Audience

# What stands for the tokens in the samples.
TOKENS = {Audience.PRODUCER: "token-of-the-producer", Audience.AFFILIATE: "token-of-the-affiliate"}
WEBHOOK_ID = "msg_5d357ffe4423460d9b0eda407f5e8e61"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  of the examples, and of nobody


@dataclass(frozen=True)
class Copy:
    """One post of an event, as this audience gets it."""

    audience: str
    body: bytes
    content_type: str

    @property
    def is_json(self) -> bool:
        return self.content_type.startswith("application/json")

    @property
    def html(self) -> SafeString:
        return showing.body(self.body, self.content_type).html

    @property
    def text(self) -> str:
        return self.body.decode()

    def parsed(self) -> dict[str, Any]:
        """As a receiver has it: the object of JSON, or the fields of a form, all of them strings."""
        if self.is_json:
            return json.loads(self.body)
        return dict(parse_qsl(self.text, keep_blank_values=True, strict_parsing=True))

    def lines(self) -> list[str]:
        if self.is_json:
            return json.dumps(self.parsed(), indent=2, ensure_ascii=False).splitlines()
        return [f"{name} = {value}" for name, value in self.parsed().items()]


@dataclass(frozen=True, slots=True)
class Line:
    """Of two copies side by side; None where a copy has nothing at this place."""

    left: str | None
    right: str | None
    differs: bool


@lru_cache(maxsize=128)
def copy_for(
    version: str, event_type: str, audience: str, facts: Any = None, *, token_in_body: bool = False
) -> Copy:
    """The post about the sample of the event, or about other `facts` of it. Raises contract.NotSent.

    `token_in_body`: as where the configuration asks for the token in the body of 2.0.0.
    """
    token = TOKENS[Audience(audience)]
    rendered = contract.render(
        version,
        samples.event_id(event_type),
        event_type,
        samples.OCCURRED_AT,
        samples.sample(event_type) if facts is None else facts,
        audience,
        token if token_in_body else None,
    )
    return Copy(audience, posting.with_token(rendered.body, token), rendered.content_type)


def copies(version: str, event_type: str) -> list[Copy]:
    """The producer's, and the affiliate's where affiliates get one."""
    return [
        copy_for(version, event_type, audience)
        for audience in Audience.values
        if contract.sends(version, event_type, audience)
    ]


def variants(version: str, event_type: str, audience: str) -> Iterator[Copy]:
    """Of the sample and of others, which together have all that a post of this event can hold."""
    for facts in samples.variants(event_type):
        yield copy_for(version, event_type, audience, facts, token_in_body=True)


def compared(version: str, event_type: str) -> list[Line]:
    """The producer's copy beside the affiliate's; empty where affiliates get none."""
    both = copies(version, event_type)
    if len(both) < 2:
        return []
    left, right = (copy.lines() for copy in both)
    # Whether a line is the last of its object makes no difference.
    matcher = SequenceMatcher(None, *([line.rstrip(",") for line in lines] for lines in (left, right)), False)
    return [
        Line(one, other, kind != "equal")
        for kind, a, b, c, d in matcher.get_opcodes()
        for one, other in _paired(left[a:b], right[c:d])
    ]


def _paired(left: list[str], right: list[str]) -> Iterator[tuple[str | None, str | None]]:
    """Lines of one key beside each other, whatever their values."""
    matcher = SequenceMatcher(
        None, *([re.split(r": | = ", line)[0] for line in lines] for lines in (left, right)), False
    )
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            yield from zip(left[a:b], right[c:d], strict=True)
        else:
            yield from ((line, None) for line in left[a:b])
            yield from ((None, line) for line in right[c:d])


def headers(version: str) -> list[tuple[str, str]]:
    """Those of the sample of an approved order, signed with a secret that is nobody's."""
    copy = copy_for(version, "PURCHASE_APPROVED", Audience.PRODUCER)
    timestamp = int(samples.OCCURRED_AT.timestamp())
    made = posting.headers_for(
        WEBHOOK_ID,
        copy.body,
        token=TOKENS[Audience.PRODUCER],
        secrets=[SECRET],
        timestamp=timestamp,
        content_type=copy.content_type,
    )
    return list(made.items())
