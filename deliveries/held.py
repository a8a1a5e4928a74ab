"""What staff hold: a host, or all of them. Nothing is posted there, what is to go there waits, and no try is spent."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.addresses import MAX_HOST

from . import standing

EVERY = "*"  # in place of a host: nothing is posted at all
RESTORED, SETTING = "restored", "setting"  # in place of a reason, where nobody wrote one
WHY = {
    RESTORED: _("A backup was restored. We look at it before anything is sent."),
    SETTING: _("This is a copy to try things out: it sends nothing."),
}
_BEGAN = timezone.now()  # since then the setting holds, as far as this process knows


class HeldHost(models.Model):
    """`hosts` and `sending` write and delete it. Its `host` is that of the configurations, letter by letter, or EVERY."""

    host = models.CharField(_("host"), max_length=MAX_HOST, unique=True)
    reason = models.CharField(
        _("reason"), max_length=300
    )  # the owners of the configurations read it, as `why`
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+", verbose_name=_("by")
    )
    since = models.DateTimeField(_("since"), default=timezone.now)

    class Meta:
        verbose_name = _("held host")
        verbose_name_plural = _("held hosts")
        default_permissions = ("view",)
        permissions = (
            ("hold_host", _("Can hold and release a host")),
            ("hold_sending", _("Can hold and release all sending")),
        )

    def __str__(self) -> str:
        return str(_("all sending")) if self.is_everything else self.host

    @property
    def is_everything(self) -> bool:
        return self.host == EVERY

    @property
    def why(self) -> str:
        return str(WHY.get(self.reason, self.reason))

    @classmethod
    def names(cls) -> list[str]:
        """The hosts; EVERY among them where nothing is posted at all."""
        return [host for (host,) in standing.rows(_hosts)] if settings.SEND_POSTS else [EVERY]

    @classmethod
    def everything(cls) -> "HeldHost | None":
        """The hold of all sending, if there is one: by a person, by a restore, or by SEND_POSTS."""
        if not settings.SEND_POSTS:
            return cls(pk=0, host=EVERY, reason=SETTING, since=_BEGAN)
        return cls.objects.select_related("by").filter(host=EVERY).first()


def _hosts() -> models.QuerySet[HeldHost]:
    return HeldHost.objects.values_list("host")
