"""The audit log in the admin: staff read it, nobody changes it."""

from collections.abc import Iterator
from typing import Any

import auditlog.admin  # noqa: F401  it registers a page of its own, whose styles our policy forbids
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator, capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from . import audit
from .adminfilters import AutocompleteFilter
from .adminkit import EMPTY, BigTable, Evidence, badge, when

admin.site.unregister(LogEntry)

FEW = 3  # changes in a row of the list
LONG = 160  # characters of a value there
_ACTIONS = {
    LogEntry.Action.CREATE: ("ok", _("Added")),
    LogEntry.Action.UPDATE: ("info", _("Changed")),
    LogEntry.Action.DELETE: ("bad", _("Deleted")),
    LogEntry.Action.ACCESS: ("off", _("Seen")),
}


class KindFilter(admin.SimpleListFilter):
    """By what was changed: the models that are logged."""

    title = _("what")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        kinds = [
            (model._meta.label_lower, capfirst(str(model._meta.verbose_name)))
            for model in audit.logged_models()
        ]
        return sorted(kinds, key=lambda kind: kind[1])

    def queryset(self, request: HttpRequest, entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        for model in audit.logged_models():
            if model._meta.label_lower == self.value():
                return entries.filter(content_type=ContentType.objects.get_for_model(model))
        return entries


class ByFilter(admin.SimpleListFilter):
    title = _("whom")
    parameter_name = "by"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("staff", _("Staff")),
            ("sellers", _("Sellers")),
            ("system", _("webhookhub and its commands")),
        ]

    def queryset(self, request: HttpRequest, entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        match self.value():
            case "staff":
                return entries.filter(actor__is_staff=True)
            case "sellers":
                return entries.filter(actor__is_staff=False)
            case "system":
                return entries.filter(actor=None, actor_email=None)
        return entries


class ActionFilter(admin.SimpleListFilter):
    title = _("what was done")
    parameter_name = "did"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(action), words) for action, (_colour, words) in _ACTIONS.items()]

    def queryset(self, request: HttpRequest, entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        return entries.filter(action=self.value()) if self.value() in map(str, _ACTIONS) else entries


@admin.register(LogEntry)
class LogEntryAdmin(Evidence, BigTable):
    list_display = ("at", "who", "did", "row", "what", "where")
    list_filter = (ByFilter, ("actor", AutocompleteFilter), KindFilter, ActionFilter)
    list_select_related = ("actor", "content_type")
    list_display_links = ("at",)
    date_hierarchy = "timestamp"
    search_fields = ("object_repr", "actor_email", "additional_data__owner")
    search_help_text = _("Name of what was changed, its owner’s name or code, or the e-mail of who did it")
    ordering = ("-timestamp", "-pk")
    fields = ("at", "who", "where", "did", "row", "owner", "all_of_it")
    readonly_fields = fields

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, (extra_context or {}) | {"title": _("Audit log")})

    @admin.display(description=_("when"), ordering="timestamp")
    def at(self, entry: LogEntry) -> Any:
        return when(entry.timestamp)

    @admin.display(description=_("who"), ordering="actor_email")
    def who(self, entry: LogEntry) -> Any:
        return audit.actor_of(entry) or gettext("Nobody logged in")

    @admin.display(description=_("from"))
    def where(self, entry: LogEntry) -> str | None:
        return entry.remote_addr

    @admin.display(description=_("did"), ordering="action")
    def did(self, entry: LogEntry) -> SafeString:
        return badge(*_ACTIONS[entry.action])

    @admin.display(description=_("what"), ordering="object_repr")
    def row(self, entry: LogEntry) -> Any:
        """A link to the row, if it has a page and was not deleted."""
        kind = ContentType.objects.get_for_id(entry.content_type_id)
        model = kind.model_class()
        name = capfirst(str(model._meta.verbose_name)) if model else kind.model
        if not entry.object_pk:
            return entry.object_repr
        shown = format_html("{} “{}”", name, Truncator(entry.object_repr).chars(80))
        if entry.action == LogEntry.Action.DELETE:
            return shown
        try:
            url = reverse(f"admin:{kind.app_label}_{kind.model}_change", args=[entry.object_pk])
        except NoReverseMatch:
            return shown
        return format_html('<a href="{}">{}</a>', url, shown)

    @admin.display(description=_("owner"))
    def owner(self, entry: LogEntry) -> str:
        return (entry.additional_data or {}).get("owner") or EMPTY

    @admin.display(description=_("in words"))
    def what(self, entry: LogEntry) -> Any:
        changes = audit.changes_of(entry)
        lines = list(_lines(audit.fact_of(entry), changes[:FEW], LONG))
        if len(changes) > FEW:
            lines.append(gettext("and %(n)d more") % {"n": len(changes) - FEW})
        return format_html_join("", '<div class="change">{}</div>', ((line,) for line in lines)) or EMPTY

    @admin.display(description=_("in words"))
    def all_of_it(self, entry: LogEntry) -> Any:
        lines = _lines(audit.fact_of(entry), audit.changes_of(entry), None)
        return format_html_join("", '<div class="change">{}</div>', ((line,) for line in lines)) or EMPTY


def _lines(fact: str, changes: list[audit.Change], longest: int | None) -> Iterator[Any]:
    """The fact, and a line for each change: what it was and what it is."""

    def cut(text: str) -> str:
        return Truncator(text).chars(longest) if longest else text

    if fact:
        yield fact
    for change in changes:
        if change.old:
            yield format_html(
                "<b>{}</b> <del>{}</del> → <ins>{}</ins>", change.label, cut(change.old), cut(change.new)
            )
        else:
            yield format_html("<b>{}</b> <ins>{}</ins>", change.label, cut(change.new))
