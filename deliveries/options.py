"""The options by which a command is told which posts it is about: the History's filters, for all sellers.

`add_options(parser)`, then `selection(options)`. Options of different kinds narrow each other; one that is given several
times widens.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q
from django.utils.translation import gettext as _

from configurations.events import EventType
from configurations.models import WebhookConfig
from sales.commandkit import REFUSED
from sales.models import Seller

from . import history
from .models import Event, State
from .selecting import Selected

NAMES = ("configuration", "owner", "status", "http_code", "event", "transaction", "since", "until")


def add_options(parser: ArgumentParser, statuses: Sequence[str] = State.values) -> Any:
    """`statuses`: those that can be chosen. Returns the group, for options of the command's own."""
    group = parser.add_argument_group("which posts")
    several: dict[str, Any] = {"action": "append", "default": []}
    group.add_argument("--configuration", type=int, metavar="ID", help="of the configuration", **several)
    group.add_argument("--owner", metavar="CODE", help="a seller's code or e-mail", **several)
    group.add_argument("--status", choices=[*map(str, statuses)], help="how they stand now", **several)
    group.add_argument(
        "--http-code",
        "--response",
        type=_code,
        metavar="CODE",
        help="of the last answer: 404, 4xx, none (no answer), or its problem, such as timeout or dns",
        **several,
    )
    group.add_argument(
        "--event", choices=EventType.values, metavar="EVENT", help="such as PURCHASE_APPROVED", **several
    )
    group.add_argument("--transaction", metavar="CODE", help="such as HP1121336654", **several)
    group.add_argument(
        "--since", type=_moment, metavar="TIME", help="of events from then on: 2026-11-20, or with a time"
    )
    group.add_argument("--until", type=_moment, metavar="TIME", help="of events before then")
    return group


def is_chosen(options: dict[str, Any]) -> bool:
    return any(options[name] for name in NAMES)


def selection(options: dict[str, Any]) -> Selected:
    """Refuses what is not there: a slip of the pen must not take something else."""
    configs = set(options["configuration"])
    possible = [pk for pk in configs if 0 < pk < 2**63]
    known = set(WebhookConfig.objects.filter(pk__in=possible).values_list("pk", flat=True))
    if unknown := configs - known:
        raise refused(_("There is no configuration %(id)s.") % {"id": min(unknown)})
    codes = {code.upper() for code in options["transaction"]}
    known = set(Event.objects.filter(transaction_code__in=codes).values_list("transaction_code", flat=True))
    if unknown := codes - known:
        raise refused(_("Nothing was posted for a transaction %(code)s.") % {"code": min(unknown)})
    since, until = options["since"], options["until"]
    if since and until and since >= until:
        raise refused(_("--since must be before --until."))
    return Selected(
        configurations=tuple(sorted(configs)),
        owners=tuple(sorted({_owner(text) for text in options["owner"]})),
        statuses=tuple(options["status"]),
        codes=tuple(options["http_code"]),
        events=tuple(options["event"]),
        transactions=tuple(sorted(codes)),
        since=since,
        until=until,
    )


def in_words(options: dict[str, Any]) -> str:
    """As it was typed; empty where nothing was chosen."""
    parts = []
    for name in NAMES:
        values = options[name] if isinstance(options[name], list) else [options[name]]
        parts += [f"--{name.replace('_', '-')} {_typed(value)}" for value in values if value]
    return " ".join(parts)


def refused(text: str) -> CommandError:
    return CommandError(text, returncode=REFUSED)


def _owner(text: str) -> int:
    named = Q(code=text) | Q(email__iexact=text) | Q(user__email__iexact=text)
    found = list(Seller.objects.filter(named).values_list("pk", flat=True).distinct()[:2])
    if len(found) != 1:
        why = _("Several sellers are %(name)s: use a code.") if found else _("There is no seller %(name)s.")
        raise refused(why % {"name": text})
    return found[0]


def _code(text: str) -> str:
    if not history.is_response(text):
        raise ArgumentTypeError(
            _("“%(code)s” is none: write 404, 4xx, none, or a problem such as timeout.") % {"code": text}
        )
    return text


def _moment(text: str) -> datetime:
    """In the time zone of the settings, where it has none."""
    at = history.moment(text)
    if at is None:
        raise ArgumentTypeError(
            _("“%(text)s” is no time: write 2026-11-20 or 2026-11-20T15:00.") % {"text": text}
        )
    return at


def _typed(value: Any) -> str:
    return value.isoformat(timespec="minutes") if isinstance(value, datetime) else str(value)
