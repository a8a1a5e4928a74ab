"""What our posts look like. `render()` makes a body, `sends()` says whether there is one; both are pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import form_v1, json_v1, json_v2, parameters
from .kinds import CART, EVERY, PURCHASE
from .snapshot import Cart, Sale
from .subscription import ChangedSubscription, Snapshot
from .writing import AFFILIATE, TOKEN_PLACEHOLDER

__all__ = ("TOKEN_PLACEHOLDER", "NotSent", "Rendered", "read", "render", "sends")

FORM, JSON = "application/x-www-form-urlencoded; charset=UTF-8", "application/json"
CLASSIC = "1.0.0"


class NotSent(Exception):
    """There is no post of this event in this version, or none for this audience."""


@dataclass(frozen=True, slots=True)
class Rendered:
    body: bytes
    content_type: str


def read(event_type: str, facts: Mapping[str, Any]) -> Snapshot:
    """What such an event tells of, from the JSON that it is kept as."""
    if event_type in CART:
        return Cart.from_json(facts)
    return (Sale if event_type in PURCHASE else ChangedSubscription).from_json(facts)


def sends(version: str, event_type: str, audience: str) -> bool:
    """Whether there is a post of this event. `audience` is "producer" or "affiliate": whose copy it is."""
    to_them = audience != AFFILIATE or event_type in EVERY
    return to_them and bool(parameters.table(version, event_type))


def content_type(version: str, event_type: str) -> str:
    return FORM if version == CLASSIC and event_type in PURCHASE else JSON


def content_type_of_body(body: str) -> str:
    """Of a body that this contract did not make: JSON begins with a brace or a bracket, a form never does."""
    return JSON if body.lstrip()[:1] in ("{", "[") else FORM


def render(
    version: str,
    event_id: str,
    event_type: str,
    occurred_at: datetime,
    snapshot: Snapshot,
    audience: str,
    hottok: str | None = None,
) -> Rendered:
    """The post about an event, the same bytes each time. Raises NotSent.

    `hottok` is the security token: letters, digits and hyphens. By default TOKEN_PLACEHOLDER stands for it in
    the bodies that always hold it, and a 2.0.0 post holds none, but where `hottok` says so.
    """
    if not sends(version, event_type, audience):
        raise NotSent(f"{version} has no post of {event_type} for the {audience}.")
    if version != CLASSIC:
        body = json_v2.render(event_id, event_type, occurred_at, snapshot, audience, hottok)
    elif event_type in PURCHASE:
        body = form_v1.render(snapshot, audience, hottok)
    else:
        body = json_v1.render(event_type, snapshot, audience, hottok)
    return Rendered(body, content_type(version, event_type))
