"""Transactions as rows of a file, in and out of the admin.

What comes in goes the way of `import_transactions`, with its columns and its rules, so that posts arise from it; what
goes out has the same columns.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from import_export.fields import Field

from . import audit
from .exchange import Exchange, LimitedResource, OneHour, not_too_large
from .forms import time_zones
from .import_rows import FORMATS, Unusable
from .importing import Result, import_batches
from .limits import limited
from .models import Transaction
from .templatetags.formats import number

SHOWN = 50  # bad rows

audit.FACTS |= {
    "sales_imported": gettext_lazy(
        "A file was imported: %(created)s new, %(changed)s with another status, %(updated)s otherwise changed, "
        "%(unchanged)s as they were, %(bad)s bad."
    ),
    "sales_imported_silently": gettext_lazy(
        "A file was imported, and nobody was told: %(created)s new, %(changed)s with another status, %(updated)s "
        "otherwise changed, %(unchanged)s as they were, %(bad)s bad."
    ),
}

_PLAIN = (
    "code", "status", "ordered_at", "approved_at", "warranty_until", "buyer_name", "buyer_email", "buyer_document",
    "price", "currency", "payment_type", "installments", "offer_code", "coupon_code", "recurrence_number", "src",
)  # fmt: skip


class TransactionResource(LimitedResource):
    """For the export: columns that `import_transactions` knows."""

    product_code = Field(column_name="product_code", attribute="product__code")
    product_name = Field(column_name="product_name", attribute="product__name")
    producer_code = Field(column_name="producer_code", attribute="product__owner__code")
    producer_name = Field(column_name="producer_name", attribute="product__owner__name")
    affiliate_code = Field(column_name="affiliate_code", attribute="affiliate__code")
    affiliate_name = Field(column_name="affiliate_name", attribute="affiliate__name")
    ordered_at = Field(column_name="ordered_at")
    approved_at = Field(column_name="approved_at")
    warranty_until = Field(column_name="warranty_until")

    class Meta:
        model = Transaction
        fields = (
            *_PLAIN[:5],
            *(
                "product_code",
                "product_name",
                "producer_code",
                "producer_name",
                "affiliate_code",
                "affiliate_name",
            ),
            *_PLAIN[5:],
        )
        export_order = fields

    def filter_export(self, queryset: QuerySet[Transaction], **kwargs: Any) -> QuerySet[Transaction]:
        return queryset.select_related("product__owner", "affiliate")

    def dehydrate_ordered_at(self, sale: Transaction) -> str:
        return _moment(sale.ordered_at)

    def dehydrate_approved_at(self, sale: Transaction) -> str:
        return _moment(sale.approved_at)

    def dehydrate_warranty_until(self, sale: Transaction) -> str:
        return _moment(sale.warranty_until)


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at else ""


class SalesFileForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("CSV or JSON Lines, UTF-8; the ending of its name tells which."),
    )
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=lambda: [("", gettext_lazy("None: such times are refused")), *time_zones()],
        required=False,
        help_text=gettext_lazy("Of times that have none of their own."),
    )
    notify = forms.BooleanField(
        label=gettext_lazy("Tell the sellers’ systems"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "Off for history that was posted long ago: it is written, and posted to nobody."
        ),
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if Path(file.name).suffix.lstrip(".").lower() not in FORMATS:
            raise forms.ValidationError(_("The ending does not tell the format: name it .csv or .jsonl."))
        return not_too_large(file)


class ConfirmForm(forms.Form):
    """What was chosen on the first page; the file itself waits under its name."""

    name = forms.CharField(widget=forms.HiddenInput)
    format = forms.ChoiceField(choices=[(f, f) for f in set(FORMATS.values())], widget=forms.HiddenInput)
    time_zone = forms.ChoiceField(
        choices=lambda: [("", ""), *time_zones()], required=False, widget=forms.HiddenInput
    )
    notify = forms.BooleanField(required=False, widget=forms.HiddenInput)


class TransactionExchange(Exchange):
    """Adds import and export to the admin of Transaction. Put it first among the bases."""

    resource_classes = (TransactionResource,)

    @method_decorator(limited("import"))
    def import_action(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """The file; then what its import would do."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = SalesFileForm(request.POST or None, request.FILES or None)
        context: dict[str, Any] = {"form": form}
        if request.method == "POST" and form.is_valid():
            content, chosen = form.cleaned_data["file"].read(), form.cleaned_data
            format_ = FORMATS[Path(chosen["file"].name).suffix.lstrip(".").lower()]
            with _unusable_is_told(form):
                found = _run(content, format_, chosen["time_zone"], notify=chosen["notify"], dry_run=True)
                context |= {
                    "found": found,
                    "bad": found.bad[:SHOWN],
                    "more_bad": max(0, len(found.bad) - SHOWN),
                }
                context["notify"] = chosen["notify"]
                if found.created or found.changed or found.updated:
                    waiting = OneHour()
                    waiting.save(content)
                    context["confirm"] = ConfirmForm(
                        initial=chosen | {"name": waiting.name, "format": format_}, auto_id=False
                    )
        return self._page(request, context)

    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = ConfirmForm(request.POST)
        waiting = OneHour(name=request.POST.get("name", ""))
        content = waiting.read() if request.method == "POST" and form.is_valid() else None
        if content is None:
            messages.error(request, _("Nothing was imported: the file waited for too long. Choose it again."))
            return redirect("admin:sales_transaction_import")
        waiting.remove()  # who presses twice imports once
        chosen = form.cleaned_data
        done = _run(content, chosen["format"], chosen["time_zone"], notify=chosen["notify"], dry_run=False)
        names = ("created", "changed", "updated", "unchanged")
        counts = {name: getattr(done, name) for name in names} | {"bad": len(done.bad)}
        audit.note_model(
            Transaction, "sales_imported" if chosen["notify"] else "sales_imported_silently", **counts
        )
        (messages.warning if done.bad else messages.success)(request, _told(done))
        return redirect("admin:sales_transaction_changelist")

    def _page(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"title": _("Import"), "opts": self.opts} | context
        return TemplateResponse(request, "admin/exchange/transactions.html", context)


@contextmanager
def _unusable_is_told(form: forms.Form) -> Iterator[None]:
    try:
        yield
    except Unusable as why:
        form.add_error("file", str(why))


def _run(content: bytes, format_: str, zone: str, *, notify: bool, dry_run: bool) -> Result:
    """Raises Unusable."""
    rows, most = max(content.count(b"\n"), content.count(b"\r")), settings.IMPORT_MOST_ROWS
    if rows > most:
        text = _(
            "The file has %(rows)s lines, more than the %(most)s that are imported here: the command "
            "“import_transactions” takes it."
        )
        raise Unusable(text % {"rows": number(rows), "most": number(most)})
    total = Result()
    batches = import_batches(
        BytesIO(content), format_, zone=ZoneInfo(zone) if zone else None, notify=notify, dry_run=dry_run
    )
    for done, _last in batches:
        total = total.plus(done)
    return total


def _told(done: Result) -> str:
    written = done.created + done.changed + done.updated
    text = ngettext("%(n)s row was imported.", "%(n)s rows were imported.", written) % {"n": number(written)}
    if not done.bad:
        return text
    bad = ngettext("%(n)s bad row was left out.", "%(n)s bad rows were left out.", len(done.bad))
    return f"{text} {bad % {'n': number(len(done.bad))}}"
