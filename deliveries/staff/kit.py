"""What the staff's own pages share: who may see them, the admin's frame around them, its lists behind a number."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deliveries.words import Words

View = Callable[..., HttpResponse]
SEES_POSTS = "deliveries.view_delivery"
SEES_CONFIGS = "configurations.view_webhookconfig"
MAY_HOLD = "deliveries.hold_host"
MAY_HOLD_ALL = "deliveries.hold_sending"


def staff_page(*permissions: str) -> Callable[[View], View]:
    """A page of the admin for staff with these rights: who is not staff is led to the login, who lacks one gets 403."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return admin.site.admin_view(checked)

    return decorate


def show(
    request: HttpRequest, template: str, title: Words, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    frame = admin.site.each_context(request) | {"title": title}
    return render(request, f"deliveries/staff/{template}.html", frame | context, status=status)


def list_url(user: AbstractBaseUser | AnonymousUser, model: str, **lookups: Any) -> str:
    """The admin's list of `model` ("app_model"), filtered; empty for who may not see it."""
    app, _, name = model.partition("_")
    if not user.has_perm(f"{app}.view_{name}"):
        return ""
    query = f"?{urlencode(lookups)}" if lookups else ""
    return reverse(f"admin:{model}_changelist") + query
