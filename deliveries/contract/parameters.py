"""The tables of what a post holds: a row for each parameter, in the order in which they are written.

Payloads are made from them, and so is all that describes them.
"""

from dataclasses import replace
from functools import cache

from . import parameters_subscription as subscription
from .kinds import PURCHASE, ForAffiliate, Kind, Parameter
from .parameters_v1 import V1, V1_JSON
from .parameters_v2 import ENVELOPE, V2

__all__ = ("PURCHASE", "V1", "V1_JSON", "V2", "ForAffiliate", "Kind", "Parameter", "table")

_TABLES: dict[
    str, tuple[tuple[Parameter, ...], tuple[Parameter, ...]]
] = {  # what is around the facts, and they
    "1.0.0": ((), (*V1, *V1_JSON, *subscription.V1)),
    "2.0.0": (ENVELOPE, tuple(replace(row, under="data.") for row in (*V2, *subscription.V2))),
}


@cache
def table(version: str, event_type: str) -> tuple[Parameter, ...]:
    """The rows of the body of a post about this event; none where the version has no such post.

    KeyError for a version that does not exist.
    """
    envelope, facts = _TABLES[str(version)]
    rows = tuple(row for row in facts if event_type in row.events)
    if envelope and event_type in subscription.TOKEN_ALWAYS:
        envelope = tuple(subscription.TOKEN if row.path == "hottok" else row for row in envelope)
    return (*envelope, *rows) if rows else ()
