"""Many posts at once from the History: first how many and to where, then sent; of more than a few, watched."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from configurations.models import State as ConfigState
from sales.limits import limited
from sales.templatetags.formats import number
from sales.views import seller_required

from . import bulk, pages, selecting, timeline
from .models import BulkReprocess, Delivery, DeliveryQuerySet, State
from .reprocessing import BulkReprocessQuerySet

BY_HAND = 100  # posts that are sent at once, as if each was chosen by hand
SECONDS = 3.0  # of queueing, or taking back, in a request; the worker does the rest
PAGE = 20
SHOWN = 3  # under way, above the History


@dataclass(frozen=True, slots=True)
class Line:
    """A bulk reprocess and how far it is."""

    bulk: BulkReprocess
    progress: bulk.Progress

    @property
    def stage(self) -> bulk.Stage:
        return bulk.stage_of(self.bulk, self.progress)

    @property
    def can_pause(self) -> bool:
        return self.stage == bulk.Stage.RUNNING

    @property
    def can_go_on(self) -> bool:
        """Paused, or interrupted while it was queued."""
        return self.stage == bulk.Stage.PAUSED or (self.can_pause and bool(self.progress.unqueued))

    @property
    def can_stop(self) -> bool:
        return self.stage in (bulk.Stage.RUNNING, bulk.Stage.PAUSED)


def lines_of(bulks: Iterable[BulkReprocess]) -> list[Line]:
    bulks = list(bulks)
    progress = bulk.progress_of(bulks)
    return [Line(one, progress[one.pk]) for one in bulks]


def under_way(request: HttpRequest) -> list[Line]:
    """What the History says above its list."""
    return lines_of(_theirs(request).under_way().newest_first()[:SHOWN])


def above_the_list(request: HttpRequest) -> tuple[list[Line], bool]:
    """The same, and whether there are any at all, with one query."""
    newest = list(_theirs(request).under_way_first()[:SHOWN])
    going_on = [one for one in newest if one.is_under_way]
    return (lines_of(going_on) if going_on else []), bool(newest)


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
@limited("bulk")
def reprocess_all(request: HttpRequest) -> HttpResponse:
    """All that the filter shows: first how many and to where, then send."""
    asked = pages.asked(request)
    found = asked.filters.of(Delivery.objects.visible_to(request.user))
    back = reverse("deliveries:history") + asked.filters.query()
    if request.method == "POST":
        return _send_all(request, asked, found, back)
    facts = selecting.facts_of(found)
    few = facts.posts + facts.waiting <= BY_HAND
    context = {
        "facts": facts,
        "sends": [target for target in facts.sends if target.posts or (few and target.waiting)],
        "few": few,
        "count": facts.posts + (facts.waiting if few else 0),
        "asked_at": asked.filters.now.isoformat(),
        "keep_url": back,
        "keep_label": _("Don't send"),
    }
    return render(request, "deliveries/reprocess_all.html", context)


def _send_all(request: HttpRequest, asked: pages.Asked, found: DeliveryQuerySet, back: str) -> HttpResponse:
    """Neither what arose nor what was finished since the question: who presses twice sends once."""
    at = _moment(request.POST.get("asked_at", "")) or timezone.now()
    can_go = found.filter(~Q(state=State.SENDING), config__state=ConfigState.ON, created_at__lte=at)
    if can_go.order_by()[: BY_HAND + 1].count() > BY_HAND or _started(request, at):
        return _start(request, asked, found, at, back)
    old = Q(finished_at=None) | Q(finished_at__lte=at)
    sent = found.filter(old, created_at__lte=at).send_again()
    if sent:
        text = ngettext("%(n)s post is on its way.", "%(n)s posts are on their way.", sent)
        messages.success(request, text % {"n": number(sent)})
    else:
        _say_nothing_was_left(request)
    return redirect(back)


def _started(request: HttpRequest, at: datetime) -> bool:
    """By an earlier press of the same button, when there was more to send."""
    return _theirs(request).filter(asked_at=at).exists()


def _start(
    request: HttpRequest, asked: pages.Asked, found: DeliveryQuerySet, at: datetime, back: str
) -> HttpResponse:
    try:
        started = bulk.start(
            found,
            asked_for=in_words(asked),
            by=request.user,
            owner=request.seller,
            asked_at=at,
            selection={"history": asked.filters.query()},
            seconds=SECONDS,
        )
    except BulkReprocess.Nothing:
        _say_nothing_was_left(request)
        return redirect(back)
    bulk.hand_on(started)
    return redirect(started)


def _say_nothing_was_left(request: HttpRequest) -> None:
    messages.info(request, _("Nothing was left to send: these posts are on their way or have arrived."))


def in_words(asked: pages.Asked) -> str:
    """The filters as the page names them, but for whom was searched: it is kept, and may name a buyer."""
    chips = [chip for chip in (asked.period(), *asked.chips()) if chip.chosen]
    parts = [_("%(name)s: %(value)s") % {"name": chip.label, "value": chip.chosen} for chip in chips]
    if search := asked.filters.active.get("q"):
        parts.append(search.upper() if timeline.is_code(search) else _("one search"))
    return " · ".join(parts) or _("All posts")


@require_safe
@seller_required
def bulks(request: HttpRequest) -> HttpResponse:
    """All of the seller's, newest first."""
    page = Paginator(_theirs(request).newest_first(), PAGE).get_page(request.GET.get("page"))
    return render(request, "deliveries/bulks.html", {"page": page, "lines": lines_of(page.object_list)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("bulk")
def one_bulk(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is; a POST of `do` pauses it, goes on, or stops it."""
    found = get_object_or_404(_theirs(request), pk=pk)
    if request.method == "POST":
        _do(request, found)
        return redirect(found)
    return render(request, "deliveries/bulk.html", {"line": lines_of([found])[0]})


@require_safe
@login_required
def part(request: HttpRequest, pk: int) -> HttpResponse:
    """How far it is now, for its page."""
    found = get_object_or_404(_theirs(request), pk=pk)
    return render(request, "deliveries/_bulk.html", {"line": lines_of([found])[0]})


def _do(request: HttpRequest, found: BulkReprocess) -> None:
    what = request.POST.get("do")
    if what == "pause":
        bulk.pause(found, SECONDS)
    elif what == "stop":
        bulk.stop(found, SECONDS)
    elif what == "go_on":
        try:
            bulk.go_on(found, SECONDS)
        except BulkReprocess.NotPossible as why:
            messages.warning(request, str(why))
    bulk.hand_on(found)


def _theirs(request: HttpRequest) -> BulkReprocessQuerySet:
    return BulkReprocess.objects.visible_to(request.user)


def _moment(text: str) -> datetime | None:
    try:
        at = parse_datetime(text)
    except ValueError:
        return None
    return at if at and timezone.is_aware(at) else None
