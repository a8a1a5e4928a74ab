"""What the frame and the History show of the former system's posts, to who has some. One query a page."""

from dataclasses import dataclass
from typing import Any

from django import template
from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from deliveries.explain import explain
from deliveries.templatetags.posts import state_badge
from deliveries.words import Explanation
from legacy_posts.models import Kind, LegacyPost
from sales.models import Seller

register = template.Library()


@dataclass(frozen=True, slots=True)
class Has:
    """Which posts a seller has."""

    sent: bool = False
    pending: bool = False

    @property
    def any(self) -> bool:
        return self.sent or self.pending


def _has(request: HttpRequest | None) -> Has:
    if request is None or getattr(request, "seller", None) is None:
        return Has()
    if (known := getattr(request, "_legacy_posts", None)) is None:
        posts = LegacyPost.objects.filter(owner=OuterRef("pk"))
        kinds = {str(kind): Exists(posts.of_kind(kind)) for kind in Kind}
        row = Seller.objects.filter(pk=request.seller.pk).annotate(**kinds).values(*kinds).get()
        known = request._legacy_posts = Has(**row)
    return known


@register.inclusion_tag("legacy_posts/_tabs.html", takes_context=True)
def legacy_tabs(context: dict[str, Any]) -> dict[str, Any]:
    """Sent Posts and Pending Posts among the tabs."""
    request = context.get("request")
    match = request.resolver_match if request is not None else None
    here = (match.app_name == "legacy_posts" and match.kwargs.get("kind")) if match else None
    return {"has": _has(request), "here": here}


@register.inclusion_tag("legacy_posts/_chip.html", takes_context=True)
def legacy_chip(context: dict[str, Any]) -> dict[str, Any]:
    """From the History to the list of old and new posts together."""
    return {"has": _has(context.get("request"))}


@register.inclusion_tag("components/badge.html")
def legacy_badge(post: LegacyPost) -> dict[str, Any]:
    """What came of it in colour, icon and word; of one that was sent from here, as its post in the History has it."""
    if post.kind == Kind.SENT:
        kind, icon, label = _of_sent(post)
    elif post.sent_at is None:
        kind, icon, label = "wait", "clock-3", _("To send")
    elif post.delivery is None:
        kind, icon, label = "off", "send", _("Sent from here")
    else:
        return state_badge(post.delivery)
    return {"kind": kind, "icon": icon, "label": label}


def _of_sent(post: LegacyPost) -> tuple[str, str, Any]:
    if post.status is not None:
        accepted = 200 <= post.status < 300
        return ("ok", "circle-check", _("Delivered")) if accepted else ("bad", "circle-x", _("Failed"))
    return ("bad", "circle-x", _("No answer")) if post.problem else ("off", "info", _("Not known"))


@register.inclusion_tag("legacy_posts/_code.html")
def legacy_code(post: LegacyPost) -> dict[str, Any]:
    """The status that the former system noted, as a link to its explanation."""
    words = in_words(post)
    if words is None:
        return {}
    return {"label": post.status, "kind": words.kind, "url": reverse("deliveries:code", args=[words.slug])}


@register.filter
def in_words(post: LegacyPost) -> Explanation | None:
    """What came of a post in the former system, where it noted a status."""
    if post.status is None:
        return None
    return explain(post.status, "", url=post.url, delivered=200 <= post.status < 300)
