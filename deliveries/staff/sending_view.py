"""The staff's page on which all sending is held and released."""

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from deliveries import sending
from deliveries.held import RESTORED
from deliveries.models import Delivery, HeldHost, State
from sales.templatetags.formats import number

from .forms import HoldAllForm, ReleaseForm
from .kit import MAY_HOLD_ALL, SEES_POSTS, list_url, show, staff_page


@staff_page(SEES_POSTS)
@require_http_methods(["GET", "HEAD", "POST"])
def sending_page(request: HttpRequest) -> HttpResponse:
    """Says whether posts are sent, and asks whoever may decide it: for the reason to hold, or for the word to go on."""
    held, may = HeldHost.everything(), request.user.has_perm(MAY_HOLD_ALL)
    form = None
    if may and settings.SEND_POSTS:
        form = (ReleaseForm if held else HoldAllForm)(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if form is None or (request.POST.get("do") == "release") != bool(held):
            messages.info(request, _("Nothing was changed: look at how it stands now."))
            return redirect("staff:sending")
        if form.is_valid():
            return _release(request, form) if held else _hold(request, form)
    context = {
        "held": held,
        "restored": held is not None and held.reason == RESTORED,
        "waiting": sending.waiting(),
        "on_its_way": Delivery.objects.filter(state=State.SENDING).count(),
        "waiting_url": list_url(request.user, "deliveries_delivery", state__exact=State.WAITING),
        "form": form,
        "by_setting": not settings.SEND_POSTS,
    }
    title = _("Nothing is sent") if held else _("Posts are being sent")
    return show(request, "sending", title, context, 422 if form and form.errors else 200)


def _hold(request: HttpRequest, form: HoldAllForm) -> HttpResponse:
    try:
        sending.hold(form.cleaned_data["reason"], request.user)
    except sending.NotPossible as why:
        messages.info(request, str(why))
    else:
        messages.success(request, _("All sending is held: nothing is posted until it is released."))
    return redirect("staff:sending")


def _release(request: HttpRequest, form: ReleaseForm) -> HttpResponse:
    try:
        posts = sending.release(form.cleaned_data["note"])
    except sending.NotPossible as why:
        messages.info(request, str(why))
    else:
        text = ngettext(
            "Released: %(n)s post that waited is sent now.",
            "Released: %(n)s posts that waited are sent now.",
            posts,
        )
        messages.success(request, (text if posts else _("Released. Nothing waited.")) % {"n": number(posts)})
    return redirect("staff:sending")
