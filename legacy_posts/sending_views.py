"""Sending what the former system left pending: one, or all that a filter shows."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from deliveries.models import Delivery
from sales.limits import limited
from sales.templatetags.formats import number
from sales.views import seller_required

from . import pages, sending
from .models import LegacyPost
from .sending import Destinations
from .views import theirs

UNDECIDED = 20  # URLs without a configuration that are asked about at once


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
@limited("reprocess")
def send(request: HttpRequest, kind: str, pk: int) -> HttpResponse:
    """One post: to the configuration with its URL, else to the one that is chosen here."""
    post = get_object_or_404(theirs(request, kind), pk=pk)
    back = post.get_absolute_url()
    destinations = Destinations(request.seller, _chosen(request))
    config = destinations.of(post.url)
    if request.method == "POST" and config:
        try:
            sent = sending.send(LegacyPost.objects.filter(pk=post.pk), config.pk)
        except Delivery.NotPossible as why:
            messages.warning(request, str(why))
        else:
            if sent:
                messages.success(request, _("The post is on its way to “%(name)s”.") % {"name": config.name})
            else:
                messages.info(request, _why_nothing(post))
        return redirect(_next(request, back))
    if not post.can_be_sent:
        messages.info(request, _why_nothing(post))
        return redirect(back)
    context = {
        "kind": kind,
        "post": post,
        "config": config,
        "choices": destinations.choices,
        "keep_url": back,
        "keep_label": _("Don't send"),
    }
    return render(request, "legacy_posts/send.html", context, status=422 if request.method == "POST" else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
@limited("bulk")
def send_all(request: HttpRequest, kind: str) -> HttpResponse:
    """All that the filter shows and that are still to send: first how many and to where, then send."""
    filters = pages.asked(request, kind).filters
    posts = filters.of(theirs(request, kind))
    back = reverse("legacy_posts:pending") + filters.query()
    destinations = Destinations(request.seller, _chosen(request))
    if request.method == "POST":
        sent = sending.send_all(posts, destinations)
        text = ngettext("%(n)s post is on its way.", "%(n)s posts are on their way.", sent)
        text = text if sent else _("Nothing was sent: these posts are on their way, or have nowhere to go.")
        (messages.success if sent else messages.info)(request, text % {"n": number(sent)})
        return redirect(back)
    plan = sending.plan(posts, destinations)
    undecided = plan.undecided.most_common()
    context = {
        "kind": kind,
        "plan": plan,
        "sends": plan.sends.most_common(),
        "skips": plan.skips.most_common(),
        "undecided": undecided[:UNDECIDED],
        "undecided_more": len(undecided) - UNDECIDED if len(undecided) > UNDECIDED else 0,
        "most": sending.MOST,
        "choices": destinations.choices,
        "keep_url": back,
        "keep_label": _("Don't send"),
    }
    return render(request, "legacy_posts/send_all.html", context)


def _chosen(request: HttpRequest) -> dict[str, int]:
    """{URL of a post: configuration} of the form; where nothing was chosen, it is not there."""
    pairs = zip(request.POST.getlist("url"), request.POST.getlist("config"), strict=False)
    return {url: int(pk) for url, pk in pairs if pk.isascii() and pk.isdigit() and len(pk) < 19}


def _why_nothing(post: LegacyPost) -> str:
    post.refresh_from_db(fields=["sent_at"])
    if post.sent_at:
        return _("This post was sent already: it goes once.")
    return _("This post holds nothing that can be sent any more.")


def _next(request: HttpRequest, otherwise: str) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else otherwise
