"""Tools → Webhook → Documentation: the same for everybody, made from the table that makes the posts."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from configurations.addresses import also_permitted
from configurations.events import BY_TYPE, GROUPS, Description, EventType
from configurations.models import Token, Version, masked
from deliveries import contract
from deliveries.models import Audience

from . import openapi, posts, rules, schemas, tables
from .snippets import RECEIVERS, SNIPPETS, snippet

NEWEST = Version.V2
SHOWN = (*Audience.values, "both")  # the tabs of a sample


@require_safe
@login_required
def index(request: HttpRequest) -> HttpResponse:
    return redirect("docs_tab:event", NEWEST, EventType.APPROVED)


@require_safe
@login_required
def event(request: HttpRequest, version: str, event_type: str) -> HttpResponse:
    version, description = _version(version), _described(event_type)
    wanted = request.GET.get("q", "").strip()
    shown = request.GET.get("copy", "")
    shown = shown if shown in SHOWN else Audience.PRODUCER
    context = _frame(version) | {
        "event": description,
        "q": wanted,
        "shown": shown,
        "sent": contract.sends(version, event_type, Audience.PRODUCER),
        "to_affiliates": contract.sends(version, event_type, Audience.AFFILIATE),
    }
    if context["sent"]:
        rows = tables.rows(version, event_type)
        context |= {
            "rows": [row for row in rows if row.holds(wanted)],
            "total": len(rows),
            "copies": posts.copies(version, event_type),
            "lines": posts.compared(version, event_type) if shown == "both" else [],
        }
    return render(request, "docs_tab/event.html", context)


@require_safe
@login_required
def sample(request: HttpRequest, version: str, event_type: str, audience: str) -> HttpResponse:
    """The very bytes of the sample, to download."""
    copy = posts.copy_for(*_sendable(version, event_type, audience))
    ending = "json" if copy.is_json else "form"
    return _file(copy.body, copy.content_type, f"{version}-{event_type}-{audience}.{ending}")


@require_safe
@login_required
def schema_json(request: HttpRequest, version: str, event_type: str, audience: str) -> HttpResponse:
    schema = schemas.schema(*_sendable(version, event_type, audience))
    return _json(schema, f"{version}-{event_type}-{audience}.schema.json")


@require_safe
@login_required
def openapi_json(request: HttpRequest) -> HttpResponse:
    return _json(openapi.document(), "webhookhub-openapi.json")


@require_safe
@login_required
def signature(request: HttpRequest, version: str) -> HttpResponse:
    token = Token.objects.filter(seller=request.seller).first() if request.seller else None
    context = _frame(_version(version)) | {
        "snippets": SNIPPETS,
        "snippet": snippet(request.GET.get("language", "")),
        "receivers": RECEIVERS,
        "headers": posts.headers(version),
        "masked_token": masked(token.value) if token else "",
    }
    return render(request, "docs_tab/signature.html", context)


@require_safe
@login_required
def success(request: HttpRequest, version: str) -> HttpResponse:
    return render(request, "docs_tab/success.html", _frame(_version(version)) | rules.in_force())


@require_safe
@login_required
def addresses(request: HttpRequest, version: str) -> HttpResponse:
    context = _frame(_version(version)) | {
        "addresses": settings.DELIVERY_SOURCE_ADDRESSES,
        "user_agent": settings.DELIVERY_USER_AGENT,
        "ports": list(settings.DELIVERY_ALLOWED_PORTS),
        "networks": also_permitted(),
    }
    return render(request, "docs_tab/addresses.html", context)


@require_safe
@login_required
def receiver(request: HttpRequest, name: str) -> HttpResponse:
    found = next((one for one in RECEIVERS if one.name == name), None)
    if found is None:
        raise Http404
    return _file(found.content(), "text/plain; charset=utf-8", name)


def _frame(version: str) -> dict[str, Any]:
    """What every page has: the contents at the side and the versions to choose from."""
    return {"groups": GROUPS, "version": version, "versions": Version.choices}


def _version(version: str) -> str:
    if version not in Version.values:
        raise Http404
    return version


def _described(event_type: str) -> Description:
    try:
        return BY_TYPE[EventType(event_type)]
    except ValueError:
        raise Http404 from None


def _sendable(version: str, event_type: str, audience: str) -> tuple[str, str, str]:
    _version(version)
    _described(event_type)
    if audience not in Audience.values or not contract.sends(version, event_type, audience):
        raise Http404
    return version, event_type, audience


def _json(content: Mapping[str, Any], name: str) -> HttpResponse:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    return _file(text.encode(), "application/json", name)


def _file(content: bytes, content_type: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(content, content_type=content_type, headers=headers)
