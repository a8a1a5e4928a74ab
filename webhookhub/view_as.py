"""View as this producer: staff see a seller's pages as the seller sees them, and can change nothing there.

It is bound to the session and ends by itself. A request is served only if it reads (GET, HEAD) one of the pages of
`PAGES`; whatever else there is, also what is added later, is refused with a page that says why. While a page is made
no statement that writes gets through to the database. The admin stays the staff's own, and begin and end are in the
audit log, under their name.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from auditlog.models import LogEntry
from django.contrib import messages
from django.contrib.auth.decorators import permission_required, user_passes_test
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import PermissionDenied
from django.db import connections
from django.dispatch import receiver
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import Resolver404, resolve, reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from configurations.models import Token
from sales import audit
from sales.models import Seller

LASTS = timedelta(minutes=60)
PERMISSION = "sales.view_as_seller"
# What can be seen: pages that show no secret and no token, and begin nothing.
PAGES = {
    "home",
    "account",
    "configurations:list",
    "configurations:edit",
    "configurations:changes",
    "deliveries:history",
    "deliveries:live",
    "deliveries:detail",
    "deliveries:panel",
    "deliveries:bulks",
    "deliveries:bulk",
    "deliveries:bulk_part",
    "deliveries:tests",
    "deliveries:test_result",
    "deliveries:test_part",
    "deliveries:codes",
    "deliveries:code",
    "deliveries:find_sale",
    "deliveries:timeline",
    "legacy_posts:sent",
    "legacy_posts:pending",
    "legacy_posts:all",
    "docs_tab:index",
    "docs_tab:openapi",
    "docs_tab:receiver",
    "docs_tab:signature",
    "docs_tab:success",
    "docs_tab:addresses",
    "docs_tab:event",
    "docs_tab:schema",
    "docs_tab:sample",
}
# The staff's own, also meanwhile.
OWN = {"view_as", "view_as_leave", "account_logout"}
_KEY = "view_as"  # in the session: {"seller": id, "until": seconds since the epoch}
_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "TRUNCATE", "CREATE", "ALTER", "DROP", "COPY")

audit.FACTS |= {
    "view_as_began": gettext_lazy("Began to see the pages of this seller."),
    "view_as_left": gettext_lazy("Left the pages of this seller."),
    "view_as_over": gettext_lazy("Saw the pages of this seller until the time was over."),
    "view_as_signed_out": gettext_lazy("Signed out, and so left the pages of this seller."),
}


@dataclass(frozen=True, slots=True)
class Viewing:
    """For the bar on each page."""

    seller: Seller
    until: datetime


class WriteRefused(PermissionDenied):
    """A page tried to write while it was only looked at."""


# --- Begin and end ------------------------------------------------------------------------------------


@require_POST
@user_passes_test(lambda user: user.is_staff)
@permission_required(PERMISSION, raise_exception=True)
def begin(request: HttpRequest, seller: int) -> HttpResponse:
    viewed = get_object_or_404(Seller.objects.exclude(user=None), pk=seller)
    _end(request, "view_as_left")
    request.session[_KEY] = {"seller": viewed.pk, "until": int(time.time() + LASTS.total_seconds())}
    audit.note(viewed, "view_as_began", action=LogEntry.Action.ACCESS)
    return redirect("configurations:list")


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    left = _end(request, "view_as_left")
    return redirect("admin:sales_seller_change", left) if left else redirect("home")


@receiver(user_logged_out)
def _signed_out(request: HttpRequest | None, **_kwargs: Any) -> None:
    if request is not None:
        _end(request, "view_as_signed_out")


def _end(request: HttpRequest, fact: str) -> int | None:
    """The id of the seller whose pages were seen; None if none were."""
    there = request.session.pop(_KEY, None)
    seller = there and Seller.objects.filter(pk=there["seller"]).first()
    if not seller:
        return None
    audit.note(seller, fact, action=LogEntry.Action.ACCESS)
    return seller.pk


# --- Each request -------------------------------------------------------------------------------------


class ViewAsMiddleware:
    """Behind those that know the user and the messages, before those that ask whose page it is."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if _KEY not in request.session or not request.user.is_authenticated:
            return self.get_response(request)
        name = _name_of(request)
        if name in OWN or request.path_info.startswith(reverse("admin:index")):
            return self.get_response(request)
        viewing = _viewing(request)
        if viewing is None:
            return _over(request)
        return self._seen(request, viewing, name)

    def _seen(self, request: HttpRequest, viewing: Viewing, name: str) -> HttpResponse:
        Token.objects.filter(seller=viewing.seller).settle()  # a page would, and could not
        staff = request.staff_user = request.user
        request.user, request.seller, request.viewing = viewing.seller.user, viewing.seller, viewing
        try:
            if request.method not in ("GET", "HEAD") or name not in PAGES or _shows_too_much(request, name):
                return _refused(request)
            with ExitStack() as guards:
                for connection in connections.all(initialized_only=True):
                    guards.enter_context(connection.execute_wrapper(_refuse_writes))
                return self.get_response(request)
        finally:
            request.user = staff

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return _refused(request) if isinstance(exception, WriteRefused) else None


def _name_of(request: HttpRequest) -> str:
    try:
        return resolve(request.path_info).view_name or ""
    except (Resolver404, Http404):
        return ""


def _shows_too_much(request: HttpRequest, name: str) -> bool:
    """A command that is signed; or what the former system sent, in which there may be tokens that nobody masked."""
    return request.GET.get("tab") == "curl" or (
        name.startswith("legacy_posts:") and bool(request.GET.get("post"))
    )


def _viewing(request: HttpRequest) -> Viewing | None:
    """None once the time is over, or who looks, or the seller's login, has lost the right to it."""
    there = request.session[_KEY]
    seller = Seller.objects.select_related("user").filter(pk=there["seller"]).exclude(user=None).first()
    may = request.user.is_staff and request.user.has_perm(PERMISSION)
    if not seller or not may or time.time() >= there["until"]:
        return None
    return Viewing(seller, datetime.fromtimestamp(there["until"], tz=timezone.get_current_timezone()))


def _over(request: HttpRequest) -> HttpResponse:
    left = _end(request, "view_as_over")
    text = _("You see your own pages again: the time was over, or the right to it was taken away.")
    messages.info(request, text)
    page = reverse("admin:sales_seller_change", args=[left]) if left else reverse("home")
    if request.headers.get("HX-Request") == "true":  # a part of a page: the whole of it is loaded anew
        return HttpResponse(status=204, headers={"HX-Redirect": page})
    return redirect(page)


def _refused(request: HttpRequest) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        return render(request, "view_as/_refused.html", status=403)
    before = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(before, {request.get_host()}, require_https=request.is_secure())
    back = before if safe and before != request.build_absolute_uri() else reverse("configurations:list")
    with timezone.override(ZoneInfo(request.seller.time_zone)):  # as on all pages of the seller
        return render(request, "view_as/refused.html", {"back": back}, status=403)


def _refuse_writes(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    if sql.lstrip(" (\n").upper().startswith(_WRITES):
        raise WriteRefused
    return execute(sql, params, many, context)
