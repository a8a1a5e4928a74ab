"""The hosts that staff hold: nothing is posted there, what is to go there waits, and no try is spent."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.addresses import MAX_HOST


class HeldHost(models.Model):
    """`hosts` writes and deletes it. Its `host` is that of the configurations, letter by letter."""

    host = models.CharField(_("host"), max_length=MAX_HOST, unique=True)
    reason = models.CharField(_("reason"), max_length=300)  # the owners of the configurations read it
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by")
    )
    since = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        verbose_name = _("held host")
        verbose_name_plural = _("held hosts")
        default_permissions = ("view",)
        permissions = (("hold_host", _("Can hold and release a host")),)

    def __str__(self) -> str:
        return self.host

    @classmethod
    def names(cls) -> list[str]:
        return list(cls.objects.values_list("host", flat=True))
