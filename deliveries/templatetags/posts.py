"""What templates say of posts; those of `configurations` and the frame too, which may not import this app."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.conf import settings
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import backfill, bulk, history, phases, tallies
from deliveries.explain import explain
from deliveries.figures import Figures, figures_of, health_of, unsent
from deliveries.held import EVERY
from deliveries.hosts import held_hosts_of
from deliveries.models import Delivery, DeliveryAttempt, HeldHost, Problem, SamplePost, State
from deliveries.testing import Stage, stage_of
from deliveries.together import Together, together_of

register = template.Library()

LOOKS = {
    State.WAITING: ("wait", "clock-3"),
    State.SENDING: ("info", "circle-dot"),
    State.DELIVERED: ("ok", "circle-check"),
    State.FAILED: ("bad", "circle-x"),
    State.HELD: ("held", "pause"),
    State.DISCARDED: ("off", "x"),
}


@register.inclusion_tag("deliveries/_strip.html", takes_context=True)
def health_strip(context: dict[str, Any]) -> dict[str, Any]:
    """What needs the seller now, in at most three lines."""
    request = context.get("request")
    now = timezone.now()
    health = health_of(request.user, now) if request is not None else None
    if health is not None:
        request._held_hosts = {held.host: held for held in health.paused}
    return {
        "health": health,
        "request": request,
        "csrf_token": context.get("csrf_token"),
        "no_access": f"?status={history.NO_ACCESS}",
        "now": now,
    }


@register.simple_tag
def figures(configs: Sequence[WebhookConfig]) -> dict[int, Figures]:
    """`{% figures configs as figures %}`: {configuration: its last 24 hours}, in four queries for them all."""
    return figures_of(configs)


@register.inclusion_tag("deliveries/_missed.html")
def missed_by(config: WebhookConfig) -> dict[str, Any]:
    """The offer to send what happened before a configuration was there."""
    groups = backfill.groups(config, timezone.now())
    days = backfill.LOOKS_BACK.days
    return {"config": config, "groups": groups, "count": sum(g.events for g in groups), "days": days}


@register.filter
def of(found: dict[int, Figures], config: WebhookConfig) -> Figures:
    return found.get(config.pk) or Figures()


@register.simple_tag(takes_context=True)
def hold_of(context: dict[str, Any], config: WebhookConfig) -> HeldHost | None:
    """The hold of its host, if staff hold it. Below the strip, which asked for all the seller's hosts, it asks nobody."""
    asked = getattr(context.get("request"), "_held_hosts", None)
    if asked is None or config.state == ConfigState.REMOVED:
        asked = held_hosts_of([config])
    return asked.get(EVERY) or asked.get(config.host)


@register.simple_tag
def together_for(post: Delivery) -> Together | None:
    """How it waits with the other posts of its configuration; None where it need not, or waits for its own next try."""
    together = together_of([post.config]).get(post.config_id)
    return None if together and together.goes_on and post.next_try_at else together


@register.simple_tag
def waiting_of(config: WebhookConfig) -> int:
    """How many posts its removal would leave unsent."""
    return unsent(config)


@register.simple_tag
def posts_of(config: WebhookConfig) -> int:
    """How many posts the History holds of it, sent or not."""
    return config.deliveries.count()


@register.simple_tag
def deleted_posts_of(config: WebhookConfig) -> int:
    """How many more it had, which were deleted for their age."""
    return tallies.posts_of(config)


@register.simple_tag
def days_kept() -> int:
    """How long the History keeps a post that is finished; 0: for ever."""
    return settings.HISTORY_RETENTION_DAYS


@register.inclusion_tag("components/badge.html")
def state_badge(post: Delivery) -> dict[str, Any]:
    """The post's state in colour, icon and word; a web page for an answer is no clean delivery."""
    kind, icon = LOOKS[State(post.state)]
    if post.state == State.DELIVERED and post.answered_page:
        kind, icon = "wait", "triangle-alert"
    return {"kind": kind, "icon": icon, "label": post.get_state_display()}


TEST_LOOKS = {
    Stage.WAITING: ("wait", "clock-3", _("Waiting")),
    Stage.SLOW: ("wait", "clock-3", _("Waiting")),
    Stage.SENDING: ("info", "circle-dot", _("Sending")),
    Stage.EXPIRED: ("off", "x", _("Not sent")),
    Stage.LOST: ("bad", "circle-x", _("Cut off")),
}


@register.inclusion_tag("components/badge.html")
def test_badge(post: SamplePost) -> dict[str, Any]:
    """How far a test has come, or what came of it."""
    stage = stage_of(post)
    if stage == Stage.DONE:
        accepted = "wait" if post.answered_page else "ok"
        kind, label = (accepted, _("Delivered")) if post.delivered else ("bad", _("Failed"))
        icon = {"ok": "circle-check", "wait": "triangle-alert", "bad": "circle-x"}[kind]
    else:
        kind, icon, label = TEST_LOOKS[stage]
    return {"kind": kind, "icon": icon, "label": label}


BULK_LOOKS = {
    bulk.Stage.RUNNING: ("info", "rotate-cw"),
    bulk.Stage.FINISHED: ("ok", "circle-check"),
    bulk.Stage.PAUSED: ("wait", "pause"),
    bulk.Stage.STOPPED: ("off", "x"),
}


@register.inclusion_tag("components/badge.html")
def bulk_badge(line: Any) -> dict[str, Any]:
    """How far a bulk reprocess (bulk_views.Line) has come."""
    kind, icon = BULK_LOOKS[line.stage]
    return {"kind": kind, "icon": icon, "label": line.stage.label}


@register.inclusion_tag("deliveries/_code.html")
def code_badge(came: Delivery | DeliveryAttempt, words: Any) -> dict[str, Any]:
    """The code, or the kind of error, as a link to its explanation; nothing before the first try."""
    is_post = isinstance(came, Delivery)
    status = came.last_status if is_post else came.status
    problem = came.last_problem if is_post else came.problem
    kind = words.kind if words else "bad"
    if is_post and kind == "bad" and came.state in (State.WAITING, State.SENDING):
        kind = "wait"
    return {
        "label": status if status is not None else Problem(problem).label if problem else "",
        "kind": kind,
        "words": words,
        "url": reverse("deliveries:code", args=[words.slug]) if words else "",
    }


@register.inclusion_tag("deliveries/_phases.html")
def phases_of(post: DeliveryAttempt | SamplePost) -> dict[str, Any]:
    """Where its time went, as a bar and in words; nothing where that was not kept."""
    return {"parts": phases.parts(post), "kept": phases.is_kept(post)}


@register.filter
def as_words(attempt: DeliveryAttempt) -> Any:
    """The explanation of an attempt in a list, without its headers."""
    return explain(attempt.status, attempt.problem, delivered=attempt.delivered)
