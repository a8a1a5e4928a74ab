"""Reprocess from the admin's list of posts: a few at once, many behind all that is fresh."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from sales import limits
from sales.adminkit import Question, confirmed, link, links
from sales.templatetags.formats import number

from . import bulk, selecting
from .models import Delivery, DeliveryQuerySet
from .reprocessing import BulkReprocess

FEW = 100  # posts that go at once
MOST = 10_000  # that one press queues, while the page waits


def ask(posts: DeliveryQuerySet, count: int) -> Question:
    """How many would go and to how many receivers, what arrived already, what would be undone, what stays."""
    found = selecting.facts_of(posts)
    many = found.posts + found.waiting > FEW
    sends = found.posts if many else found.posts + found.waiting
    facts = _facts(found, sends, count - sends, many=many)
    if sends > MOST:
        text = gettext(
            "These are more than %(most)s posts: choose fewer with the filters, or have the command “reprocess” "
            "send them."
        )
        facts = [text % {"most": number(MOST)}, *facts]
    if not sends or sends > MOST:
        title = gettext("There is nothing to send") if not sends else gettext("These are too many at once")
        return Question(title, "", facts, example=_named)
    title = ngettext("Send %(n)s post?", "Send %(n)s posts?", sends) % {"n": number(sends)}
    return Question(title, gettext("Send"), facts, example=_named)


def _facts(found: selecting.Facts, sends: int, stays: int, *, many: bool) -> list[str]:
    facts = []
    if sends:
        text = ngettext(
            "They go to the URL of %(n)s configuration, each with a fresh set of tries.",
            "They go to the URLs of %(n)s configurations, each with a fresh set of tries.",
            len(found.sends),
        )
        facts.append(text % {"n": number(len(found.sends))})
    if sends and many:
        facts.append(gettext("They go behind all that is fresh, and can be paused and stopped."))
    if found.arrived:
        text = ngettext(
            "%(n)s of them arrived already: its receiver gets it a second time, with the same webhook-id.",
            "%(n)s of them arrived already: their receivers get them a second time, with the same webhook-id.",
            found.arrived,
        )
        facts.append(text % {"n": number(found.arrived)})
    if found.undone:
        text = ngettext(
            "%(n)s of them would open an access that was closed since.",
            "%(n)s of them would open an access that was closed since.",
            found.undone,
        )
        facts.append(text % {"n": number(found.undone)})
    if stays > 0:
        facts.append(_staying(stays))
    return facts


def _staying(count: int) -> str:
    text = ngettext(
        "%(n)s of the chosen stays as it is: it is on its way, or its configuration is not on.",
        "%(n)s of the chosen stay as they are: they are on their way, or their configurations are not on.",
        count,
    )
    return text % {"n": number(count)}


def _named(post: Delivery) -> str | SafeString:
    """Event, receiver and status, for a question."""
    return links(str(post.event), post.config.name, post.get_state_display())


class Reprocesses:
    """Adds the action to the admin of Delivery, for those with the permission."""

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("deliveries.reprocess_delivery")

    @confirmed(ask)
    @admin.action(description=_("Reprocess, or send now what waits"), permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, posts: DeliveryQuerySet) -> HttpResponse | None:
        if wait := limits.take("bulk", request.user.pk):
            return limits.refused(request, wait)
        chosen = posts.count()
        found = selecting.facts_of(posts)
        if found.posts > MOST:
            self.message_user(
                request,
                gettext("Nothing was sent: there are too many of them by now. Choose again."),
                messages.WARNING,
            )
            return None
        if found.posts + found.waiting > FEW:
            self._start(request, posts)
            return None
        sent = posts.filter(event__redacted_at=None).send_again()
        text = ngettext("%(n)s post is sent now.", "%(n)s posts are sent now.", sent) % {"n": number(sent)}
        self.message_user(request, text, messages.SUCCESS if sent else messages.WARNING)
        if stayed := chosen - sent:
            text = ngettext(
                "%(n)s post stays as it is: it is on its way, or its configuration is not on.",
                "%(n)s posts stay as they are: they are on their way, or their configurations are not on.",
                stayed,
            )
            self.message_user(request, text % {"n": number(stayed)}, messages.WARNING)
        return None

    def _start(self, request: HttpRequest, posts: DeliveryQuerySet) -> None:
        try:
            started = bulk.start(posts, asked_for=gettext("Chosen in the staff admin"), by=request.user)
        except BulkReprocess.Nothing:
            self.message_user(request, gettext("There is nothing to send"), messages.WARNING)
            return
        text = ngettext(
            "%(n)s post is being sent, behind all that is fresh.",
            "%(n)s posts are being sent, behind all that is fresh.",
            started.total,
        )
        self.message_user(request, _with_link(text % {"n": number(started.total)}, started), messages.SUCCESS)


def _with_link(text: str, started: BulkReprocess) -> Any:
    """With a link to where it is watched, paused and stopped, where the admin has such a page."""
    if BulkReprocess in admin.site._registry:
        return links(text, link(started, gettext("Watch it")))
    return text
