"""What was posted for one sale, and why, or why not; and sending what was not. Not there and not yours: 404."""

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from configurations.models import State, WebhookConfig
from sales.limits import limited
from sales.models import Transaction
from sales.templatetags.formats import number

from . import backfill, timeline
from .models import Delivery


@require_safe
@login_required
def find(request: HttpRequest) -> HttpResponse:
    """Where a sale is asked for by its code."""
    code = request.GET.get("code", "").strip()
    for spelt in dict.fromkeys((code, code.upper())):
        if spelt and timeline.find(spelt, request.user):
            return redirect("deliveries:timeline", spelt)
    return render(request, "deliveries/find_sale.html", {"code": code}, status=404 if code else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("reprocess")
def sale(request: HttpRequest, code: str) -> HttpResponse:
    """The timeline; a POST of `event` and `config` sends that one after all."""
    found = timeline.find(code, request.user)
    if found is None:
        raise Http404
    if request.method == "POST":
        return send_it(request, found, "deliveries:timeline")
    context = {"timeline": timeline.of(found, request.user), "sale": found}
    return render(request, "deliveries/timeline.html", context)


def send_it(request: HttpRequest, sale: Transaction, page: str) -> HttpResponse:
    """Send the chosen event of the sale to the chosen configuration, and go back to `page`, the name of a timeline."""
    asked = SendForm(request.POST)
    if not asked.is_valid():
        raise Http404
    event = get_object_or_404(timeline.events_of(sale), pk=asked.cleaned_data["event"])
    config = timeline.config_for(asked.cleaned_data["config"], event, request.user)
    if config is None:
        raise Http404
    try:
        timeline.send(event, config)
    except Delivery.NotPossible as why:
        messages.warning(request, str(why))
    else:
        text = _("“%(event)s” is on its way to “%(name)s”.")
        messages.success(request, text % {"event": event.get_type_display(), "name": config.name})
    return redirect(page, sale.code)


class SendForm(forms.Form):
    event = forms.UUIDField()
    config = forms.IntegerField(min_value=1, max_value=2**63 - 1)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("bulk")
def send_earlier(request: HttpRequest, pk: int) -> HttpResponse:
    """The sales of the last days for a configuration that was not told of them: counted, chosen, sent."""
    configs = WebhookConfig.objects.visible_to(request.user).select_related("owner", "product")
    config, now = get_object_or_404(configs, pk=pk), timezone.now()
    if request.method == "POST":
        return _send_earlier(request, config)
    groups = backfill.groups(config, now) if config.state == State.ON else []
    context = {
        "config": config,
        "groups": groups,
        "count": sum(group.events for group in groups),
        "days": backfill.LOOKS_BACK.days,
        "tab": "configurations",
        "keep_url": reverse("configurations:list"),
        "keep_label": _("Don't send") if groups else _("Back to the configurations"),
    }
    return render(request, "deliveries/send_earlier.html", context)


def _send_earlier(request: HttpRequest, config: WebhookConfig) -> HttpResponse:
    try:
        sent = backfill.send(config, request.POST.getlist("send"), timezone.now())
    except Delivery.NotPossible as why:
        messages.warning(request, str(why))
        return redirect("configurations:list")
    if not sent:
        messages.info(request, _("Nothing was sent: nothing was ticked, or all of it was sent already."))
        return redirect("configurations:list")
    text = ngettext(
        "%(n)s post of the past is on its way to “%(name)s”, behind all that is new.",
        "%(n)s posts of the past are on their way to “%(name)s”, behind all that is new.",
        sent,
    )
    messages.success(request, text % {"n": number(sent), "name": config.name})
    return redirect(f"{reverse('deliveries:history')}?config={config.pk}")
