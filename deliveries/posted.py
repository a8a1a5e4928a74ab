"""What is kept of one POST: the same columns for an attempt of a delivery and for a test."""

import uuid

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from configurations.models import Version, WebhookConfig
from sales.models import Seller

from .choices import Audience, Problem


def new_webhook_id() -> str:
    """One for each delivery and each test; no dot, since the signature joins it with dots."""
    return f"msg_{uuid.uuid4().hex}"


class Posted(models.Model):
    """A POST, or the try of one, as it went."""

    started_at = models.DateTimeField(_("started"))
    duration_ms = models.PositiveIntegerField(_("duration (ms)"))
    # Where that went (phases.Phases); null where a phase did not happen, and before phases were kept.
    name_ms = models.PositiveIntegerField(null=True, editable=False)
    connect_ms = models.PositiveIntegerField(null=True, editable=False)
    tls_ms = models.PositiveIntegerField(null=True, editable=False)
    wait_ms = models.PositiveIntegerField(null=True, editable=False)
    answer_ms = models.PositiveIntegerField(null=True, editable=False)
    url = models.CharField(_("URL"), max_length=2000)  # the configuration's on that day
    request_headers = models.JSONField(_("request headers"))  # [[name, value], …]; the token is masked
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True, blank=True)
    problem = models.CharField(_("problem"), max_length=20, choices=Problem, blank=True)
    detail = models.CharField(_("in detail"), max_length=300, blank=True)
    response_headers = models.JSONField(_("response headers"), default=list)  # [[name, value], …]
    response_body = models.BinaryField(_("response"), default=bytes)
    response_cut = models.BooleanField(_("response is cut"), default=False)
    delivered = models.BooleanField(_("delivered"))

    class Meta:
        abstract = True


class SamplePostQuerySet(models.QuerySet["SamplePost"]):
    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> "SamplePostQuerySet":
        """The tests of the configurations of `user`, removed ones too: a page's only door."""
        return self.filter(owner__user=user) if user.is_authenticated else self.none()

    def newest_first(self) -> "SamplePostQuerySet":
        return self.order_by("-created_at", "-pk")


class SamplePost(Posted):
    """A test: an invented event, posted once to a configuration because its owner asked for it.

    It lives apart from the deliveries, so nothing that counts, tries again, disables or mails ever meets it.
    `testing` writes it, and deletes it after a while.
    """

    event_id = models.UUIDField(default=uuid.uuid4, editable=False)  # the `id` of the 2.0.0 posts
    webhook_id = models.CharField(max_length=40, default=new_webhook_id, editable=False)
    config = models.ForeignKey(
        WebhookConfig, models.CASCADE, related_name="samples", verbose_name=_("configuration")
    )
    owner = models.ForeignKey(Seller, models.CASCADE, related_name="+", verbose_name=_("owner"))  # of config
    type = models.CharField(_("event"), max_length=40, choices=EventType)
    audience = models.CharField(_("copy"), max_length=10, choices=Audience)
    version = models.CharField(_("version"), max_length=10, choices=Version)
    body = models.TextField(_("payload"))  # as posting.body_of() gives it
    created_at = models.DateTimeField(_("asked for"), default=timezone.now)
    taken_at = models.DateTimeField(_("taken by a worker"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)
    answered_page = models.BooleanField(_("answered with a web page"), default=False)
    # Not known before it is sent.
    started_at = models.DateTimeField(_("started"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)
    request_headers = models.JSONField(_("request headers"), default=list)
    delivered = models.BooleanField(_("delivered"), default=False)

    objects = SamplePostQuerySet.as_manager()

    class Meta:
        verbose_name = _("test post")
        verbose_name_plural = _("test posts")
        indexes = (
            # A seller's list, and how many of the last minute.
            models.Index(fields=["owner", "-created_at", "-id"], name="sample_newest_first"),
            models.Index(fields=["created_at"], name="sample_to_delete"),
        )

    def __str__(self) -> str:
        return self.webhook_id

    def get_absolute_url(self) -> str:
        return reverse("deliveries:test_result", args=[self.pk])
