"""How we send, as it is in force: every figure is read from the settings and from the rules themselves."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from configurations.models import OVERLAP, Reason
from deliveries import disabling
from deliveries.retries import SOFT_REFUSALS
from sales.templatetags.formats import span


@dataclass(frozen=True, slots=True)
class Try:
    number: int
    wait: str  # after the one before; empty for the first
    since_first: str


@dataclass(frozen=True, slots=True)
class Rule:
    """When a configuration is disabled: for which reason, and after how long without any other outcome."""

    reason: Promise
    lasts: str
    note: str | Promise = ""


def in_force() -> dict[str, Any]:
    return {
        "tries": _tries(),
        "jitter": settings.DELIVERY_RETRY_JITTER,
        "soft_refusals": SOFT_REFUSALS,
        "retry_after_cap": span(settings.DELIVERY_RETRY_AFTER_CAP),
        "connect_timeout": span(timedelta(seconds=settings.DELIVERY_CONNECT_TIMEOUT)),
        "deadline": span(timedelta(seconds=settings.DELIVERY_DEADLINE)),
        "max_response_kib": settings.DELIVERY_MAX_RESPONSE // 1024,
        "disabling": _disabling(),
        "probe_every": span(disabling.PROBE_EVERY),
        "overlap": span(OVERLAP),
    }


def _tries() -> list[Try]:
    tries, passed = [Try(1, "", span(timedelta()))], timedelta()
    for number, wait in enumerate(settings.DELIVERY_RETRY_AFTER, 2):
        passed += wait
        tries.append(Try(number, span(wait), span(passed)))
    return tries


def _disabling() -> list[Rule]:
    once_worked = _("%(span)s where a post has arrived there before") % {"span": span(disabling.ONCE_WORKED)}
    of_url = [Reason.NO_SUCH_HOST, Reason.NOT_PERMITTED, Reason.WRONG_CERTIFICATE]
    never_worked = span(disabling.NEVER_WORKED)
    tried = _("and at least %(n)s tries") % {"n": disabling.SERVER_TRIES}
    return [
        *(Rule(reason.label, never_worked, once_worked) for reason in of_url),
        Rule(Reason.GONE.label, span(disabling.GONE_LASTS)),
        Rule(Reason.SERVER.label, span(disabling.SERVER_LASTS), tried),
    ]
