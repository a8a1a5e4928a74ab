"""The pages on which a seller sends a test and sees what comes of it."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from configurations.events import GROUPS, Description, EventType, Group
from configurations.models import SECRETS, WebhookConfig
from configurations.models import State as ConfigState
from sales.limits import limited
from sales.views import seller_required

from . import showing, testing
from .models import CONFIG_SECRETS, SamplePost
from .posted import SamplePostQuerySet
from .testing import Stage

PAGE = 50  # tests
LIMITS = {"deadline": round(settings.DELIVERY_DEADLINE), "minutes": testing.EXPIRES // timedelta(minutes=1)}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("send_test")
def test(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks which event, then sends it."""
    configs = WebhookConfig.objects.visible_to(request.user).select_related("owner", "product")
    config = get_object_or_404(configs.defer(*SECRETS), pk=pk)
    events = testing.events_for(config)
    wanted = request.POST.get("event") or request.GET.get("event", "")
    problem = ""
    if request.method == "POST":
        try:
            if wanted not in events:
                raise testing.NotPossible(_("Choose one of these events."))
            return redirect(testing.start(config, EventType(wanted)))
        except testing.NotPossible as why:
            problem = str(why)
    context = {
        "tab": "configurations",
        "config": config,
        "groups": list(_in_groups(events)),
        "chosen": wanted if wanted in events else testing.default_of(config, events),
        "problem": problem,
        "past": _tests(request).filter(config=config).newest_first()[:5],
    }
    return render(request, "deliveries/test.html", context, status=422 if problem else 200)


@require_safe
@seller_required
def tests(request: HttpRequest) -> HttpResponse:
    """All tests of the seller, newest first."""
    page = Paginator(_tests(request).newest_first(), PAGE).get_page(request.GET.get("page"))
    return render(request, "deliveries/tests.html", {"page": page, "kept": testing.KEPT.days})


@require_safe
@login_required
def result(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "deliveries/test_result.html", _result_context(request, pk))


@require_safe
@login_required
def part(request: HttpRequest, pk: int) -> HttpResponse:
    """The result as it is now, for a page that knows of `stage`; nothing while it still is that."""
    context = _result_context(request, pk)
    if request.GET.get("stage") == context["stage"]:
        return HttpResponse(status=204)
    return render(request, "deliveries/_test_result.html", context)


def _tests(request: HttpRequest) -> SamplePostQuerySet:
    tests = SamplePost.objects.visible_to(request.user).select_related("config")
    return tests.defer("body", "response_body", "request_headers", "response_headers", *CONFIG_SECRETS)


def _result_context(request: HttpRequest, pk: int) -> dict[str, object]:
    found = SamplePost.objects.visible_to(request.user).select_related("config").defer(*CONFIG_SECRETS)
    post = get_object_or_404(found, pk=pk)
    config, stage = post.config, testing.stage_of(post)
    works = stage == Stage.DONE and post.delivered and not post.answered_page
    enables = works and post.url == config.url and config.state in (ConfigState.OFF, ConfigState.DISABLED)
    return {
        "tab": "configurations",
        "post": post,
        "config": config,
        "stage": stage,
        "words": testing.words_of(post) if stage == Stage.DONE else None,
        "limits": LIMITS,
        "polls": stage in (Stage.WAITING, Stage.SLOW, Stage.SENDING),
        "part_url": f"{reverse('deliveries:test_part', args=[pk])}?stage={stage}",
        "payload": showing.payload(testing.as_delivery(post)),
        "request_headers": showing.headers(post.request_headers) if post.request_headers else None,
        "response_headers": showing.headers(post.response_headers) if post.response_headers else None,
        "response": _response(post),
        "enables": enables,
        "held": config.deliveries.held().count() if enables else 0,
    }


def _response(post: SamplePost) -> showing.Shown | None:
    content = bytes(post.response_body)
    return showing.body(content, showing.content_type(post.response_headers)) if content else None


def _in_groups(events: list[EventType]) -> Iterator[tuple[Group, list[Description]]]:
    for group in GROUPS:
        if offered := [event for event in group.events if event.type in events]:
            yield group, offered
