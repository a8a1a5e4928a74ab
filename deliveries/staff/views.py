"""The staff's own pages in the admin: the search, a sale's timeline, the hosts that posts go to."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from deliveries import hosts as holds
from deliveries import phases, timeline
from deliveries.sale_views import send_it
from sales.limits import limited
from sales.templatetags.formats import number

from . import day as tries
from . import hosts, search
from .drawing import chart_of
from .forms import HoldForm, ReleaseForm
from .kit import MAY_HOLD, MAY_HOLD_ALL, SEES_CONFIGS, SEES_POSTS, list_url, show, staff_page

PAGE = 50  # hosts


# --- Search and timeline --------------------------------------------------------------------------------


@staff_page()
@require_safe
def search_page(request: HttpRequest) -> HttpResponse:
    """Leads to the one thing that was found; several kinds are listed, nothing is explained."""
    found = search.find(request.GET.get("q", "")[:2000], request.user)
    if len(found.groups) == 1 and found.groups[0].opens:
        return redirect(found.groups[0].opens)
    context = {"found": found, "kinds": search.KINDS, "searched": found.text}
    return show(request, "search", _("Search"), context)


@staff_page(SEES_POSTS)
@require_http_methods(["GET", "HEAD", "POST"])
@limited("reprocess")
def timeline_page(request: HttpRequest, code: str) -> HttpResponse:
    """What was posted for a sale, for every configuration; a POST of `event` and `config` sends that one after all."""
    sale = timeline.find(code, request.user)
    if sale is None:
        raise Http404
    if request.method == "POST":
        return send_it(request, sale, "staff:timeline")
    context = {
        "timeline": timeline.of(sale, request.user),
        "sale": sale,
        "may_send": request.user.has_perm("deliveries.reprocess_delivery"),
        "posts_url": list_url(request.user, "deliveries_delivery", event__sale__id__exact=sale.pk),
    }
    return show(request, "timeline", _("What was posted for %(code)s") % {"code": sale.code}, context)


# --- Hosts ----------------------------------------------------------------------------------------------

COLUMNS = {
    "host": gettext_lazy("Host"),
    "configurations": gettext_lazy("Configurations"),
    "sellers": gettext_lazy("Sellers"),
    "failing": gettext_lazy("Failing"),
    "disabled": gettext_lazy("Disabled by us"),
}
SHOWN = {
    "all": gettext_lazy("All"),
    "failing": gettext_lazy("Failing or disabled"),
    "held": gettext_lazy("Held"),
}


@staff_page(SEES_CONFIGS)
@require_safe
def host_list(request: HttpRequest) -> HttpResponse:
    text, order = request.GET.get("q", "").replace("\0", "").strip(), request.GET.get("o", "")
    shown = request.GET.get("show") if request.GET.get("show") in SHOWN else "all"
    page = Paginator(hosts.listed(text, shown, order), PAGE).get_page(request.GET.get("page"))
    tallies = tries.read(timezone.now()).by_host()
    context = {
        "page": page,
        "hosts": hosts.with_holds(page, tallies),
        "columns": [_column(name, label, order) for name, label in COLUMNS.items()],
        "shown": shown,
        "choices": SHOWN,
        "text": text,
        "order": order,
        "may_hold_all": request.user.has_perm(MAY_HOLD_ALL),
    }
    return show(request, "hosts", _("Hosts that we post to"), context)


def _column(name: str, label: Any, order: str) -> dict[str, Any]:
    """With the order that a click on its head brings: the most first, then the least; names from A."""
    now = (order or hosts.WORST_FIRST[0]).removeprefix("-") == name
    down = order.startswith("-") or (now and not order)
    first, second = (name, f"-{name}") if name == "host" else (f"-{name}", name)
    following = second if now and order in ("", first) else first
    return {
        "label": label,
        "order": following,
        "sorted": ("descending" if down else "ascending") if now else "",
    }


@staff_page(SEES_CONFIGS)
@require_safe
def host_page(request: HttpRequest, host: str) -> HttpResponse:
    day = tries.read(timezone.now())
    found = _host_or_404(host, day.of(host))
    troubled = hosts.troubled(host)
    user = request.user
    context = {
        "host": found,
        "chart": chart_of(day, user, host),
        "answers": hosts.answers(found.tally),
        "phases": phases.means_in_words(found.tally.mean_phases),
        "waiting": hosts.waiting(host),
        "troubled": troubled,
        "configs_url": list_url(user, "configurations_webhookconfig", host__exact=host),
        "posts_url": list_url(user, "deliveries_delivery", config__host__exact=host),
        "waiting_url": list_url(
            user, "deliveries_delivery", config__host__exact=host, state__exact="waiting"
        ),
        "held_url": list_url(user, "deliveries_delivery", config__host__exact=host, state__exact="held"),
        "may_hold": user.has_perm(MAY_HOLD),
    }
    return show(request, "host", host, context)


def _host_or_404(name: str, tally: tries.Tally | None = None) -> hosts.Host:
    found = hosts.find(name, tally or tries.Tally())
    if found is None:
        raise Http404
    return found


@staff_page(SEES_CONFIGS, MAY_HOLD)
@require_http_methods(["GET", "HEAD", "POST"])
def hold(request: HttpRequest, host: str) -> HttpResponse:
    """Asks for the reason, says what it means, then holds the host."""
    found = _host_or_404(host)
    if found.held:
        messages.info(request, _("%(host)s is held already.") % {"host": host})
        return redirect("staff:host", host)
    form = HoldForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            holds.hold(host, form.cleaned_data["reason"], request.user)
        except holds.NotPossible:
            messages.info(request, _("%(host)s is held already.") % {"host": host})
        else:
            text = _("%(host)s is held: nothing more is posted there until it is released.")
            messages.success(request, text % {"host": host})
        return redirect("staff:host", host)
    context = {"host": found, "waiting": hosts.waiting(host), "form": form}
    title = _("Hold %(host)s?") % {"host": host}
    return show(request, "hold", title, context, 422 if form.errors else 200)


@staff_page(SEES_CONFIGS, MAY_HOLD)
@require_http_methods(["GET", "HEAD", "POST"])
def release(request: HttpRequest, host: str) -> HttpResponse:
    found = _host_or_404(host)
    if not found.held:
        messages.info(request, _("%(host)s is not held.") % {"host": host})
        return redirect("staff:host", host)
    form = ReleaseForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        return _release(request, host, form.cleaned_data["note"])
    context = {"host": found, "waiting": hosts.waiting(host), "form": form}
    return show(request, "release", _("Release %(host)s?") % {"host": host}, context)


def _release(request: HttpRequest, host: str, note: str) -> HttpResponse:
    try:
        due = holds.release(host, note)
    except holds.NotPossible:
        messages.info(request, _("%(host)s is not held.") % {"host": host})
    else:
        text = ngettext(
            "%(host)s is released: %(n)s post that waited is sent now.",
            "%(host)s is released: %(n)s posts that waited are sent now.",
            due,
        )
        text = text if due else _("%(host)s is released. Nothing waited for it.")
        messages.success(request, text % {"host": host, "n": number(due)})
    return redirect(reverse("staff:host", args=[host]))
