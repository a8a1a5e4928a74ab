"""What the former system posted, and what it had not posted yet: read from an import, and kept as it was.

A pending post can be sent through `deliveries`, once; nothing but `sending` writes that.
"""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from configurations.models import Version
from deliveries import keyset
from deliveries.models import Delivery
from sales.models import Seller

TIME = "occurred_at"  # the column that the lists are in order of


class Kind(models.TextChoices):
    SENT = "sent", _("Sent")  # the former system posted it; what came of it is its status
    PENDING = "pending", _("Pending")  # it had not: it can be sent from here


class Format(models.TextChoices):
    """What a payload is, by its look: this decides the content type that it is sent with."""

    JSON = "json", _("JSON")
    FORM = "form", _("Form fields")
    OTHER = "other", _("Something else")  # or nothing; it cannot be sent


class LegacyImport(models.Model):
    """One run of the import that brought posts, so that each of them can say where it comes from."""

    file_name = models.CharField(_("file"), max_length=255)  # "-" is the standard input
    encoding = models.CharField(_("encoding"), max_length=40)
    started_at = models.DateTimeField(_("imported"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)  # empty: it runs, or was stopped
    rows = models.PositiveIntegerField(_("rows"), default=0)
    added = models.PositiveIntegerField(_("added"), default=0)
    known = models.PositiveIntegerField(_("there already"), default=0)
    bad = models.PositiveIntegerField(_("bad"), default=0)

    class Meta:
        verbose_name = _("import of the former system's posts")
        verbose_name_plural = _("imports of the former system's posts")

    def __str__(self) -> str:
        return f"{self.file_name} #{self.pk}"


class LegacyPostQuerySet(models.QuerySet["LegacyPost"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "LegacyPostQuerySet":
        """The posts of `user`'s account: a page's only door."""
        if not user.is_authenticated:
            return self.none()
        # The owner as a scalar, not as a join: only so does PostgreSQL read the index in the list's order.
        return self.filter(owner=Seller.objects.filter(user=user).values("pk")[:1])

    def of_kind(self, kind: str) -> "LegacyPostQuerySet":
        return self.filter(kind=kind)

    def to_send(self) -> "LegacyPostQuerySet":
        """Pending, and not sent from here yet."""
        return self.filter(kind=Kind.PENDING, sent_at=None)

    def newest_first(self) -> "LegacyPostQuerySet":
        return keyset.newest_first(self, TIME)

    def without_texts(self) -> "LegacyPostQuerySet":
        """For lists: the payload and the response may be a megabyte each."""
        return self.defer("payload", "response")


class LegacyPost(models.Model):
    owner = models.ForeignKey(
        Seller, models.PROTECT, related_name="legacy_posts", verbose_name=_("owner"), db_index=False
    )
    source = models.ForeignKey(
        LegacyImport, models.PROTECT, related_name="posts", verbose_name=_("imported from")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    # What makes it the same post when its file is read again: the former system's id, else a digest of the row.
    identity = models.CharField(max_length=110, editable=False)

    occurred_at = models.DateTimeField(_("time"))
    event = models.CharField(_("event"), max_length=40, choices=EventType)
    transaction_code = models.CharField(_("transaction"), max_length=20, blank=True)
    product_code = models.CharField(_("product code"), max_length=40, blank=True)
    product_name = models.CharField(_("product"), max_length=255, blank=True)
    buyer_email = models.CharField(_("buyer's e-mail"), max_length=254, blank=True)  # in lower case

    url = models.CharField(_("URL"), max_length=2000, blank=True)
    host = models.CharField(_("host"), max_length=253, blank=True)  # of the URL, in lower case
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=300, blank=True)  # where no status came
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    payload = models.TextField(_("payload"), blank=True)
    format = models.CharField(_("format of the payload"), max_length=5, choices=Format, default=Format.OTHER)
    version = models.CharField(_("version"), max_length=10, choices=Version, blank=True)
    response = models.TextField(_("response"), blank=True)

    # Of a pending one. The delivery may be purged one day; that it was sent stays.
    sent_at = models.DateTimeField(_("sent from here"), null=True, blank=True)
    delivery = models.OneToOneField(
        Delivery,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="legacy_post",
        verbose_name=_("post in the History"),
    )

    objects = LegacyPostQuerySet.as_manager()

    class Meta:
        verbose_name = _("post of the former system")
        verbose_name_plural = _("posts of the former system")
        constraints = (
            models.UniqueConstraint(fields=["owner", "identity"], name="legacy_post_once"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="legacy_kind_known"),
            models.CheckConstraint(condition=Q(format__in=Format.values), name="legacy_format_known"),
            models.CheckConstraint(
                condition=Q(sent_at=None, delivery=None) | Q(kind=Kind.PENDING, sent_at__isnull=False),
                name="legacy_only_pending_is_sent",
            ),
        )
        indexes = (
            # The lists and their filter by host, by key; and the list of old and new posts together.
            models.Index(fields=["owner", "kind", "-occurred_at", "-id"], name="legacy_newest_first"),
            models.Index(fields=["owner", "kind", "host", "-occurred_at", "-id"], name="legacy_by_host"),
            models.Index(fields=["owner", "-occurred_at", "-id"], name="legacy_of_both_kinds"),
            # How many are left to send, and which.
            models.Index(
                fields=["owner", "-occurred_at", "-id"],
                name="legacy_to_send",
                condition=Q(kind="pending", sent_at=None),
            ),
            models.Index(fields=["transaction_code"], name="legacy_of_transaction"),
            models.Index(fields=["buyer_email"], name="legacy_of_buyer"),
        )

    def __str__(self) -> str:
        return f"{self.get_event_display()} {self.transaction_code}".strip()

    def get_absolute_url(self) -> str:
        return reverse(f"legacy_posts:{self.kind}_post", args=[self.pk])

    @property
    def panel_path(self) -> str:
        """The same to be shown beside the list."""
        return reverse(f"legacy_posts:{self.kind}_panel", args=[self.pk])

    @property
    def can_be_sent(self) -> bool:
        """Whether it still waits for being sent, and holds what to send."""
        return self.kind == Kind.PENDING and self.sent_at is None and self.format != Format.OTHER

    @property
    def about(self) -> str:
        """The product by its name or, where that is not known, its code."""
        return self.product_name or self.product_code
