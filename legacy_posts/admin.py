from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from deliveries import showing
from sales.adminkit import EMPTY, BigTable, Evidence, badge, link, list_link, preformatted

from .models import Format, Kind, LegacyImport, LegacyPost
from .pages import CONTENT_TYPES


@admin.register(LegacyImport)
class LegacyImportAdmin(Evidence, BigTable):
    list_display = ("file_name", "started_at", "ended", "encoding", "rows", "added", "known", "bad", "posts")
    list_filter = ("started_at",)
    search_fields = ("file_name",)
    search_help_text = _("Name of the file")
    ordering = ("-pk",)
    fields = ("file_name", "encoding", "started_at", "ended", "rows", "added", "known", "bad", "posts")
    readonly_fields = fields

    @admin.display(description=_("finished"), ordering="finished_at")
    def ended(self, run: LegacyImport) -> Any:
        return run.finished_at or badge("wait", _("Not finished"))

    @admin.display(description=_("posts"))
    def posts(self, run: LegacyImport) -> str | SafeString:
        return list_link("legacy_posts_legacypost", _("Posts"), source__id__exact=run.pk)


@admin.register(LegacyPost)
class LegacyPostAdmin(Evidence, BigTable):
    list_display = (
        "name",
        "kind_badge",
        "owner_link",
        "result",
        "tries",
        "host",
        "occurred_at",
        "delivery_link",
    )
    list_filter = ("kind", "event", "status", "format", "sent_at")
    list_select_related = ("owner", "delivery")
    search_fields = ("transaction_code__exact", "buyer_email__exact")
    search_help_text = _("Transaction code or the buyer's e-mail, in lower case")
    ordering = (
        "-pk",
    )  # as they came in; by time a million rows of all owners would need an index of their own
    fields = (
        "name", "kind_badge", "owner_link", "source_link", "identity", "occurred_at", "transaction_code",
        "product_code", "product_name", "buyer_email", "url", "result", "problem", "tries", "version", "sent_at",
        "delivery_link", "the_payload", "the_response",
    )  # fmt: skip
    readonly_fields = fields
    view_on_site = False  # the seller's page is the owner's only

    def get_queryset(self, request: HttpRequest) -> QuerySet[LegacyPost]:
        return super().get_queryset(request).defer("payload", "response", "delivery__body")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """The link of an import leads to its posts, that of a seller to theirs."""
        return lookup in ("source__id__exact", "owner__id__exact") or super().lookup_allowed(
            lookup, value, request
        )

    @admin.display(description=_("post"), ordering="event")
    def name(self, post: LegacyPost) -> str:
        return str(post)

    @admin.display(description=_("kind"), ordering="kind")
    def kind_badge(self, post: LegacyPost) -> SafeString:
        colour = "off" if post.kind == Kind.SENT else "ok" if post.sent_at else "wait"
        return badge(colour, post.get_kind_display())

    @admin.display(description=_("owner"), ordering="owner__name")
    def owner_link(self, post: LegacyPost) -> Any:
        return link(post.owner)

    @admin.display(description=_("imported from"))
    def source_link(self, post: LegacyPost) -> Any:
        return link(post.source)

    @admin.display(description=_("HTTP status"), ordering="status")
    def result(self, post: LegacyPost) -> Any:
        if post.status is None:
            return EMPTY
        return badge("ok" if 200 <= post.status < 300 else "bad", post.status)

    @admin.display(description=_("post in the History"))
    def delivery_link(self, post: LegacyPost) -> Any:
        return link(post.delivery)

    @admin.display(description=_("payload"))
    def the_payload(self, post: LegacyPost) -> Any:
        return _shown(post.payload, CONTENT_TYPES[Format(post.format)])

    @admin.display(description=_("response"))
    def the_response(self, post: LegacyPost) -> Any:
        return _shown(post.response, "")


def _shown(text: str, content_type: str) -> Any:
    return preformatted(showing.body(text.encode(), content_type).html) if text.strip() else EMPTY
