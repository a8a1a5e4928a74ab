"""The bulk reprocesses in the staff admin: how far each is; pause, go on, stop."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from sales.adminfilters import AutocompleteFilter
from sales.adminkit import BigTable, Evidence, Question, badge, confirmed, link, links, list_link, when
from sales.templatetags.formats import number

from . import bulk
from .bulk import Stage
from .models import BulkReprocess, State

SECONDS = 3.0  # of queueing, or taking back, in a request; the worker does the rest
_COLOURS = {Stage.RUNNING: "info", Stage.FINISHED: "ok", Stage.PAUSED: "wait", Stage.STOPPED: "off"}


class _WithProgress(ChangeList):
    """Its rows have `progress`: one query for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = _with_progress(list(self.result_list))


def _with_progress(rows: list[BulkReprocess]) -> list[BulkReprocess]:
    progress = bulk.progress_of(rows)
    for row in rows:
        row.progress = progress[row.pk]
    return rows


def _ask_to_pause(rows: QuerySet[BulkReprocess], count: int) -> Question:
    to_go = sum(progress.to_go for progress in bulk.progress_of(rows).values())
    title = ngettext("Pause %(n)s bulk reprocess?", "Pause %(n)s bulk reprocesses?", count)
    fact = ngettext(
        "%(n)s post that is not sent yet stays as it was before, until it goes on.",
        "%(n)s posts that are not sent yet stay as they were before, until it goes on.",
        to_go,
    )
    return Question(title % {"n": number(count)}, gettext("Pause"), [fact % {"n": number(to_go)}])


def _ask_to_go_on(rows: QuerySet[BulkReprocess], count: int) -> Question:
    to_go = sum(progress.to_go for progress in bulk.progress_of(rows).values())
    title = ngettext("Go on with %(n)s bulk reprocess?", "Go on with %(n)s bulk reprocesses?", count)
    fact = ngettext(
        "%(n)s post is sent again, behind all that is fresh.",
        "%(n)s posts are sent again, behind all that is fresh.",
        to_go,
    )
    return Question(title % {"n": number(count)}, gettext("Go on"), [fact % {"n": number(to_go)}])


def _ask_to_stop(rows: QuerySet[BulkReprocess], count: int) -> Question:
    to_go = sum(progress.to_go for progress in bulk.progress_of(rows).values())
    if not to_go:
        return Question(gettext("There is nothing to stop"), "")
    title = ngettext("Stop %(n)s bulk reprocess?", "Stop %(n)s bulk reprocesses?", count) % {
        "n": number(count)
    }
    fact = ngettext(
        "%(n)s post that is not sent yet is as it was before; this cannot be gone on with.",
        "%(n)s posts that are not sent yet are as they were before; this cannot be gone on with.",
        to_go,
    )
    return Question(title, gettext("Stop"), [fact % {"n": number(to_go)}], dangerous=True)


@admin.register(BulkReprocess)
class BulkReprocessAdmin(Evidence, BigTable):
    list_display = (
        "__str__", "status", "what", "sent", "arrived", "failed", "to_go", "owner_link", "at",
    )  # fmt: skip
    list_filter = ("state", ("owner", AutocompleteFilter), "created_at")
    list_select_related = ("by", "owner")
    search_fields = ("owner__code__exact", "owner__email__exact", "by__email__exact", "id__exact")
    search_help_text = _("The owner's code or e-mail, the e-mail of who asked, or the number")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    fields = (
        "asked_for", "status", "total", "sent", "arrived", "failed", "again", "held", "left", "to_go", "who",
        "owner_link", "created_at", "posts",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("pause", "go_on", "stop")
    view_on_site = False  # the seller's page is the owner's only

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return _WithProgress

    def get_object(self, *args: Any, **kwargs: Any) -> BulkReprocess | None:
        found = super().get_object(*args, **kwargs)
        return _with_progress([found])[0] if found else None

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("deliveries.reprocess_delivery")

    # --- Actions

    @confirmed(_ask_to_pause)
    @admin.action(description=_("Pause"), permissions=["reprocess"])
    def pause(self, request: HttpRequest, rows: QuerySet[BulkReprocess]) -> None:
        paused = _each(rows, _pause)
        text = ngettext("%(n)s was paused.", "%(n)s were paused.", paused)
        self._say(request, text, paused)

    @confirmed(_ask_to_go_on)
    @admin.action(description=_("Go on"), permissions=["reprocess"])
    def go_on(self, request: HttpRequest, rows: QuerySet[BulkReprocess]) -> None:
        going = _each(rows, _go_on)
        text = ngettext("%(n)s goes on.", "%(n)s go on.", going)
        self._say(request, text, going)

    @confirmed(_ask_to_stop)
    @admin.action(description=_("Stop"), permissions=["reprocess"])
    def stop(self, request: HttpRequest, rows: QuerySet[BulkReprocess]) -> None:
        stopped = _each(rows, _stop)
        text = ngettext("%(n)s was stopped.", "%(n)s were stopped.", stopped)
        self._say(request, text, stopped)

    def _say(self, request: HttpRequest, text: str, count: int) -> None:
        if count:
            self.message_user(request, text % {"n": number(count)}, messages.SUCCESS)
        else:
            nothing = gettext("Nothing was changed: what was chosen is finished, stopped or so already.")
            self.message_user(request, nothing, messages.WARNING)

    # --- Columns

    @admin.display(description=_("asked for"), ordering="asked_for")
    def what(self, row: BulkReprocess) -> SafeString:
        return format_html('<span title="{}">{}</span>', row.asked_for, Truncator(row.asked_for).chars(60))

    @admin.display(description=_("status"), ordering="state")
    def status(self, row: BulkReprocess) -> SafeString:
        stage = bulk.stage_of(row, row.progress)
        return badge(_COLOURS[stage], stage.label)

    @admin.display(description=_("sent"), ordering="total")
    def sent(self, row: BulkReprocess) -> str:
        return _("%(sent)s of %(total)s") % {"sent": number(row.progress.sent), "total": number(row.total)}

    @admin.display(description=_("arrived"))
    def arrived(self, row: BulkReprocess) -> str:
        return number(row.progress.delivered)

    @admin.display(description=_("failed"))
    def failed(self, row: BulkReprocess) -> str | SafeString:
        if not row.progress.failed:
            return number(0)
        failed = {"bulk__id__exact": row.pk, "state__exact": State.FAILED.value}
        return list_link("deliveries_delivery", number(row.progress.failed), **failed)

    @admin.display(description=_("tried again later"))
    def again(self, row: BulkReprocess) -> str:
        return number(row.progress.again)

    @admin.display(description=_("held"))
    def held(self, row: BulkReprocess) -> str:
        return number(row.progress.held)

    @admin.display(description=_("not sent, as they were"))
    def left(self, row: BulkReprocess) -> str:
        return number(row.progress.left)

    @admin.display(description=_("still to go"))
    def to_go(self, row: BulkReprocess) -> str:
        return number(row.progress.to_go)

    @admin.display(description=_("asked for by"), ordering="by__email")
    def who(self, row: BulkReprocess) -> str:
        return row.by.email if row.by else _("a command")

    @admin.display(description=_("owner"), ordering="owner__name")
    def owner_link(self, row: BulkReprocess) -> Any:
        return link(row.owner) if row.owner else _("several")

    @admin.display(description=_("started"), ordering="created_at")
    def at(self, row: BulkReprocess) -> Any:
        return when(row.created_at)

    @admin.display(description=_("posts"))
    def posts(self, row: BulkReprocess) -> str | SafeString:
        return links(list_link("deliveries_delivery", _("Posts"), bulk__id__exact=row.pk))


def _each(rows: QuerySet[BulkReprocess], do: Callable[[BulkReprocess], bool]) -> int:
    """Of how many it was done."""
    return sum(
        do(row) for row in rows if bulk.stage_of(row, bulk.progress_of([row])[row.pk]) != Stage.FINISHED
    )


def _pause(row: BulkReprocess) -> bool:
    paused = bulk.pause(row, SECONDS)
    bulk.hand_on(row)
    return paused


def _stop(row: BulkReprocess) -> bool:
    stopped = bulk.stop(row, SECONDS)
    bulk.hand_on(row)
    return stopped


def _go_on(row: BulkReprocess) -> bool:
    try:
        bulk.go_on(row, SECONDS)
    except BulkReprocess.NotPossible:
        return False
    bulk.hand_on(row)
    return True
