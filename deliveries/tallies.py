"""What is left of posts that were deleted for their age: how many there were, and nothing of what they said."""

from collections import Counter
from collections.abc import Iterable
from datetime import date

from django.db import connection, models
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from configurations.models import WebhookConfig

from .choices import State


class Tally(models.Model):
    """The posts of one configuration, day, event and status that the History holds no longer."""

    config = models.ForeignKey(
        WebhookConfig, models.PROTECT, related_name="tallies", verbose_name=_("configuration")
    )
    day = models.DateField(_("day"))  # of the event, UTC
    event = models.CharField(_("event"), max_length=40, choices=EventType)
    state = models.CharField(_("status"), max_length=10, choices=State)
    posts = models.PositiveIntegerField(_("posts"))
    attempts = models.PositiveIntegerField(_("attempts"))

    class Meta:
        verbose_name = _("tally of deleted posts")
        verbose_name_plural = _("tallies of deleted posts")
        constraints = (
            models.UniqueConstraint(fields=["config", "day", "event", "state"], name="tally_once"),
        )
        indexes = (models.Index(fields=["-day", "-id"], name="tally_newest_first"),)  # the admin's list

    def __str__(self) -> str:
        return f"{self.config_id}, {self.day}: {self.event} {self.state}"


Key = tuple[int, date, str, str]  # configuration, day, event, state

# In one statement, so that two who add to the same row at once both count; Django's own upsert only replaces.
_ADD = """
    INSERT INTO deliveries_tally (config_id, day, event, state, posts, attempts) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (config_id, day, event, state) DO UPDATE
    SET posts = deliveries_tally.posts + excluded.posts, attempts = deliveries_tally.attempts + excluded.attempts
"""


def add(posts: Iterable[tuple[Key, int]]) -> None:
    """Count posts, each given with its key and its attempts, in the transaction of whoever deletes them."""
    counts, attempts = Counter[Key](), Counter[Key]()
    for key, tries in posts:
        counts[key] += 1
        attempts[key] += tries
    # In order, so that two of them never wait for each other.
    rows = [
        (config, connection.ops.adapt_datefield_value(day), event, state, counts[key], attempts[key])
        for key in sorted(counts)
        for config, day, event, state in (key,)
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(_ADD, rows)


def posts_of(config: WebhookConfig) -> int:
    """How many posts of it were deleted for their age."""
    return Tally.objects.filter(config=config).aggregate(n=Sum("posts"))["n"] or 0
