"""The JSON bodies of 1.0.0: flat, in camelCase, with the token inside. Purchases are forms: see form_v1."""

from . import writing
from .subscription import Snapshot

VERSION = "1.0.0"


def render(event_type: str, snapshot: Snapshot, audience: str, hottok: str | None = None) -> bytes:
    """The exact body of the post about an event that is no purchase, with TOKEN_PLACEHOLDER unless `hottok` is given."""
    body = writing.document(VERSION, event_type, snapshot, audience)
    if not writing.shows_buyer(snapshot, audience):
        body["buyerVO"] = {}  # receivers reach into it, so it is there without its facts
    return writing.dumps(body, writing.token(hottok).decode())
