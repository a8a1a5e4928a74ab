"""The audit log: who changed what, when, and from where. Nobody edits it.

What is saved row by row is seen by django-auditlog, for the models given to `track`. What is changed by an UPDATE, in
bulk, or is no change of a field at all (a rotation, an export) is written by `note`. Secrets and tokens never stand
here: that one was rotated is a fact, its value is none.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import signals
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

Words = Callable[[Any], Any]
EMPTY = "–"
# What happened, where it is no change of fields. Apps above add theirs; %(…)s is filled from the entry's data.
FACTS: dict[str, Promise | str] = {
    "password": _("The password was changed."),
    "redacted": _("What was held on the buyer %(buyer)s was erased, in %(rows)s rows."),
}
_words: dict[type[models.Model], Mapping[str, Words]] = {}
_request: ContextVar[HttpRequest | None] = ContextVar("audit_request", default=None)


# --- Who it is ----------------------------------------------------------------------------------------


@contextmanager
def acting(request: HttpRequest) -> Iterator[None]:
    """What is written within is by whoever sends this request; else it is by the command that runs."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def sign(entry: LogEntry) -> None:
    """Write the actor, and from where, into an entry that is not saved yet.

    A request that looks at a seller's pages (`request.staff_user`) stays the staff's own.
    """
    request = _request.get()
    if request is None:
        entry.additional_data = (entry.additional_data or {}) | {"by": _program()}
        return
    user = getattr(request, "staff_user", None) or getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        entry.actor_id, entry.actor_email = user.pk, user.email
    entry.remote_addr = address_of(request)


def address_of(request: HttpRequest) -> str | None:
    """The address that the request came from. What it says of itself counts only behind a proxy of ours, and then
    the last one, which the proxy wrote."""
    address = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY and (forwarded := request.headers.get("X-Forwarded-For")):
        address = forwarded.rsplit(",", 1)[-1].strip()
    try:
        return str(ip_address(address))
    except ValueError:
        return None


def _program() -> str:
    """The command that runs, as manage.py was called with it; the site's own name for what it does by itself."""
    command = sys.argv[1] if len(sys.argv) > 1 and Path(sys.argv[0]).name == "manage.py" else ""
    return settings.SITE_NAME if command in ("", "qcluster", "runserver") else command


# --- Writing ------------------------------------------------------------------------------------------


def track(model: type[models.Model], *fields: str, m2m: Iterable[str] = (), **words: Words) -> None:
    """Log each save of these fields; `words` shows what a field holds, where its choices do not."""
    auditlog.register(model, include_fields=list(fields), m2m_fields=set(m2m))
    _words[model] = words


def track_facts(model: type[models.Model], **words: Words) -> None:
    """Say that of this model what is noted is logged, and not each save."""
    _words[model] = words


def note(
    row: models.Model, fact: str = "", changes: Mapping[str, tuple[Any, Any]] | None = None, **data: Any
) -> None:
    """One entry: a fact of FACTS, or the changes as {field: (old, new)}, or both."""
    note_all([row], fact, changes, **data)


def note_all(
    rows: Iterable[models.Model],
    fact: str = "",
    changes: Mapping[str, tuple[Any, Any]] | None = None,
    *,
    action: int = LogEntry.Action.UPDATE,
    **data: Any,
) -> None:
    """The same of many rows of one model, with one insert."""
    entries = []
    for row in rows:
        owner = row.get_additional_data() if hasattr(row, "get_additional_data") else {}
        entry = LogEntry(
            content_type=ContentType.objects.get_for_model(row),
            object_pk=str(row.pk),
            object_id=row.pk if isinstance(row.pk, int) else None,
            object_repr=str(row),
            action=action,
            changes={name: list(pair) for name, pair in (changes or {}).items()},
            additional_data=owner | data | ({"fact": fact} if fact else {}),
        )
        sign(entry)
        entries.append(entry)
    LogEntry.objects.bulk_create(entries)


def note_model(model: type[models.Model], fact: str, **data: Any) -> None:
    """A fact about many rows at once, such as an export."""
    entry = LogEntry(
        content_type=ContentType.objects.get_for_model(model),
        object_pk="",
        object_repr=capfirst(str(model._meta.verbose_name_plural)),
        action=LogEntry.Action.ACCESS,
        changes={},
        additional_data=data | {"fact": fact},
    )
    sign(entry)
    LogEntry.objects.bulk_create([entry])


def created(rows: Iterable[models.Model]) -> None:
    """Log rows that bulk_create() wrote, which sends no signals."""
    note_all(rows, action=LogEntry.Action.CREATE)


# --- Reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """What a field was and is, in words. Of one that holds several, what was added and what taken off: then `old` is
    empty."""

    label: str
    old: str
    new: str


def entries_of(model: type[models.Model], *pks: int) -> models.QuerySet[LogEntry]:
    """What was logged of these rows, the newest first."""
    kind = ContentType.objects.get_for_model(model)
    entries = LogEntry.objects.filter(content_type=kind, object_id__in=pks)
    return entries.select_related("actor").order_by("-timestamp", "-pk")


def fact_of(entry: LogEntry) -> str:
    """The entry's fact as a sentence; empty where it is a change of fields."""
    data = entry.additional_data or {}
    words = FACTS.get(data.get("fact", ""))
    return str(words) % data if words else ""


def changes_of(entry: LogEntry) -> list[Change]:
    """What was changed, in words; of a new row, what it began with."""
    model = ContentType.objects.get_for_id(entry.content_type_id).model_class()
    changes = [_change(model, name, pair) for name, pair in sorted((entry.changes or {}).items())]
    if entry.action == LogEntry.Action.CREATE:
        return [Change(one.label, "", one.new) for one in changes if one.new != EMPTY]
    return changes


def _change(model: type[models.Model] | None, name: str, pair: Any) -> Change:
    try:
        field = model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        field = None
    label = capfirst(str(getattr(field, "verbose_name", name)))
    if isinstance(pair, dict):  # of a relation to many: what was added, or taken away
        objects = ", ".join(map(str, pair.get("objects", ())))
        return Change(label, "", _added(objects) if pair.get("operation") == "add" else _taken_off(objects))
    show = _words.get(model, {}).get(name) if model else None
    if all(isinstance(value, list) for value in pair) and all(pair):
        return Change(label, "", _difference(*pair, show))
    choices = dict(getattr(field, "flatchoices", ()) or ())
    old, new = (_shown(value, show, choices) for value in pair)
    return Change(label, old, new)


def _difference(old: list[Any], new: list[Any], show: Words | None) -> str:
    words = show or (lambda values: ", ".join(map(str, values)))
    added, gone = [v for v in new if v not in old], [v for v in old if v not in new]
    parts = [_added(words(added))] if added else []
    if gone:
        parts.append(_taken_off(words(gone)))
    return " · ".join(parts) or gettext("in another order")


def _added(names: str) -> str:
    return gettext("added: %(names)s") % {"names": names}


def _taken_off(names: str) -> str:
    return gettext("taken off: %(names)s") % {"names": names}


def _shown(value: Any, show: Words | None, choices: Mapping[Any, Any]) -> str:
    if show is not None:
        return str(show(value))
    if value in choices if isinstance(value, str) else False:
        return str(choices[value]) or EMPTY
    if isinstance(value, bool):
        return gettext("Yes") if value else gettext("No")
    if value in (None, "", []):
        return EMPTY
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def moment(value: Any) -> str:
    """Words for a time that is kept as text."""
    at = value if isinstance(value, datetime) else parse_datetime(value or "")
    return date_format(timezone.localtime(at), "j M Y, H:i") if at else EMPTY


def logged_models() -> list[type[models.Model]]:
    """Those of which there may be an entry."""
    return list(_words)


def actor_of(entry: LogEntry) -> str:
    """The e-mail of who did it; the command, or the site itself; empty where nobody was logged in."""
    return entry.actor_email or (entry.additional_data or {}).get("by", "")


# --- What is logged of sales --------------------------------------------------------------------------


def begin() -> None:
    """Called once, when the apps are ready."""
    from django.contrib.auth.models import Group

    from .models import Product, Seller

    user = get_user_model()
    signals.pre_save.connect(_sign, LogEntry, dispatch_uid="audit_sign")
    track(
        Seller, "code", "name", "email", "user", "legal_nature", "document", "language", "time_zone",
    )  # fmt: skip
    track(
        Product, "code", "name", "owner", "support_email", "has_co_production", "is_physical", "category", "content",
        "shares_buyers",
    )  # fmt: skip
    track(
        user, "username", "email", "first_name", "last_name", "is_active", "is_staff", "is_superuser",
        m2m=("groups", "user_permissions"),
    )  # fmt: skip
    track(Group, "name", m2m=("permissions",))
    signals.pre_save.connect(_see_password, user, dispatch_uid="audit_see_password")
    signals.post_save.connect(_note_password, user, dispatch_uid="audit_note_password")


def _sign(instance: LogEntry, **_kwargs: Any) -> None:
    """Those that django-auditlog writes by itself."""
    sign(instance)


def _see_password(instance: Any, update_fields: Iterable[str] | None = None, **_kwargs: Any) -> None:
    """Whether this save changes the password. The same password hashed anew, as a login may do, is none."""
    instance.password_changes = False
    if instance._state.adding or (update_fields is not None and "password" not in update_fields):
        return
    if instance._password is not None or not instance.has_usable_password():
        before = (
            type(instance)._default_manager.filter(pk=instance.pk).values_list("password", flat=True).first()
        )
        instance.password_changes = before != instance.password


def _note_password(instance: Any, **_kwargs: Any) -> None:
    if instance.password_changes:
        note(instance, "password")
