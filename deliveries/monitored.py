"""Counters that a monitor reads: they only grow, whoever made the tries, wherever, and however long ago."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AttemptCounter(models.Model):
    """One row: all attempts up to `counted_to`, by what came of them. See `metrics`."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    counted_to = models.BigIntegerField(default=0)  # id of the last attempt in `totals`
    # The newest id at some time; what has a lower one is committed a while later, and may be counted.
    seen_to = models.BigIntegerField(default=0)
    seen_at = models.DateTimeField()
    totals = models.JSONField(default=dict)  # {name of a counter: number}

    class Meta:
        verbose_name = _("counter of attempts")
        verbose_name_plural = _("counters of attempts")

    def __str__(self) -> str:
        return str(self.counted_to)
