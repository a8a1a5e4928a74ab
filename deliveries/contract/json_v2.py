"""The body of a 2.0.0 post: JSON in UTF-8, the same bytes each time for the same event."""

from datetime import datetime

from . import writing
from .parameters_subscription import TOKEN_ALWAYS
from .subscription import Snapshot

VERSION = "2.0.0"


def render(
    event_id: str,
    event_type: str,
    occurred_at: datetime,
    snapshot: Snapshot,
    audience: str,
    hottok: str | None = None,
) -> bytes:
    """The exact body of the post about an event. `audience` is "producer" or "affiliate": whose copy it is.

    It holds the token where `hottok` gives it; in one event always, and there TOKEN_PLACEHOLDER stands for it.
    """
    if hottok is None and event_type in TOKEN_ALWAYS:
        hottok = writing.TOKEN_PLACEHOLDER.decode()
    data = writing.document(VERSION, event_type, snapshot, audience)
    if not writing.shows_buyer(snapshot, audience):
        data["buyer"] = {}  # receivers reach into it, so it is there without its facts
    post = {
        "id": str(event_id),
        "creation_date": writing.milliseconds(occurred_at),
        "event": str(event_type),
        "version": VERSION,
        "data": data,
    }
    return writing.dumps(post, hottok)
