"""What the admin pages of all apps share: evidence that nobody edits, saves that overwrite nothing, links."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db import models
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

EMPTY = "–"


class WritesOnlyChanges:
    """Of a row that is there, only the fields that staff changed are written.

    The worker, an import or another member of staff may change the row while a form stands open; a save of the
    whole form would undo that, and with a status even post it. What was changed is told by what the page showed,
    not by what the row says now.
    """

    def get_form(
        self, request: HttpRequest, obj: models.Model | None = None, **kwargs: Any
    ) -> type[ModelForm]:
        form = super().get_form(request, obj, **kwargs)
        if obj is not None:
            for field in form.base_fields.values():
                field.show_hidden_initial = True
        return form

    def save_model(self, request: HttpRequest, obj: models.Model, form: ModelForm, change: bool) -> None:
        if not change:
            obj.save()
            return
        fields = {f.name for f in obj._meta.concrete_fields} & set(form.changed_data)
        if fields:
            fields |= {f.name for f in obj._meta.concrete_fields if getattr(f, "auto_now", False)}
            obj.save(update_fields=fields)


class Evidence:
    """Rows that say what happened: nobody adds, changes or deletes them."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class BigTable(admin.ModelAdmin):
    """A list that may be long: it counts no rows but those it shows, and joins what it names."""

    show_full_result_count = False
    list_per_page = 50
    empty_value_display = EMPTY

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[Any]]:
        """Of what protects a row, staff are told that it does, and not that they lack a right nobody has."""
        deletable, count, lacking, protected = super().get_deleted_objects(objs, request)
        return deletable, count, set() if protected else lacking, protected


def link(row: models.Model | None, text: Any = None) -> str | SafeString:
    """A link to the row's page in the admin."""
    if row is None:
        return EMPTY
    url = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row if text is None else text)


def list_link(model: str, text: Any, **lookups: Any) -> str | SafeString:
    """A link to the admin's list of `model` ("app_model"), filtered; empty of a row that is not saved yet.

    By name, since models of the apps above are unknown here.
    """
    if None in lookups.values():
        return ""
    return format_html(
        '<a href="{}?{}">{}</a>', reverse(f"admin:{model}_changelist"), urlencode(lookups), text
    )


def named_link(name: str, text: Any, *args: Any) -> SafeString:
    """A link to one of the seller's pages, which apps above have: by the name of its address."""
    return format_html('<a href="{}">{}</a>', reverse(name, args=args), text)


def links(*parts: str | SafeString) -> str | SafeString:
    return format_html_join(" · ", "{}", ((part,) for part in parts if part)) or EMPTY


def badge(kind: str, text: Any) -> SafeString:
    """`kind` is one of the colours of admin-webhookhub.css: ok, wait, bad, info, held, off."""
    return format_html('<span class="badge {}">{}</span>', kind, text)


def preformatted(text: str | SafeString) -> str | SafeString:
    return format_html('<pre class="code">{}</pre>', text) if text else EMPTY


def pretty_json(value: Any) -> str | SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))
