"""The account page, and who may see a seller's pages at all."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from . import sessions
from .forms import AccountForm


def seller_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """For those with a login; who has one but sells nothing (staff) is told so in words.

    Within the view `request.seller` is a Seller.
    """

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.seller is None:
            return render(request, "sales/no_seller.html")
        return view(request, *args, **kwargs)

    return login_required(inner)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    if request.seller is None:
        return render(request, "sales/account.html", {"form": None})
    form = AccountForm(request.POST or None, instance=request.seller)
    if request.method == "POST" and form.is_valid():
        form.save()
        with translation.override(request.seller.language or translation.get_language()):
            messages.success(request, _("Your account was saved."))
        return redirect("account")
    return render(request, "sales/account.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@login_required
def sign_out_elsewhere(request: HttpRequest) -> HttpResponse:
    """End all sessions of the user but this one."""
    ended = sessions.end_all(request.user, but=request.session.session_key)
    text = ngettext("%(n)d other session was ended.", "%(n)d other sessions were ended.", ended)
    messages.success(request, text % {"n": ended} if ended else _("You were signed in nowhere else."))
    return redirect("account")
