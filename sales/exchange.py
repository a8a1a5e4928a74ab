"""Import and export in the admin: what the pages of all apps share.

On django-import-export, with its inline script and style replaced: a preview of what would change, then one press; all
rows or none. No cell is run as a formula, the size is limited, and who exported or imported what is in the audit log.
"""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.encoding import force_str
from django.utils.html import escape, format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from import_export.admin import ImportExportMixin
from import_export.formats.base_formats import CSV, JSON
from import_export.forms import ExportForm, ImportForm
from import_export.resources import Diff, ModelResource
from import_export.results import Result
from import_export.tmp_storages import CacheStorage
from tablib import Dataset

from . import audit
from .limits import limited
from .spreadsheets import FORMULA, cell, first_few
from .templatetags.formats import number

MOST_OUT = 20_000  # rows of one export

audit.FACTS |= {
    "exported": gettext_lazy("%(rows)s rows were exported as %(format)s."),
    "imported": gettext_lazy("A file was imported: %(new)s new, %(changed)s changed, %(same)s as they were."),
}


class HarmlessCSV(CSV):
    """Written so that no spreadsheet runs a cell; read with commas, semicolons or tabs."""

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> Dataset:
        text = in_stream.decode(self.encoding) if isinstance(in_stream, bytes) else in_stream
        text = text.removeprefix("\ufeff")
        first = text.split("\n", 1)[0]
        dataset = Dataset().load(text, format="csv", delimiter=max(",;\t", key=first.count))
        return Dataset(*[[_bare(value) for value in row] for row in dataset], headers=dataset.headers)

    def export_data(self, dataset: Dataset, **kwargs: Any) -> str:
        rows = [[cell(value) for value in row] for row in dataset]
        return "\ufeff" + Dataset(*rows, headers=dataset.headers).export("csv")


def _bare(text: str) -> str:
    """Without the apostrophe that made it harmless."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


class PlainDiff(Diff):
    """What a row was and would be, cell by cell, as they stand in an export."""

    def __init__(self, resource: ModelResource, instance: Any, new: bool) -> None:
        self.left, self.right, self.new = self._cells(resource, instance), [], new

    def compare_with(self, resource: ModelResource, instance: Any) -> None:
        self.right = self._cells(resource, instance)

    @staticmethod
    def _cells(resource: ModelResource, instance: Any) -> list[tuple[str, str]]:
        fields = resource.get_import_fields()
        return [
            (field.column_name, force_str(resource.export_field(field, instance) or "")) for field in fields
        ]

    def as_html(self) -> list[str]:
        return [
            self._cell(name, old, new)
            for (name, old), (_name, new) in zip(self.left, self.right, strict=False)
        ]

    def _cell(self, name: str, old: str, new: str) -> str:
        if self.new:
            return "" if name == "id" else escape(new)  # the number it would get is not known yet
        if old == new:
            return escape(new)
        if " " in old + new and set(old.split()) & set(new.split()):
            return self._words(old.split(), new.split())
        return format_html("<del>{}</del> <ins>{}</ins>", old or audit.EMPTY, new or audit.EMPTY)

    def _words(self, old: list[str], new: list[str]) -> str:
        """Of several words: those that stay, those taken off, those added."""
        kept = [(escape(word),) for word in old if word in new]
        gone = [(format_html("<del>{}</del>", word),) for word in old if word not in new]
        added = [(format_html("<ins>{}</ins>", word),) for word in new if word not in old]
        return format_html_join(" ", "{}", kept + gone + added)


class LimitedResource(ModelResource):
    """Rows in their order, all or none, and not too many."""

    def get_diff_class(self) -> type[Diff]:
        return PlainDiff

    def before_import(self, dataset: Dataset, **kwargs: Any) -> None:
        most, rows = settings.IMPORT_MOST_CONFIGURATIONS, len(dataset)
        known = {field.column_name for field in self.fields.values()}
        unknown = [name for name in dataset.headers or () if name not in known]
        if rows > most or unknown:
            dataset.wipe()  # else each of its rows is gone through all the same, and each is an error of its own
        if rows > most:
            text = _("The file has %(rows)s rows, more than the %(most)s that one import takes: split it.")
            raise ValidationError(text % {"rows": number(rows), "most": number(most)})
        if unknown:
            text = ngettext("There is no column %(names)s.", "There are no columns %(names)s.", len(unknown))
            few, more = first_few(unknown)
            raise ValidationError(f"{text % {'names': ', '.join(few)}} {more}".strip())


class FileForm(ImportForm):
    def clean_import_file(self) -> Any:
        return not_too_large(self.cleaned_data["import_file"])


def not_too_large(file: Any) -> Any:
    """The uploaded file; raises ValidationError."""
    most = settings.IMPORT_MOST_BYTES
    if file.size > most:
        text = _("The file has %(size)s, more than the %(most)s that one import takes: split it.")
        raise forms.ValidationError(text % {"size": filesizeformat(file.size), "most": filesizeformat(most)})
    return file


class OneHour(CacheStorage):
    """An uploaded file waits for its confirmation where all processes find it, and no longer than this."""

    CACHE_LIFETIME = 3600  # seconds


class TooMany(ValueError):
    """`str()` of it is a sentence for the page."""


class Exchange(ImportExportMixin):
    """For an admin: the buttons, the pages, who may. Put it first among the bases."""

    import_template_name = "admin/exchange/import.html"
    export_template_name = "admin/exchange/export.html"
    import_form_class = FileForm
    export_form_class = ExportForm
    tmp_storage_class = OneHour
    skip_admin_log = True  # the audit log has it

    def get_import_formats(self) -> list[Any]:
        return [HarmlessCSV, JSON]

    def get_export_formats(self) -> list[Any]:
        return [HarmlessCSV, JSON]

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) and self.has_change_permission(request)

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.export_{self.opts.model_name}")

    def get_import_data_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_import_data_kwargs(**kwargs) | {"rollback_on_validation_errors": True}

    @method_decorator(limited("import"))
    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return super().import_action(request, **kwargs)

    @method_decorator(limited("export"))
    def export_action(self, request: HttpRequest) -> HttpResponse:
        """Of the rows that the list's filters let through; where those make no sense, back to the list, which says so."""
        try:
            return super().export_action(request)
        except (IncorrectLookupParameters, OverflowError, ValueError):
            changelist = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            return redirect(f"{changelist}?{ERROR_FLAG}=1")

    def process_result(self, result: Result, request: HttpRequest) -> HttpResponse:
        if result.has_errors() or result.has_validation_errors():
            return self._changed_since(request)
        audit.note_model(
            self.model,
            "imported",
            new=result.totals["new"],
            changed=result.totals["update"],
            same=result.totals["skip"],
        )
        return super().process_result(result, request)

    def _changed_since(self, request: HttpRequest) -> HttpResponse:
        text = _("Nothing was imported: what the rows are about has changed since the preview. Import again.")
        messages.error(request, text)
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_import")

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """After the preview. A file that waited too long is asked for again."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        name = request.POST.get("import_file_name", "")
        if request.method == "POST" and OneHour(name=name).read() is None:
            return self._changed_since(request)
        return super().process_import(request, **kwargs)

    def get_export_data(self, file_format: Any, request: HttpRequest, queryset: Any, **kwargs: Any) -> Any:
        rows = queryset.count()
        if rows > MOST_OUT:
            text = _("These are %(rows)s rows, more than the %(most)s of one export: filter the list first.")
            raise TooMany(text % {"rows": number(rows), "most": number(MOST_OUT)})
        data = super().get_export_data(file_format, request, queryset, **kwargs)
        audit.note_model(self.model, "exported", rows=rows, format=file_format.get_extension().upper())
        return data
