"""What is posted: the body, which is made once and kept, and the headers, which are made afresh for every try."""

import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet

from configurations.models import Token, WebhookConfig

from .contract import json_v2, signing, snapshot
from .models import Delivery

logger = logging.getLogger(__name__)

TOKEN_HEADER = "X-HOTMART-HOTTOK"  # noqa: S105  its name


def body_of(delivery: Delivery) -> bytes:
    """The very bytes of every try: the kept ones, or for the first try those that its event's snapshot gives.

    Raises whatever the contract raises where the snapshot cannot be rendered.
    """
    if delivery.body:
        return delivery.body.encode()
    event = delivery.event
    facts = (snapshot.Cart if event.cart_id else snapshot.Sale).from_json(event.snapshot)
    return json_v2.render(str(event.pk), event.type, event.occurred_at, facts, delivery.audience)


def headers_for(webhook_id: str, body: bytes, *, token: str, secret: str, timestamp: int) -> dict[str, str]:
    """The headers of a try at `timestamp` (whole seconds since the epoch), signed for it.

    `token` may be a placeholder, such as the name of a shell variable.
    """
    return {
        "Content-Type": "application/json",
        "User-Agent": settings.DELIVERY_USER_AGENT,
        TOKEN_HEADER: token,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signing.sign(secret, webhook_id, timestamp, body),
    }


def stored(headers: dict[str, str]) -> list[list[str]]:
    """The headers as an attempt keeps them: whoever reads the History learns no token."""
    return [[name, masked(value) if name == TOKEN_HEADER else value] for name, value in headers.items()]


def masked(token: str) -> str:
    return "••••" + token[-4:]


@dataclass(slots=True)
class Keys:
    """What proves that a post is ours, read once for a batch, since each costs 50 µs to decrypt."""

    tokens: dict[int, str] = field(default_factory=dict)  # by seller
    secrets: dict[int, str] = field(default_factory=dict)  # by configuration

    @classmethod
    def of(cls, deliveries: Collection[Delivery]) -> "Keys":
        """For these; a seller who has no token yet gets one. What cannot be decrypted is left out, and logged."""
        sellers = {delivery.owner_id for delivery in deliveries}
        missing = sellers - set(Token.objects.filter(seller__in=sellers).values_list("seller", flat=True))
        if missing:
            # Another worker may be first: then its token counts.
            Token.objects.bulk_create([Token(seller_id=seller) for seller in missing], ignore_conflicts=True)
        configs = {delivery.config_id for delivery in deliveries}
        return cls(
            _readable(Token.objects.filter(seller__in=sellers), "seller", "value"),
            _readable(WebhookConfig.objects.filter(pk__in=configs), "pk", "secret"),
        )

    def headers_for(self, delivery: Delivery, body: bytes, timestamp: int) -> dict[str, str]:
        """Raises LookupError where a key of it could not be read."""
        token, secret = self.tokens.get(delivery.owner_id), self.secrets.get(delivery.config_id)
        if token is None or secret is None:
            raise LookupError("The security token or the signing secret cannot be decrypted.")
        return headers_for(delivery.webhook_id, body, token=token, secret=secret, timestamp=timestamp)


def _readable(rows: QuerySet[Any], key: str, encrypted: str) -> dict[int, str]:
    """{key: decrypted}. One that was written with a key we lack must not stop the posts of all the others."""
    try:
        return dict(rows.values_list(key, encrypted))
    except ImproperlyConfigured:
        logger.exception("Some posts cannot be made.")
    readable = {}
    for pk in rows.values_list("pk", flat=True):
        with suppress(ImproperlyConfigured):
            readable |= dict(rows.filter(pk=pk).values_list(key, encrypted))
    return readable
