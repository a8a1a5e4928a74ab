"""Tools → Webhook → Configurations. Not there and not yours are the same 404."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from sales.limits import limited
from sales.views import seller_required

from . import addresses, audit
from .forms import PRESETS, ConfigForm
from .key_views import remember_added
from .models import SECRETS, State, Token, WebhookConfig

PAGE = 100  # rows
CHANGES_PAGE = 25


@require_safe
@seller_required
def list_all(request: HttpRequest) -> HttpResponse:
    configs = WebhookConfig.objects.visible_to(request.user).select_related("product").defer(*SECRETS)
    page = Paginator(configs.in_order(), PAGE).get_page(request.GET.get("page"))
    return render(request, "configurations/list.html", {"page": page, "configs": list(page)})


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
def add(request: HttpRequest) -> HttpResponse:
    return _form_page(request, WebhookConfig(owner=request.seller))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    return _form_page(request, _theirs(request, pk))


@require_safe
@login_required
def changes(request: HttpRequest, pk: int) -> HttpResponse:
    """Who changed what of the configuration, and when: its owner, support, or we."""
    config = _theirs(request, pk)
    page = Paginator(audit.of(config), CHANGES_PAGE).get_page(request.GET.get("page"))
    entries = [audit.shown_to_owner(entry, config) for entry in page]
    return render(
        request, "configurations/changes.html", {"config": config, "page": page, "entries": entries}
    )


@require_POST
@login_required
@limited("check_url")
def check_url(request: HttpRequest) -> HttpResponse:
    """For the form, while it is filled in: how the URL is spelt and whether it may be posted to. Looks nothing up."""
    url = request.POST.get("url", "")
    try:
        checked = addresses.check(url) if url.strip() else ""
    except addresses.Refused as refused:
        return render(request, "configurations/_url_check.html", {"advice": refused.advice})
    context = {"fine": checked, "unencrypted": checked.startswith("http://")}
    return render(request, "configurations/_url_check.html", context)


@require_POST
@login_required
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    config = _theirs(request, pk)
    if config.switch_off():
        text = _("“%(name)s” is off: nothing more is posted to it.") % {"name": config.name}
        messages.success(request, _with_button(text, _("Undo"), _enable_url(config)))
    else:
        messages.info(request, _("“%(name)s” was off already.") % {"name": config.name})
    return redirect("configurations:list")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    config = _theirs(request, pk)
    if request.method == "POST":
        config.remove()
        messages.success(
            request, _("“%(name)s” was removed. Its posts stay in the History.") % {"name": config.name}
        )
        return redirect("configurations:list")
    context = {"config": config, "keep_url": reverse("configurations:list")}
    return render(request, "configurations/remove.html", context)


def _theirs(request: HttpRequest, pk: int) -> WebhookConfig:
    configs = WebhookConfig.objects.visible_to(request.user).select_related("owner", "product")
    return get_object_or_404(configs, pk=pk)


def _form_page(request: HttpRequest, config: WebhookConfig) -> HttpResponse:
    is_new, name, url = config.pk is None, config.name, config.url
    preset = next((preset for preset in PRESETS if preset.name == request.GET.get("preset")), None)
    initial = {"events": [str(type_) for type_ in preset.events]} if preset else None
    form = ConfigForm(request.POST or None, instance=config, initial=initial)
    if request.method == "POST" and form.is_valid():
        form.save()
        config.refresh_from_db(fields=["state"])
        _tell_saved(request, config, is_new=is_new, new_url=config.url != url)
        return _after_saving(request, config, is_new=is_new)
    context = {"form": form, "config": config, "name": name, "presets": PRESETS}
    if config.pk:
        context["token"] = Token.of(config.owner)
    # 422: htmx swaps it in as it does a 200, and whoever posts from a script sees that nothing was saved.
    return render(request, "configurations/form.html", context, status=422 if form.errors else 200)


def _after_saving(request: HttpRequest, config: WebhookConfig, *, is_new: bool) -> HttpResponse:
    """The keys of a new one are shown once; whoever wants to send a test first finds a link to them there."""
    then_test = request.POST.get("then") == "test"
    if is_new:
        remember_added(request, config)
        if not then_test:
            return redirect("configurations:added", config.pk)
        text = _("With its secret and the token your programmer checks that a post is ours.")
        messages.info(
            request, _with_link(text, _("Copy them"), reverse("configurations:added", args=[config.pk]))
        )
    return redirect("deliveries:test", config.pk) if then_test else redirect("configurations:list")


def _tell_saved(request: HttpRequest, config: WebhookConfig, *, is_new: bool, new_url: bool) -> None:
    if is_new:
        events = len(config.events)
        text = ngettext(
            "“%(name)s” was added: from now on it is told of %(events)d event.",
            "“%(name)s” was added: from now on it is told of %(events)d events.",
            events,
        )
        messages.success(request, text % {"name": config.name, "events": events})
    elif config.state == State.DISABLED and new_url:
        text = _("“%(name)s” was saved with its new URL. It can be enabled now.") % {"name": config.name}
        messages.success(request, _with_button(text, _("Enable it"), _enable_url(config)))
    else:
        messages.success(request, _("“%(name)s” was saved.") % {"name": config.name})


def _enable_url(config: WebhookConfig) -> str:
    return reverse("deliveries:enable", args=[config.pk])


def _with_button(text: str, label: str, url: str) -> str:
    """A message with a button that posts to `url`, by the form that stands above the messages."""
    return format_html(
        '<span>{}</span><button class="btn" type="submit" form="after-message" formaction="{}">{}</button>',
        text,
        url,
        label,
    )


def _with_link(text: str, label: str, url: str) -> str:
    return format_html('<span>{}</span><a class="btn" href="{}">{}</a>', text, url, label)
