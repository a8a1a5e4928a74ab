"""What came of one post, as it is handed from the engine to the rows and to `disabling`."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import retries
from .models import Delivery, Problem
from .transport import Outcome

_PAGE = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)


@dataclass(slots=True)
class Result:
    """One finished post.

    `delivery` has its `config` (with `owner`) and `event` loaded, and, once recorded, its new state. `outcome`
    is the transport's; its problem is OURS where the post could not even be made, which is no fault of the
    receiver's. `late`: the claim was lost in between, so the attempt is kept and nothing else was moved.
    """

    delivery: Delivery
    url: str  # the one posted to; the configuration may have another by now
    request_headers: list[list[str]]  # as they are stored: the token is masked
    outcome: Outcome
    probe: bool = False  # a held post, tried to see whether its receiver works again
    trial: bool = False  # a waiting one, for the same reason: behind an open circuit, or in an outage of ours
    next: retries.Next = field(default_factory=lambda: retries.Next(delivered=False))
    late: bool = False
    behind: bool = False  # its endpoint is known to fail, or we are out of reach of all: no try is used up
    outage: bool = False  # the latter, so that it tells nothing of its endpoint
    apart: bool = False  # its configuration has its own queue
    shut: bool = False  # the circuit of its endpoint is open: nothing else should go there
    at: datetime | None = None  # when it was recorded, by the database's clock

    @property
    def delivered(self) -> bool:
        return self.next.delivered

    def attempt(self) -> dict[str, Any]:
        """The columns of the DeliveryAttempt that keeps it, once the delivery is as recorded."""
        delivery = self.delivery
        return {
            "delivery": delivery.pk,
            "number": delivery.attempts_made,
            "late": self.late,
            **self.facts(),
        }

    def facts(self) -> dict[str, Any]:
        """The columns of a `Posted`."""
        outcome, phases = self.outcome, self.outcome.phases
        return {
            "started_at": outcome.started_at,
            "duration_ms": max(0, outcome.took // timedelta(milliseconds=1)),
            "name_ms": phases.name_ms,
            "connect_ms": phases.connect_ms,
            "tls_ms": phases.tls_ms,
            "wait_ms": phases.wait_ms,
            "answer_ms": phases.answer_ms,
            "url": self.url,
            "request_headers": self.request_headers,
            "status": outcome.status,
            "problem": outcome.problem or "",
            "detail": storable(outcome.detail)[:300],
            "response_headers": [[storable(name), storable(value)] for name, value in outcome.headers],
            "response_body": outcome.body,
            "response_cut": outcome.cut,
            "delivered": self.delivered,
        }

    def answered_page(self) -> bool:
        """Delivered by the rules, but what answered is a web page: most likely not the receiver at all."""
        outcome = self.outcome
        return (
            outcome.status is not None
            and 200 <= outcome.status < 300
            and _PAGE.search(outcome.body) is not None  # first: most answers say next to nothing
            and any(
                name.lower() == "content-type" and value.strip().lower().startswith("text/html")
                for name, value in outcome.headers
            )
        )


def ours(error: Exception, at: datetime) -> Outcome:
    """The outcome of a post that could not be made."""
    return Outcome(at, problem=Problem.OURS, detail=f"{type(error).__name__}: {error}")


def storable(text: str) -> str:
    """PostgreSQL stores neither NUL nor half a surrogate pair, and a receiver may send both."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
