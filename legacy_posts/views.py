"""Sent Posts, Pending Posts, and old and new posts in one list. Not there and not yours are the same 404."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from deliveries import keyset
from deliveries import pages as delivery_pages
from deliveries.models import Delivery
from sales.limits import limited
from sales.spreadsheets import csv_response
from sales.views import seller_required

from . import merged, pages
from .models import TIME, Kind, LegacyPost, LegacyPostQuerySet
from .sending import Destinations


@require_safe
@seller_required
def posts(request: HttpRequest, kind: str) -> HttpResponse:
    """The list of one kind, and beside it the post that stands open."""
    asked, place = pages.asked(request, kind), place_of(request)
    filters, whole = asked.filters, theirs(request, kind)
    found = filters.of(whole)
    page = keyset.page(pages.for_list(found), column=TIME, **place)
    is_pending = kind == Kind.PENDING
    (count, more), (left, more_left) = keyset.counts(found, found.to_send() if is_pending else found.none())
    destinations = Destinations(request.seller) if is_pending else None
    context = {
        "kind": kind,
        "name": pages.NAMES[kind],
        "asked": asked,
        "filters": filters,
        "rows": pages.rows_of(page.posts, filters, place, destinations),
        "imported": _imported(page.posts),
        "count": count,
        "more": more,
        "left": left,
        "more_left": more_left,
        "any": bool(page.posts) or whole.exists(),
        "newer_url": filters.query(newer=page.newer) if page.newer else "",
        "older_url": filters.query(older=page.older) if page.older else "",
        "here": reverse(f"legacy_posts:{kind}") + filters.query(**place),
        "export_url": reverse(f"legacy_posts:{kind}_export") + filters.query(),
        "detail": _opened(request, kind, filters, place, destinations),
    }
    return render(request, "legacy_posts/list.html", context)


@require_safe
@seller_required
def post(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    return render(request, "legacy_posts/detail.html", _context(request, kind, pk) | {"own_page": True})


@require_safe
@seller_required
def panel(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """The same beside the list."""
    return render(request, "legacy_posts/_detail.html", _context(request, kind, pk))


@require_safe
@seller_required
@limited("export", "GET")
def export(request: HttpRequest, kind: str) -> HttpResponseBase:
    """What the filters let through, for a spreadsheet."""
    found = pages.asked(request, kind).filters.of(theirs(request, kind))
    return csv_response(pages.export_name(kind), pages.EXPORTED, pages.exported(found))


@require_safe
@seller_required
def everything(request: HttpRequest) -> HttpResponse:
    """The posts of the former system and of this one, in order of time."""
    asked, place = pages.asked_of_both(request), place_of(request)
    new = asked.new.of(Delivery.objects.visible_to(request.user))
    old = asked.old.of(LegacyPost.objects.visible_to(request.user))
    page = merged.page(delivery_pages.with_facts(new), pages.for_list(old), **place)
    count, more = len(page.posts), False
    if page.newer or page.older:
        (count_new, more_new), (count_old, more_old) = keyset.counts(new, old)
        count = min(count_new + count_old, keyset.COUNT_LIMIT)
        more = more_new or more_old or count_new + count_old > keyset.COUNT_LIMIT
    query = asked.filters.query
    context = {
        "asked": asked,
        "filters": asked.filters,
        "rows": [_entry(row) for row in page.posts],
        "count": count,
        "more": more,
        "newer_url": query(newer=page.newer) if page.newer else "",
        "older_url": query(older=page.older) if page.older else "",
    }
    return render(request, "legacy_posts/all.html", context)


def _imported(posts: Iterable[LegacyPost]) -> list[datetime]:
    """When these were imported: one time, or the first and the last where they are of several days."""
    times = sorted({post.source.started_at for post in posts})
    if not times or timezone.localdate(times[0]) == timezone.localdate(times[-1]):
        return times[-1:]
    return [times[0], times[-1]]


def _entry(row: Delivery | LegacyPost) -> dict[str, Any]:
    """Of a new post with its buyer, who is not named to every affiliate, and what came of it."""
    if isinstance(row, LegacyPost):
        return {"old": row}
    buyer, outcome = delivery_pages.buyer_of(row), delivery_pages.outcome_of(row)
    return {"post": row, "buyer": buyer, "outcome": outcome}


def theirs(request: HttpRequest, kind: str) -> LegacyPostQuerySet:
    return LegacyPost.objects.visible_to(request.user).of_kind(kind)


def place_of(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("newer", "older") if request.GET.get(name)}


def _context(request: HttpRequest, kind: str, pk: int) -> dict[str, Any]:
    found = get_object_or_404(theirs(request, kind).select_related("source", "delivery"), pk=pk)
    filters, place = pages.asked(request, kind).filters, place_of(request)
    destinations = Destinations(request.seller) if kind == Kind.PENDING else None
    row = pages.rows_of([found], filters, place, destinations)[0]
    return {
        "kind": kind,
        "name": pages.NAMES[kind],
        "detail": pages.detail_of(row, request.GET),
        "back": reverse(f"legacy_posts:{kind}") + filters.query(**place),
    }


def _opened(
    request: HttpRequest, kind: str, filters: Any, place: dict[str, str], destinations: Destinations | None
) -> pages.Detail | None:
    """The post that stands open beside the list."""
    pk = request.GET.get("post", "")
    if not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        return None
    found = theirs(request, kind).select_related("source", "delivery").filter(pk=int(pk)).first()
    if found is None:
        return None
    return pages.detail_of(pages.rows_of([found], filters, place, destinations)[0], request.GET)
