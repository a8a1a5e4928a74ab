"""Tools → Webhook → History, and what can be done there. Not there and not yours are the same 404."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from configurations.models import WebhookConfig
from sales.limits import limited
from sales.templatetags.formats import number
from sales.views import seller_required

from . import bulk_views, history, pages, relevance, showing, timeline
from .explain import SECTIONS, for_slug
from .forms import HeldForm, held_groups
from .models import Delivery, DeliveryQuerySet, State
from .words import BY_SLUG

MOST_TRIES = len(settings.DELIVERY_RETRY_AFTER) + 1
AS_A_PROBE = gettext_lazy(
    "Your server does not take our posts at present: this one goes now all the same, to see whether it works again, "
    "and uses up no try."
)
MOST_LIVE = 2 * history.PAGE  # rows that one poll may ask for


@require_safe
@seller_required
def history_page(request: HttpRequest) -> HttpResponse:
    asked = pages.asked(request)
    filters, posts = asked.filters, _posts(request)
    found = filters.of(posts)
    place = _place(request)
    page = history.page(pages.with_facts(found), **place)
    count, failed, more = _counts(found, page)
    bulks, any_bulk = bulk_views.above_the_list(request)
    context = {
        "asked": asked,
        "filters": filters,
        "page": page,
        "rows": pages.rows_of(page.posts, filters, place),
        "count": count,
        "more": more,
        "failed": failed,
        "failed_query": "" if "status" in filters.active else filters.query(status=str(State.FAILED)),
        "newer_url": filters.query(newer=page.newer) if page.newer else "",
        "older_url": filters.query(older=page.older) if page.older else "",
        "most_tries": MOST_TRIES,
        "chart": pages.chart_of(posts, filters),
        "live_url": _live_url(filters, page, place),
        "here": reverse("deliveries:history") + filters.query(**place),
        "detail": _opened(request, filters, place),
        "any_config": bool(asked.configs),
        "sale_url": _sale_url(filters.active.get("q", "")),
        "bulks": bulks,
        "any_bulk": any_bulk,
    }
    return render(request, "deliveries/history.html", context)


@require_safe
@seller_required
def live(request: HttpRequest) -> HttpResponse:
    """The rows on screen as they are now, whatever the filter says of them, and how many are new above them."""
    filters, place = pages.asked(request).filters, _place(request)
    ids = [int(pk) for pk in request.GET.get("ids", "").split(".") if pk.isascii() and pk.isdigit()]
    ids = [pk for pk in ids[:MOST_LIVE] if pk < 2**63]
    posts = _posts(request)
    shown = list(pages.with_facts(posts).filter(pk__in=ids).newest_first())
    first = request.GET.get("first", "")
    context = {
        "rows": pages.rows_of(shown, filters, place),
        "new": history.new_since(filters.of(posts), first) if first else 0,
        "first_page": reverse("deliveries:history") + filters.query(),
        "live_url": request.get_full_path(),
        "most_tries": MOST_TRIES,
        "bulks": bulk_views.under_way(request),
    }
    return render(request, "deliveries/_live.html", context)


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    return render(request, "deliveries/detail.html", _detail_context(request, pk) | {"own_page": True})


@require_safe
@login_required
def panel(request: HttpRequest, pk: int) -> HttpResponse:
    """The same beside the list, or afresh on its own page."""
    context = _detail_context(request, pk) | {"own_page": bool(request.GET.get("own_page"))}
    return render(request, "deliveries/_detail.html", context)


@require_safe
@login_required
def curl(request: HttpRequest, pk: int) -> HttpResponse:
    """The command as plain text, signed for this minute: what the copy button takes."""
    shown = showing.curl_or_none(_theirs(request, pk))
    if shown is None:
        raise Http404
    return HttpResponse(shown.text, content_type="text/plain; charset=utf-8")


@require_POST
@login_required
@limited("reprocess")
def reprocess(request: HttpRequest, pk: int) -> HttpResponse:
    """Send one post: at once if it waits, else with a fresh set of tries."""
    post = _theirs(request, pk)
    problem, is_probe = "", False
    part = request.GET.get("as")
    if part in ("row", "list") and _would_open_again(post):
        return _to_the_warning(request, post, part)
    try:
        is_probe = _send(post, request.GET.get("seen", ""))
    except Delivery.NotPossible as why:
        problem = str(why)
    said = AS_A_PROBE if is_probe else ""
    if part == "row":
        filters, place = pages.asked(request).filters, _place(request)
        fresh = pages.with_facts(_posts(request)).get(pk=pk)
        row = pages.rows_of([fresh], filters, place)[0]
        return render(
            request,
            "deliveries/_sent_row.html",
            {"row": row, "problem": problem or said, "most_tries": MOST_TRIES},
        )
    if part == "panel":
        context = _detail_context(request, pk) | {
            "problem": problem or said,
            "own_page": bool(request.GET.get("own_page")),
        }
        return render(request, "deliveries/_detail.html", context)
    if problem:
        messages.warning(request, problem)
    else:
        messages.success(request, said or _("The post is on its way."))
    return redirect(_next(request, post.get_absolute_url()))


def _would_open_again(post: Delivery) -> bool:
    """What waits goes by itself, whoever is asked."""
    return post.state != State.WAITING and relevance.is_undone(post.event.type, post.event.sale)


def _to_the_warning(request: HttpRequest, post: Delivery, part: str) -> HttpResponse:
    """A row has no room for the warning that stands beside the button of the post's own page."""
    messages.warning(request, _("This post was not sent yet: read the warning first."))
    if part == "row":
        return HttpResponse(headers={"HX-Redirect": post.get_absolute_url()})
    return redirect(post)


def _send(post: Delivery, seen: str) -> bool:
    """`seen`: how many attempts the page knew of. Of two presses of one button, the second sends nothing.

    Returns whether it goes as a probe.
    """
    if seen and seen != str(post.attempts_made) and post.state != State.WAITING:
        raise Delivery.NotPossible(_("This post was sent again in the meantime: look at its newest attempt."))
    if post.state == State.WAITING:
        return post.send_now()
    return post.reprocess()


@require_safe
@login_required
def codes(request: HttpRequest) -> HttpResponse:
    sections = [(title, [BY_SLUG[slug] for slug in slugs]) for title, slugs in SECTIONS]
    sections = [(title, [for_slug(row.slug) for row in rows]) for title, rows in sections]
    return render(request, "deliveries/codes.html", {"sections": sections})


@require_safe
@login_required
def code(request: HttpRequest, slug: str) -> HttpResponse:
    try:
        words = for_slug(slug)
    except KeyError:
        raise Http404 from None
    return render(request, "deliveries/code.html", {"words": words})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@limited("bulk")
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    """off | disabled -> on. Where posts are held it first asks what becomes of them."""
    config = get_object_or_404(WebhookConfig.objects.visible_to(request.user), pk=pk)
    now = timezone.now()
    groups = held_groups(config, now)
    if not groups:
        if request.method != "POST":
            return render(request, "deliveries/enable.html", {"config": config, **_enable_context()})
        config.enable()
        messages.success(request, _("“%(name)s” is on.") % {"name": config.name})
        return redirect("configurations:list")
    form = HeldForm(groups, request.POST)
    if request.method == "POST" and "shown" in request.POST and form.is_valid():
        with transaction.atomic():
            config.enable()
            sent, discarded = form.settle(config, now)
        messages.success(request, _settled(config, sent, discarded))
        return redirect("configurations:list")
    context = {"config": config, "groups": groups, **_enable_context()}
    return render(request, "deliveries/enable.html", context)


def _enable_context() -> dict[str, str]:
    return {
        "tab": "configurations",
        "keep_url": reverse("configurations:list"),
        "keep_label": _("Leave it as it is"),
    }


def _settled(config: WebhookConfig, sent: int, discarded: int) -> str:
    parts = [_("“%(name)s” is on.") % {"name": config.name}]
    if sent:
        text = ngettext("%(n)s held post is on its way.", "%(n)s held posts are on their way.", sent)
        parts.append(text % {"n": number(sent)})
    if discarded:
        text = ngettext("%(n)s was discarded.", "%(n)s were discarded.", discarded)
        parts.append(text % {"n": number(discarded)})
    return " ".join(parts)


def _sale_url(search: str) -> str:
    """Where it is told why nothing was posted for a sale that is searched for by its code."""
    return f"{reverse('deliveries:find_sale')}?code={search}" if timeline.is_code(search) else ""


def _posts(request: HttpRequest) -> DeliveryQuerySet:
    return Delivery.objects.visible_to(request.user)


def _theirs(request: HttpRequest, pk: int) -> Delivery:
    return get_object_or_404(_posts(request).select_related("config", "event__product", "event__sale"), pk=pk)


def _detail_context(request: HttpRequest, pk: int) -> dict[str, object]:
    post = _theirs(request, pk)
    filters, place = pages.asked(request).filters, _place(request)
    row = pages.rows_of([post], filters, place)[0]
    return {
        "detail": pages.detail_of(post, row, request.GET),
        "most_tries": MOST_TRIES,
        "back": reverse("deliveries:history") + filters.query(**place),
    }


def _opened(request: HttpRequest, filters: history.Filters, place: dict[str, str]) -> pages.Detail | None:
    """The post that stands open beside the list."""
    pk = request.GET.get("post", "")
    if not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        return None
    posts = _posts(request).select_related("config", "event__product", "event__sale")
    post = posts.filter(pk=int(pk)).first()
    if post is None:
        return None
    return pages.detail_of(post, pages.rows_of([post], filters, place)[0], request.GET)


def _counts(found: DeliveryQuerySet, page: history.Page) -> tuple[int, int, bool]:
    """How many there are, how many of them failed, and whether there are more. One page counts itself."""
    if not page.newer and not page.older:
        return len(page.posts), sum(post.state == State.FAILED for post in page.posts), False
    (count, more), (failed, _more) = history.counts(found, found.filter(state=State.FAILED))
    return count, failed, more


def _place(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("newer", "older") if request.GET.get(name)}


def _live_url(filters: history.Filters, page: history.Page, place: dict[str, str]) -> str:
    """Where the rows are asked for afresh. New ones are counted on the first page alone."""
    ids = ".".join(str(post.pk) for post in page.posts)
    first = "" if page.newer else history.key_of(page.posts[0]) if page.posts else "0-0"
    return reverse("deliveries:live") + filters.query(**place, ids=ids, first=first)


def _next(request: HttpRequest, otherwise: str) -> str:
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else otherwise
