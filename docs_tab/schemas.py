"""JSON Schema (2020-12) of each post, made from the table.

Types and formats come from its rows; what is always there from rendering the poorest facts of such an event.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.utils import translation

from deliveries.contract import samples
from deliveries.contract.parameters import ForAffiliate, Kind
from deliveries.models import Audience

from . import posts, tables

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECONDS = r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}"
_INTEGER = r"-?\d+"
_IN_JSON: dict[Kind, dict[str, Any]] = {
    Kind.INTEGER: {"type": "integer"},
    Kind.NUMBER: {"type": "number"},
    Kind.STRING: {"type": "string"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.MILLISECONDS: {"type": "integer", "minimum": 0},
    Kind.DECIMAL: {"type": "string", "pattern": r"^-?\d+\.\d{2,}$"},
    Kind.TIME: {"type": "string", "format": "date-time", "pattern": f"^{_SECONDS}Z$"},
    Kind.TIME_MS: {"type": "string", "format": "date-time", "pattern": rf"^{_SECONDS}\.\d{{3}}Z$"},
}
# In a form everything is a string.
_IN_FORM = _IN_JSON | {
    Kind.INTEGER: {"type": "string", "pattern": f"^{_INTEGER}$"},
    Kind.BOOLEAN: {"type": "string", "enum": ["true", "false"]},
    Kind.MILLISECONDS: {"type": "string", "pattern": f"^{_INTEGER}$"},
}

# By these a receiver knows what the post is about: the same in all posts of an event.
_TELL_APART = {"event", "version", "data.purchase.status", "callback_type", "status"}


@lru_cache(maxsize=128)
def schema(version: str, event_type: str, audience: str) -> Mapping[str, Any]:
    """Of the body in this copy; of a form, of its fields, which are all strings.

    A receiver passes over what it does not know, so a schema forbids no further parameters. Don't change what is
    returned: it is kept. Raises contract.NotSent.
    """
    poorest = [posts.copy_for(version, event_type, audience, facts) for facts in samples.poorest(event_type)]
    bodies = [copy.parsed() for copy in poorest]
    empty = {path for body in bodies for path, value in tables.flat(body) if value == ""}
    there = {path: value for body in bodies for path, value in tables.flat(body)}
    made = {"$schema": DIALECT, "title": f"{event_type} {version} ({audience})", "type": "object"}
    with translation.override("en"):
        for row in tables.rows(version, event_type):
            if row.name in _TELL_APART and row.name in there:
                _put(made, row.name, {"const": there[row.name]})
            elif audience == Audience.PRODUCER or row.parameter.affiliate != ForAffiliate.NO:
                _put(made, row.name, _leaf(row, poorest[0].is_json, may_be_empty=row.name in empty))
            elif row.name in there:  # a key that is always there, without its value
                _put(made, row.name, {"const": ""})
    _require(made, bodies)
    return made


def _leaf(row: tables.Row, is_json: bool, *, may_be_empty: bool) -> dict[str, Any]:
    """The schema of one value."""
    parameter = row.parameter
    leaf = dict((_IN_JSON if is_json else _IN_FORM)[parameter.kind])
    if parameter.kind is Kind.STRING and parameter.size:
        leaf["maxLength"] = parameter.size
    if may_be_empty and leaf != {"type": "string"}:
        leaf = {"anyOf": [leaf, {"const": ""}]}
    return {"description": str(parameter.description), **leaf}


def _put(schema: dict[str, Any], path: str, leaf: dict[str, Any]) -> None:
    """Write the leaf where the path leads; make the objects and lists on its way."""
    *parents, key = path.split(".")
    for parent in parents:
        name = parent.removesuffix("[]")
        inner = schema.setdefault("properties", {}).setdefault(
            name, {"type": "array" if name != parent else "object"}
        )
        schema = inner.setdefault("items", {"type": "object"}) if name != parent else inner
    schema.setdefault("properties", {})[key] = leaf


def _require(schema: dict[str, Any], values: Iterable[Any]) -> None:
    """Write down which keys each object has in all of the values."""
    objects = [value for value in values if isinstance(value, dict)]
    if objects and (always := set.intersection(*(set(one) for one in objects))):
        schema["required"] = [name for name in schema.get("properties", {}) if name in always]
    for name, inner in schema.get("properties", {}).items():
        found = [one[name] for one in objects if name in one]
        if inner.get("type") == "array":
            _require(inner["items"], [entry for entries in found for entry in entries])
        elif inner.get("type") == "object":
            _require(inner, found)
