"""The signing secret of a configuration and the security token of a seller: masked, shown on demand, replaced."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from sales.limits import limited
from sales.views import seller_required

from . import guard
from .forms import RotateTokenForm
from .models import OVERLAP, Token, WebhookConfig

_ADDED = "added"  # in the session: the configuration whose keys are to be shown once


def remember_added(request: HttpRequest, config: WebhookConfig) -> None:
    """Let the page of the configuration that was just added show its keys, once."""
    request.session[_ADDED] = config.pk


@require_safe
@login_required
def added(request: HttpRequest, pk: int) -> HttpResponse:
    """What comes after adding: the secret and the token once more to copy, and masked from then on."""
    config = _theirs(request, pk)
    shown = request.method == "GET" and request.session.get(_ADDED) == config.pk
    if shown:
        del request.session[_ADDED]
    context = {"config": config, "token": Token.of(config.owner), "shown": shown}
    return render(request, "configurations/added.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("keys")
def secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Masked; a POST with the password shows it."""
    return _shown_on_demand(request, "configurations/secret.html", {"config": _theirs(request, pk)})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("keys")
def rotate_secret(request: HttpRequest, pk: int) -> HttpResponse:
    config = _theirs(request, pk)
    page = reverse("configurations:secret", args=[config.pk])
    form = guard.password_form(request)
    if request.method == "POST" and guard.lets_in(request, form):
        if config.rotate_secret():
            messages.success(request, _("There is a new secret. Show it here and enter it at the receiver."))
        else:
            messages.warning(
                request, _("The secret was rotated less than 24 hours ago: nothing was changed.")
            )
        return redirect(page)
    context = {"config": config, "form": form, "keep_url": page, "until": timezone.now() + OVERLAP}
    if config.overlaps:
        context["keep_label"] = _("Back")
    return _page(request, "configurations/rotate_secret.html", context, form)


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
@limited("keys")
def token(request: HttpRequest) -> HttpResponse:
    """Masked; a POST with the password shows it, and the next one where a rotation is set."""
    return _shown_on_demand(request, "configurations/token.html", {"token": Token.of(request.seller)})


@require_http_methods(["GET", "HEAD", "POST"])
@seller_required
@limited("keys")
def rotate_token(request: HttpRequest) -> HttpResponse:
    token, page = Token.of(request.seller), reverse("configurations:token")
    form, rotation = guard.password_form(request), RotateTokenForm(request.POST or None)
    # The password first: once it was right, it is not asked for again on account of a wrong time.
    if request.method == "POST" and guard.lets_in(request, form) and rotation.is_valid():
        _rotate(request, token, rotation)
        return redirect(page)
    context = {
        "token": token,
        "form": guard.password_form(request) and form,
        "rotation": rotation,
        "keep_url": page,
        "keep_label": _("Back") if token.rotates_at else "",
        "configs": WebhookConfig.objects.visible_to(request.user).count(),
    }
    return _page(request, "configurations/rotate_token.html", context, form, rotation)


def _rotate(request: HttpRequest, token: Token, rotation: RotateTokenForm) -> None:
    at = rotation.cleaned_data["at"]
    if not token.rotate(at):
        messages.warning(request, _("A rotation is set already: nothing was changed."))
    elif at:
        text = _("The rotation is set. Show the next token here and enter it at your receivers at that time.")
        messages.success(request, text)
    else:
        text = _("There is a new token. Show it here and enter it at your receivers now.")
        messages.success(request, text)


@require_POST
@seller_required
@limited("keys")
def keep_token(request: HttpRequest) -> HttpResponse:
    """Call off the rotation that is set."""
    if Token.of(request.seller).keep():
        messages.success(request, _("The rotation was called off: the token stays as it is."))
    else:
        messages.warning(request, _("There is no rotation to call off: none is set, or it has taken place."))
    return redirect("configurations:token")


def _theirs(request: HttpRequest, pk: int) -> WebhookConfig:
    configs = WebhookConfig.objects.visible_to(request.user).select_related("owner")
    return get_object_or_404(configs, pk=pk)


def _shown_on_demand(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    form = guard.password_form(request)
    shown = request.method == "POST" and guard.lets_in(request, form)
    return _page(request, template, context | {"form": None if shown else form, "shown": shown}, form)


def _page(request: HttpRequest, template: str, context: dict[str, Any], *forms: Any) -> HttpResponse:
    # 422: htmx swaps it in as it does a 200, and whoever posts from a script sees that nothing was done.
    return render(
        request, template, context, status=422 if any(form and form.errors for form in forms) else 200
    )
