"""What the audit log says of configurations and tokens, beyond what is saved field by field.

A state moves, and a key is rotated, by an UPDATE that no signal sees: each is logged here, in its transaction.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry
from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from sales import audit

from .events import BY_TYPE

if TYPE_CHECKING:
    from .models import Token, WebhookConfig

FIELDS = (
    "owner", "name", "url", "events", "product", "version", "token_in_body", "posts_per_second", "state",
    "disabled_because", "disabled_detail",
)  # fmt: skip

audit.FACTS |= {
    "secret_rotated": _("The signing secret was rotated."),
    "token_rotated": _("The security token was rotated."),
    "token_rotation_set": _("A rotation of the security token was set."),
    "token_rotation_came": _("The security token was rotated, as it had been set."),
    "token_rotation_called_off": _("The rotation of the security token was called off."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry as the configuration's owner sees it."""

    at: datetime
    who: str
    address: str  # where the owner's own requests came from; nobody else's
    fact: str
    added: bool
    changes: list[audit.Change]


def shown_to_owner(entry: LogEntry, config: "WebhookConfig") -> Shown:
    """Staff are “support” to an owner, whoever of them it was; nobody's address is told but the owner's own."""
    mine = entry.actor_id is not None and entry.actor_id == config.owner.user_id
    if mine:
        who = gettext("You")
    elif entry.actor_email:
        who = gettext("Support")
    else:
        who = settings.SITE_NAME
    added = entry.action == LogEntry.Action.CREATE
    address = (entry.remote_addr or "") if mine else ""
    changes = [] if added else audit.changes_of(entry)
    return Shown(entry.timestamp, who, address, audit.fact_of(entry), added, changes)


def begin() -> None:
    """Called once, when the apps are ready."""
    from .models import Token, WebhookConfig

    audit.track_facts(Token, rotates_at=audit.moment)
    audit.track(
        WebhookConfig,
        *FIELDS,
        events=lambda types: ", ".join(_event(type_) for type_ in types or ()) or audit.EMPTY,
        product=lambda name: name or gettext("All products"),
    )


def _event(type_: str) -> str:
    described = BY_TYPE.get(type_)
    return str(described.short) if described else type_


def moved(config: "WebhookConfig", before: str) -> None:
    """The state of `config` is another than `before`."""
    changes: dict[str, tuple[Any, Any]] = {"state": (before, config.state)}
    if config.disabled_because:
        changes["disabled_because"] = ("", config.disabled_because)
    if config.disabled_detail:
        changes["disabled_detail"] = ("", config.disabled_detail)
    audit.note(config, changes=changes)


def secret_rotated(config: "WebhookConfig") -> None:
    audit.note(config, "secret_rotated")


def token_rotated(token: "Token") -> None:
    audit.note(token, "token_rotated")


def token_rotation_set(token: "Token", at: datetime) -> None:
    audit.note(token, "token_rotation_set", {"rotates_at": (None, at.isoformat())})


def token_rotations_came(tokens: Iterable["Token"]) -> None:
    audit.note_all(tokens, "token_rotation_came")


def token_rotation_called_off(token: "Token", at: datetime) -> None:
    audit.note(token, "token_rotation_called_off", {"rotates_at": (at.isoformat(), None)})


def of(config: "WebhookConfig") -> QuerySet[LogEntry]:
    """What was changed of the configuration, and of the token that its posts carry, the newest first."""
    from .models import Token, WebhookConfig

    token = Token.objects.filter(seller=config.owner_id).values_list("pk", flat=True).first()
    entries = audit.entries_of(WebhookConfig, config.pk)
    return entries | audit.entries_of(Token, token) if token else entries
