"""The table of an event's parameters as the page shows it, with examples from the samples."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.functional import Promise
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from deliveries.contract import parameters, samples
from deliveries.contract.parameters import ForAffiliate
from deliveries.models import Audience

from . import posts

TO_AFFILIATE = {
    ForAffiliate.YES: _("yes"),
    ForAffiliate.NO: _("no"),
    ForAffiliate.OWN: _("own value"),
    ForAffiliate.BUYER: _("where buyers are shared"),
}

ALWAYS = _("Always sent.")
MAYBE_EMPTY = _("Always sent; empty where it is not known.")
IF_KNOWN = _("Sent where it applies.")


@dataclass(frozen=True, slots=True)
class Row:
    parameter: Any  # of contract.parameters
    example: str
    presence: Promise

    @property
    def name(self) -> str:
        return self.parameter.name

    @property
    def anchor(self) -> str:
        """The id of the row, for links to it."""
        return "p-" + self.name.replace("[]", "")

    @property
    def name_that_breaks(self) -> SafeString:
        """The name with places where a line may end, since it has no blanks."""
        return mark_safe(re.sub(r"([._])", r"\1<wbr>", escape(self.name)))  # noqa: S308  escaped right here

    @property
    def to_affiliate(self) -> Promise:
        return TO_AFFILIATE[self.parameter.affiliate]

    @property
    def kind_to_affiliate(self) -> str:
        return self.parameter.affiliate.value

    def holds(self, text: str) -> bool:
        """Whether each word of the text stands in the row, as the page's own filter sees it."""
        shown = (
            self.name,
            self.to_affiliate,
            self.parameter.description,
            self.presence,
            self.parameter.format,
            self.example,
        )
        where = " ".join(map(str, shown)).lower()
        return all(word in where for word in text.lower().split())


def rows(version: str, event_type: str) -> list[Row]:
    examples, presences = _examples(version, event_type), _presences(version, event_type)
    return [
        Row(parameter, examples.get(parameter.name, ""), presences.get(parameter.name, IF_KNOWN))
        for parameter in parameters.table(version, event_type)
    ]


@lru_cache(maxsize=64)
def _examples(version: str, event_type: str) -> Mapping[str, str]:
    """{name: its first value in the samples that is not empty}."""
    found: dict[str, str] = {}
    for copy in posts.variants(version, event_type, Audience.PRODUCER):
        for path, value in flat(copy.parsed()):
            if not found.get(path):
                found[path] = value if isinstance(value, str) else _json(value)
    return found


@lru_cache(maxsize=64)
def _presences(version: str, event_type: str) -> Mapping[str, Promise]:
    """{name: how always it is there}, of those that even the poorest facts bring."""
    poorest = [
        dict(flat(posts.copy_for(version, event_type, Audience.PRODUCER, facts).parsed()))
        for facts in samples.poorest(event_type)
    ]
    always = set.intersection(*(set(body) for body in poorest))
    return {name: MAYBE_EMPTY if any(body[name] == "" for body in poorest) else ALWAYS for name in always}


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a body that holds no others, with its path as the table writes it: a.b, or list[].b."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for inner in value:
            yield from flat(inner, f"{path}[]")
    else:
        yield path, value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
