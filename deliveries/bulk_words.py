"""A bulk reprocess in an operator's words and figures: before it is started, and while it is under way."""

from dataclasses import asdict
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from sales.templatetags.formats import number

from . import bulk, selecting
from .reprocessing import BulkReprocess

LINES = 20  # configurations that are named


def lines_of(facts: selecting.Facts) -> list[str]:
    """What it would mean, before it is done."""
    posts, hosts = facts.posts, len(facts.hosts)
    text = ngettext("%(n)s post to send again", "%(n)s posts to send again", posts) % {"n": number(posts)}
    lines = [
        ngettext("%(posts)s, to %(n)s host:", "%(posts)s, to %(n)s hosts:", hosts)
        % {"posts": text, "n": hosts}
    ]
    targets = sorted((t for t in facts.sends if t.posts), key=lambda target: -target.posts)
    for target in targets[:LINES]:
        text = _("  %(n)s to %(host)s (configuration %(id)s, “%(name)s”, of %(owner)s)")
        lines.append(text % _of_target(target))
    if (more := len(targets) - LINES) > 0:
        text = ngettext("  and %(n)s more configuration", "  and %(n)s more configurations", more)
        lines.append(text % {"n": more})
    sentences = (
        (facts.arrived, _("Arrived already, so that their receivers get them a second time: %(n)s.")),
        (facts.undone, _("Of sales that were refunded, charged back or cancelled since, so that they would open an "
                         "access that was closed: %(n)s.")),
        (facts.waiting, _("Left alone, since they wait and go by themselves: %(n)s.")),
        (facts.sending, _("Left out, since they are being sent: %(n)s.")),
        (facts.not_on, _("Left out, since their configuration is not on: %(n)s.")),
    )  # fmt: skip
    lines += [text % {"n": number(count)} for count, text in sentences if count]
    return lines if posts else [_("No post that can be sent matches."), *lines[1:]]


def _of_target(target: selecting.Target) -> dict[str, Any]:
    facts = {"n": number(target.posts), "host": target.host, "id": target.config}
    return facts | {"name": target.name, "owner": target.owner}


def figures_of(facts: selecting.Facts) -> dict[str, Any]:
    return {
        "posts": facts.posts,
        "hosts": facts.hosts,
        "configurations": [
            {"id": t.config, "name": t.name, "owner": t.owner, "host": t.host, "posts": t.posts}
            for t in facts.sends
            if t.posts
        ],
        "delivered_before": facts.arrived,
        "undone_since": facts.undone,
        "skipped": {"waiting": facts.waiting, "sending": facts.sending, "configuration_not_on": facts.not_on},
    }


def facts_of(found: BulkReprocess) -> dict[str, Any]:
    found.refresh_from_db()
    progress = bulk.progress_of([found])[found.pk]
    return {
        "bulk": found.pk,
        "state": str(bulk.stage_of(found, progress)),
        "asked_for": found.asked_for,
        "started": found.created_at,
        "queued": found.queued,
        "all_queued": found.queued_to is None,
        "progress": asdict(progress),
    }


def progress_line(progress: bulk.Progress) -> str:
    text = _("%(sent)s of %(total)s sent, %(delivered)s arrived, %(failed)s failed, %(again)s tried again later, "
             "%(held)s held")  # fmt: skip
    names = ("sent", "total", "delivered", "failed", "again", "held")
    return text % {name: number(getattr(progress, name)) for name in names}
