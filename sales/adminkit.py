"""What the admin pages of all apps share: evidence that nobody edits, saves that overwrite nothing, links."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import Max, QuerySet
from django.forms import Media, ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from .adminfilters import AutocompleteFilter, is_key

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


class Audited:
    """Its changes are in the audit log: that is where "Changes" of a row leads."""

    audited = True

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request, self.get_object(request, object_id)):
            raise PermissionDenied
        query = urlencode({"kind": self.opts.label_lower, "object_id": object_id})
        return redirect(f"{reverse('admin:auditlog_logentry_changelist')}?{query}")


class _Search(AutocompleteSelect):
    """The field that finds a row as one types. What an address or a form names may be no key at all, which Django
    would ask the database for."""

    def optgroups(self, name: str, value: Sequence[str], attr: Any = None) -> list[Any]:
        return super().optgroups(name, [one for one in value if one == "" or is_key(one)], attr)


class BigTable(admin.ModelAdmin):
    """A list that may be long: it counts no rows but those it shows, and joins what it names."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each count would read the table
    list_per_page = 50
    empty_value_display = EMPTY

    @property
    def media(self) -> Media:
        """With what a filter needs that is chosen from a search."""
        filters = [one[1] for one in self.list_filter if isinstance(one, tuple)]
        if not any(issubclass(one, AutocompleteFilter) for one in filters):
            return super().media
        search = AutocompleteSelect(None, self.admin_site).media
        return super().media + search + Media(js=["admin/js/autocomplete.js", "admin-filters.js"])

    def formfield_for_foreignkey(self, field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if field.name in self.get_autocomplete_fields(request):
            kwargs.setdefault("widget", _Search(field, self.admin_site, using=kwargs.get("using")))
        return super().formfield_for_foreignkey(field, request, **kwargs)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """A year of twenty digits is answered like any other lookup that makes no sense."""
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, ValueError) as error:  # or one whose next year is none
            raise IncorrectLookupParameters(error) from error

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, set[str], list[Any]]:
        """Of what protects a row, staff are told that it does, and not that they lack a right nobody has."""
        deletable, count, lacking, protected = super().get_deleted_objects(objs, request)
        return deletable, count, set() if protected else lacking, protected


# --- Bulk actions -------------------------------------------------------------------------------------

EXAMPLES = 5  # rows that a question names


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before a bulk action: all of it in words, for the rows that were chosen."""

    title: Any  # "Switch off 12 configurations?"
    go: Any  # the button that does it: "Switch off"
    facts: Sequence[Any] = ()  # what will happen, a sentence each
    dangerous: bool = False  # the button is red
    example: Callable[[Any], Any] = str  # how a row is named

    @property
    def possible(self) -> bool:
        """Without a button there is only the way back."""
        return bool(self.go)


Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponse | None]


def confirmed(ask: Callable[[QuerySet[Any], int], Question]) -> Callable[[Action], Action]:
    """An admin action that first shows a page with `ask(rows, how many)`, and is done only from there.

    Put it above @admin.action. Chosen one by one or by "select all" over several pages, the page counts them; of
    "all", rows that came since the question was asked are left alone. The way back has the focus. The action says
    what came of it, as any action does.
    """

    def decorate(action: Action) -> Action:
        @wraps(action)
        def inner(self: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
            everything = request.POST.get("select_across", "0") not in ("", "0")
            newest = request.POST.get("newest", "")
            if request.POST.get("sure") == "yes":
                if everything and newest.isdecimal():
                    rows = rows.filter(pk__lte=int(newest))
                return action(self, request, rows)
            count = rows.count()
            question = ask(rows, count)
            context = self.admin_site.each_context(request) | {
                "title": question.title,
                "question": question,
                "opts": self.opts,
                "count": count,
                "examples": [question.example(row) for row in rows[:EXAMPLES]],
                "others": max(0, count - EXAMPLES),
                "action": action.__name__,
                "checkbox": ACTION_CHECKBOX_NAME,
                "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
                "everything": everything,
                "newest": rows.order_by().aggregate(pk=Max("pk"))["pk"] if everything else "",
                "back": request.get_full_path(),
            }
            return TemplateResponse(request, "admin/confirm_action.html", context)

        return inner

    return decorate


# --- What the pages show ------------------------------------------------------------------------------


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


def when(at: datetime | None) -> str | SafeString:
    """A time in few characters; to the second in its title."""
    if at is None:
        return EMPTY
    at = timezone.localtime(at)
    form = "j M, H:i" if at.year == timezone.localtime().year else "j M Y, H:i"
    exact = date_format(at, "j M Y, H:i:s")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, date_format(at, form)
    )


def preformatted(text: str | SafeString) -> str | SafeString:
    return format_html('<pre class="code">{}</pre>', text) if text else EMPTY


def pretty_json(value: Any) -> str | SafeString:
    return preformatted(json.dumps(value, indent=2, ensure_ascii=False))
