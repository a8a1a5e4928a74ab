"""Who wants what, and where: a seller's configurations and the seller's token."""

import base64
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sales.models import Product, Seller

from . import audit
from .addresses import MAX_HOST, host_of
from .encryption import EncryptedTextField
from .events import BY_TYPE, Description, EventType
from .signals import configuration_disabled, configuration_enabled, configuration_removed

MOST_PER_SECOND = 1000  # that a configuration can be limited to
OVERLAP = timedelta(hours=24)  # in which the old secret signs too, after a rotation
# What is encrypted of a configuration: decrypting costs, so whoever lists configurations defers it.
SECRETS = ("secret", "previous_secret")


def new_secret() -> str:
    """A signing secret as Standard Webhooks wants it: whsec_ and 32 random bytes in base64."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def masked(key: str) -> str:
    """Such as whsec_••••4f2a: enough to tell one key from another."""
    prefix = "whsec_" if key.startswith("whsec_") else ""
    return f"{prefix}••••{key.rstrip('=')[-4:]}"


def new_token() -> str:
    """A security token: 40 letters and digits, which every receiver's form takes."""
    return secrets.token_hex(20)


class TokenQuerySet(models.QuerySet["Token"]):
    def settle(self) -> int:
        """Let go of the values that a rotation has replaced by now, by the database's clock. Returns how many."""
        due = self.filter(rotates_at__lte=Now())
        if not due.exists():  # so that it takes no write lock where there is nothing to do
            return 0
        with transaction.atomic():
            locked = due.select_related("seller").select_for_update(of=("self",))
            tokens = list(locked.defer("value", "next_value"))
            moved = self.filter(pk__in=[token.pk for token in tokens]).update(
                value=F("next_value"), rotated_at=F("rotates_at"), next_value=None, rotates_at=None
            )
            audit.token_rotations_came(tokens)
        return moved


class Token(models.Model):
    """The seller's security token ("hottok"): sent with every post as the proof that it is ours.

    A rotation can be set to a time: from that second on, by the database's clock, `next_value` is the token,
    also before anybody has called settle().
    """

    seller = models.OneToOneField(Seller, models.CASCADE, related_name="token", verbose_name=_("seller"))
    value = EncryptedTextField(_("token"), default=new_token)
    rotated_at = models.DateTimeField(_("rotated"), default=timezone.now, editable=False)
    next_value = EncryptedTextField(_("next token"), null=True, editable=False)
    rotates_at = models.DateTimeField(_("will be rotated"), null=True, editable=False)

    objects = TokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("security token")
        verbose_name_plural = _("security tokens")
        constraints = (
            models.CheckConstraint(
                condition=Q(next_value=None, rotates_at=None)
                | Q(next_value__isnull=False, rotates_at__isnull=False),
                name="token_next_has_its_time",
            ),
        )

    def __str__(self) -> str:
        return f"{self._meta.verbose_name} #{self.seller_id}"  # never its value: the admin shows it

    def get_additional_data(self) -> dict[str, str]:
        """For the audit log: whose it is."""
        return {"owner": str(self.seller)}

    @property
    def masked(self) -> str:
        return masked(self.value)

    @property
    def masked_next(self) -> str:
        return masked(self.next_value or "")

    @classmethod
    def of(cls, seller: Seller) -> "Token":
        """The seller's token, settled; who has none yet gets one."""
        token = cls.objects.get_or_create(seller=seller)[0]
        if token.rotates_at and cls.objects.filter(pk=token.pk).settle():
            token.refresh_from_db()
        return token

    def rotate(self, at: datetime | None = None) -> bool:
        """A new value at once, or from `at` on. False, and nothing changes, while another rotation is set."""
        mine = Token.objects.filter(pk=self.pk)
        mine.settle()
        free = mine.filter(rotates_at=None)
        with transaction.atomic():
            if at:
                moved = free.update(next_value=new_token(), rotates_at=at)
            else:
                moved = free.update(value=new_token(), rotated_at=Now())
            if moved and at:
                audit.token_rotation_set(self, at)
            elif moved:
                audit.token_rotated(self)
        self.refresh_from_db()
        return bool(moved)

    def keep(self) -> bool:
        """Call off the rotation that is set. False if its time has come, or none is."""
        ahead = Token.objects.filter(pk=self.pk, rotates_at__gt=Now())
        with transaction.atomic():
            at = ahead.values_list("rotates_at", flat=True).first()
            moved = ahead.update(next_value=None, rotates_at=None)
            if moved and at:
                audit.token_rotation_called_off(self, at)
        self.refresh_from_db()
        return bool(moved)


class Version(models.TextChoices):
    """The formats that a configuration can choose: only those whose posts can be sent."""

    V2 = "2.0.0", _("2.0.0 (JSON)")
    V1 = "1.0.0", _("1.0.0, classic (form fields)")


class State(models.TextChoices):
    ON = "on", _("On")
    OFF = "off", _("Off")  # switched off by its owner: new events don't match, what waits is held
    DISABLED = "disabled", _("Disabled by us")  # its URL or server is at fault: what arises is held
    REMOVED = "removed", _("Removed")  # its history stays


class Reason(models.TextChoices):
    """Why we disabled a configuration."""

    NO_SUCH_HOST = "no_such_host", _("The host of its URL does not exist.")
    NOT_PERMITTED = "not_permitted", _("Its URL leads to an address that may not be posted to.")
    WRONG_CERTIFICATE = "wrong_certificate", _("The certificate there is for another host.")
    GONE = "gone", _("The server said twice that the address is gone for good (410).")
    SERVER = "server", _("The server accepted nothing for five days.")


class Mismatch(models.TextChoices):
    """Why an event is not posted to a configuration, as it was decided when the event arose."""

    EVENT = "event", _("The configuration does not ask for this event.")
    PRODUCT = "product", _("The configuration is for another product.")
    OFF = "off", _("The configuration was switched off.")
    FORMAT = "format", _("The version of the configuration has no post for this event.")
    AFFILIATE = "affiliate", _("This event is not sent to affiliates.")


class WebhookConfigQuerySet(models.QuerySet["WebhookConfig"]):
    def update(self, **values: Any) -> int:
        if isinstance(url := values.get("url"), str):
            values["host"] = host_of(url)
        return super().update(**values)

    def bulk_create(
        self, objs: Iterable["WebhookConfig"], *args: Any, **kwargs: Any
    ) -> list["WebhookConfig"]:
        objs = list(objs)
        for config in objs:
            config.host = host_of(config.url)
        return super().bulk_create(objs, *args, **kwargs)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "WebhookConfigQuerySet":
        """The configurations that `user` owns and has not removed: a page's only door."""
        return self.not_removed().filter(owner__user=user) if user.is_authenticated else self.none()

    def not_removed(self) -> "WebhookConfigQuerySet":
        return self.exclude(state=State.REMOVED)

    def owned_by(self, sellers: Iterable[int]) -> "WebhookConfigQuerySet":
        """Those that an event of these sellers (ids) may concern."""
        return self.not_removed().filter(owner__in=sellers)

    def named(self, text: str) -> "WebhookConfigQuerySet":
        """As whoever types calls it: by its id, whatever its state; or by its name or URL, if it is not removed."""
        if text.isascii() and text.isdigit():
            return self.filter(pk=int(text[:18]))
        return self.not_removed().filter(Q(name=text) | Q(url=text))

    def of_owner(self, who: str) -> "WebhookConfigQuerySet":
        """Of the seller with this e-mail address or account code."""
        return self.filter(Q(owner__email__iexact=who) | Q(owner__code=who))

    def forget_old_secrets(self) -> int:
        """Those that sign no more, by the database's clock. Returns how many."""
        over = self.filter(previous_secret_until__lte=Now())
        return over.update(previous_secret=None, previous_secret_until=None)

    def in_order(self) -> "WebhookConfigQuerySet":
        return self.order_by("name", "pk")


class WebhookConfig(models.Model):
    owner = models.ForeignKey(Seller, models.PROTECT, related_name="configurations", verbose_name=_("owner"))
    name = models.CharField(_("name"), max_length=100)
    url = models.CharField(_("URL"), max_length=2000)
    # Of the URL, kept by whatever writes it: by it staff find and hold all that goes to one host.
    host = models.CharField(_("host"), max_length=MAX_HOST, default="", db_default="", editable=False)
    events = models.JSONField(_("events"), default=list)  # values of EventType
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="configurations",
        verbose_name=_("product"),
        help_text=_("Empty: all products."),
    )
    version = models.CharField(_("version"), max_length=10, choices=Version, default=Version.V2)
    secret = EncryptedTextField(_("signing secret"), default=new_secret, editable=False)
    # After a rotation it signs too, so that receivers can be changed one by one.
    previous_secret = EncryptedTextField(_("previous signing secret"), null=True, editable=False)
    previous_secret_until = models.DateTimeField(
        _("the previous secret signs until"), null=True, editable=False
    )
    token_in_body = models.BooleanField(
        _("Also send the token in the body, for older receivers"),
        default=False,
        help_text=_(
            "Our posts prove where they come from by a header. Some older receivers look for it in the body."
        ),
    )
    posts_per_second = models.PositiveSmallIntegerField(
        _("At most so many posts per second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_PER_SECOND)],
        help_text=_(
            "For a server that cannot take more. Left empty, there is no limit; what is too much waits."
        ),
    )

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ON)
    state_changed_at = models.DateTimeField(_("since"), default=timezone.now, editable=False)
    disabled_because = models.CharField(_("disabled because"), max_length=20, choices=Reason, blank=True)
    disabled_detail = models.CharField(_("in detail"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    objects = WebhookConfigQuerySet.as_manager()

    class Meta:
        verbose_name = _("configuration")
        verbose_name_plural = _("configurations")
        permissions = (("export_webhookconfig", _("Can export configurations")),)
        constraints = (
            models.CheckConstraint(condition=models.Q(state__in=State.values), name="config_state_known"),
        )
        indexes = (
            models.Index(fields=["owner", "name"], name="config_of_owner"),  # the list, and every event
            models.Index(fields=["host"], name="config_of_host"),  # the staff's page of a host, and its hold
        )

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        fields = kwargs.get("update_fields")
        if "url" not in self.get_deferred_fields() and (fields is None or "url" in fields):
            self.host = host_of(self.url)
            if fields is not None:
                kwargs["update_fields"] = {*fields, "host"}
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("configurations:edit", args=[self.pk])

    def get_additional_data(self) -> dict[str, str]:
        """For the audit log: whose it is."""
        return {"owner": str(self.owner)}

    @property
    def asked_for(self) -> list[Description]:
        """The events it asks for, described, in the order of the form."""
        return [description for type_, description in BY_TYPE.items() if type_ in self.events]

    def mismatch(self, event: EventType, product_id: int) -> Mismatch | None:
        """Why an event about a product of its owner's is not for this configuration; None if it is."""
        if self.state == State.OFF:
            return Mismatch.OFF
        if self.product_id is not None and self.product_id != product_id:
            return Mismatch.PRODUCT
        if event not in self.events:
            return Mismatch.EVENT
        return None

    @property
    def masked_secret(self) -> str:
        return masked(self.secret)

    @property
    def overlaps(self) -> bool:
        """Whether the secret from before the last rotation signs too, as it looks from here."""
        return self.previous_secret_until is not None and self.previous_secret_until > timezone.now()

    def rotate_secret(self) -> bool:
        """A new signing secret; the old one signs too for OVERLAP.

        False, and nothing changes, while an earlier one still signs: a receiver may have nothing else yet.
        """
        free = Q(previous_secret_until=None) | Q(previous_secret_until__lte=Now())
        with transaction.atomic():
            moved = (
                WebhookConfig.objects.not_removed()
                .filter(free, pk=self.pk)
                .update(
                    secret=new_secret(),
                    previous_secret=F("secret"),
                    previous_secret_until=Now() + models.Value(OVERLAP, models.DurationField()),
                )
            )
            if moved:
                audit.secret_rotated(self)
        self.refresh_from_db(fields=[*SECRETS, "previous_secret_until"])
        return bool(moved)

    def enable(self) -> bool:
        """off | disabled -> on. What is held stays so until its owner, or a probe, says what becomes of it."""
        return self._move_to(State.ON, configuration_enabled, State.OFF, State.DISABLED)

    def enable_again(self) -> bool:
        """disabled -> on, by us. What its owner has switched off meanwhile stays off."""
        return self._move_to(State.ON, configuration_enabled, State.DISABLED)

    def switch_off(self) -> bool:
        """on | disabled -> off, by its owner."""
        return self._move_to(State.OFF, configuration_disabled, State.ON, State.DISABLED)

    def disable(self, reason: Reason, detail: str = "") -> bool:
        """on -> disabled, by us."""
        return self._move_to(
            State.DISABLED,
            configuration_disabled,
            State.ON,
            disabled_because=reason,
            disabled_detail=detail[:300],
        )

    def remove(self) -> bool:
        """Gone from every list; its history stays, what waits is not sent."""
        return self._move_to(State.REMOVED, configuration_removed, State.ON, State.OFF, State.DISABLED)

    def _move_to(self, state: State, signal: Any, *from_: State, **because: str) -> bool:
        """One compare-and-set; False if the row was in none of the states `from_` any more."""
        because = {"disabled_because": "", "disabled_detail": ""} | because
        with transaction.atomic():
            rows = WebhookConfig.objects.filter(pk=self.pk, state__in=from_)
            before = rows.select_for_update().values_list("state", flat=True).first()
            moved = rows.update(state=state, state_changed_at=Now(), **because)
            if moved and before:
                self.refresh_from_db(fields=["state", "state_changed_at", *because])
                audit.moved(self, before)
                signal.send(WebhookConfig, config=self)
        return bool(moved)
