"""The options by which a command is told which posts it is about: the History's filters, for all sellers.

`add_to(parser)`, then `selected(options)`. Each may be given several times: one of its values has to fit.
"""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime, time
from typing import Any

from django.core.management.base import CommandError
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from configurations.events import EventType
from configurations.models import WebhookConfig
from sales.commandkit import REFUSED
from sales.models import Seller

from . import history
from .models import State
from .selecting import Selected


def add_to(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("which posts", "without any: all; each may be given several times")
    several: dict[str, Any] = {"action": "append", "default": []}
    group.add_argument("--owner", metavar="CODE", help="the seller's account code or e-mail", **several)
    group.add_argument(
        "--configuration", metavar="ID", type=int, help="its number, as in its address", **several
    )
    group.add_argument("--status", choices=State.values, help="where the post stands", **several)
    group.add_argument(
        "--response",
        metavar="CODE",
        type=_response,
        help="what came of the last try: 404, 5xx, none (no answer), page (OK, with a web page), or a problem such as "
        "timeout",
        **several,
    )
    group.add_argument(
        "--event", choices=EventType.values, metavar="EVENT", help="such as PURCHASE_APPROVED", **several
    )
    group.add_argument("--transaction", metavar="CODE", help="such as HP1121336654", **several)
    group.add_argument(
        "--since",
        metavar="TIME",
        type=_moment,
        help="events from then on: 2026-11-23, or 2026-11-23T15:52 (UTC)",
    )
    group.add_argument("--until", metavar="TIME", type=_moment, help="events before that")


def selected(options: dict[str, Any]) -> Selected:
    """Raises CommandError where there is no such seller or configuration, or the period ends before it begins."""
    since, until = options["since"], options["until"]
    if since and until and since >= until:
        raise CommandError(
            _("The period ends before it begins: --since has to be earlier than --until."), returncode=REFUSED
        )
    return Selected(
        configurations=_configurations(options["configuration"]),
        owners=tuple(_owner(name) for name in options["owner"]),
        statuses=tuple(options["status"]),
        codes=tuple(options["response"]),
        events=tuple(options["event"]),
        transactions=tuple(code.strip().upper() for code in options["transaction"]),
        since=since,
        until=until,
    )


def _owner(name: str) -> int:
    found = Seller.objects.filter(Q(code=name) | Q(email__iexact=name)).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(
            _("There is no seller with the account code or e-mail “%(name)s”.") % {"name": name},
            returncode=REFUSED,
        )
    return found


def _configurations(pks: Iterable[int]) -> tuple[int, ...]:
    there = set(
        WebhookConfig.objects.filter(pk__in=[pk for pk in pks if 0 < pk < 2**63]).values_list("pk", flat=True)
    )
    for pk in pks:
        if pk not in there:
            raise CommandError(
                _("There is no configuration with the number %(pk)d.") % {"pk": pk}, returncode=REFUSED
            )
    return tuple(pks)


def _response(text: str) -> str:
    if not history.is_response(text):
        raise ArgumentTypeError(
            _(
                "“%(text)s” is no response: write a code such as 404, a class such as 5xx, none, page, or a problem."
            )
            % {"text": text}
        )
    return text


def _moment(text: str) -> datetime:
    try:
        at = parse_datetime(text)
        if at is None and (day := parse_date(text)):
            at = datetime.combine(day, time.min)
    except ValueError:
        at = None
    if at is None:
        raise ArgumentTypeError(
            _("“%(text)s” is no time: write 2026-11-23, or 2026-11-23T15:52.") % {"text": text}
        )
    return timezone.make_aware(at, UTC) if timezone.is_naive(at) else at
