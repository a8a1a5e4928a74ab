"""Whether we reach anybody at all: the one row that all workers read before they claim."""

from django.db import models


class OutageQuerySet(models.QuerySet["Outage"]):
    def on(self) -> "OutageQuerySet":
        return self.filter(since__isnull=False)


class Outage(models.Model):
    """`outage` writes it. The times are the database's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    since = models.DateTimeField(null=True)  # empty: we reach whom we want
    hosts = models.JSONField(default=list)  # when it began
    probe_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # the last one
    # It turned out that others' hosts are away and not we: until then it is not called ours again.
    quiet_until = models.DateTimeField(null=True, editable=False)

    objects = OutageQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.since)
