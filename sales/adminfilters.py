"""Filters for lists that may be long: none of them reads the table to find out what can be chosen."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


def is_key(text: str) -> bool:
    """Whether a row may have it for its number."""
    return text.isdecimal() and len(text) <= 18


class AutocompleteFilter(admin.FieldListFilter):
    """Of a foreign key: a field that finds the row as one types, where a list of all would be endless.

    Give it as ("product__owner", AutocompleteFilter). What it leads to needs an admin with search_fields.
    """

    template = "admin/autocomplete_filter.html"

    def __init__(
        self, field: Any, request: HttpRequest, params: Any, model: Any, model_admin: Any, field_path: str
    ) -> None:
        self.lookup = f"{field_path}__{field.target_field.name}__exact"
        super().__init__(field, request, params, model, model_admin, field_path)
        self.chosen = (self.used_parameters.get(self.lookup) or [""])[-1]
        self.site = model_admin.admin_site
        there = self.site._registry.get(field.remote_field.model)
        self.may_look = there is not None and there.has_view_permission(request)

    def expected_parameters(self) -> list[str]:
        return [self.lookup]

    def has_output(self) -> bool:
        return self.may_look

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any] | None:
        if not self.chosen:
            return rows
        if not is_key(self.chosen):
            raise IncorrectLookupParameters
        return super().queryset(request, rows)

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        """For the template: the field, and what else the list is filtered by."""
        source = self.field.remote_field.model._default_manager.all()
        widget = AutocompleteSelect(self.field, self.site)
        select = forms.ModelChoiceField(source, widget=widget, required=False).widget
        attrs = {"id": f"filter_{self.lookup}", "aria-label": str(self.title), "data-width": "100%"}
        yield {
            "select": select.render(self.lookup, self.chosen, attrs),
            "others": _others(changelist, self.lookup),
            "clear": changelist.get_query_string(remove=[self.lookup]) if self.chosen else "",
        }


class ResponseFilter(admin.SimpleListFilter):
    """What a receiver answered: a class of codes, none, or any one code, typed. `field` holds the status."""

    title = _("response")
    parameter_name = "response"
    template = "admin/response_filter.html"
    field = "last_status"
    tried = Q()  # the rows of which an answer can be expected at all

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("2", "2xx"), ("3", "3xx"), ("4", "4xx"), ("5", "5xx"), ("none", _("No answer"))]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        if value == "none":
            return rows.filter(self.tried, **{f"{self.field}__isnull": True})
        if not value.isdecimal() or len(value) > 4:
            return rows
        if len(value) == 1:
            low = int(value) * 100
            return rows.filter(**{f"{self.field}__gte": low, f"{self.field}__lt": low + 100})
        return rows.filter(**{self.field: int(value)})

    def choices(self, changelist: Any) -> Iterator[dict[str, Any]]:
        found = list(super().choices(changelist))
        typed = self.value() or ""
        found[0]["form"] = {
            "name": self.parameter_name,
            "value": typed if len(typed) > 1 and typed.isdecimal() else "",
            "others": _others(changelist, self.parameter_name),
        }
        yield from found


def _others(changelist: Any, but: str) -> list[tuple[str, str]]:
    """What else stands in the list's address, but for the page."""
    return [
        (name, value) for name, values in changelist.filter_params.items() for value in values if name != but
    ]
