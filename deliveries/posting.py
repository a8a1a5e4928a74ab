"""What is posted: the body, which is made once and kept, and the keys, which are put in afresh for every try."""

import logging
import math
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from django.db.models.functions import Now

from configurations.models import Token, WebhookConfig, masked

from . import contract
from .contract import TOKEN_PLACEHOLDER, signing
from .models import Delivery
from .transport import Outcome, Transport

logger = logging.getLogger(__name__)

TOKEN_HEADER = "X-HOTMART-HOTTOK"  # noqa: S105  its name
MASK = "••••"


def body_of(delivery: Delivery) -> bytes:
    """The bytes of every try, with TOKEN_PLACEHOLDER where the token belongs, as they are kept.

    The kept ones, or for the first try those that its event's snapshot gives. Raises whatever the contract raises
    where the snapshot cannot be rendered.
    """
    if delivery.body:
        return delivery.body.encode()
    event = delivery.event
    facts = contract.read(event.type, event.snapshot)
    return contract.render(
        delivery.version,
        str(event.pk),
        event.type,
        event.occurred_at,
        facts,
        delivery.audience,
        TOKEN_PLACEHOLDER.decode() if delivery.config.token_in_body else None,
    ).body


def content_type_of(delivery: Delivery) -> str:
    """By the format; a body of the former system, which has no snapshot, is as it looks."""
    if delivery.body and not delivery.event.snapshot:
        return contract.content_type_of_body(delivery.body)
    return contract.content_type(delivery.version, delivery.event.type)


def with_token(body: bytes, token: str) -> bytes:
    """The very bytes that are sent. A token is letters, digits and hyphens, which no format escapes."""
    return body.replace(TOKEN_PLACEHOLDER, token.encode())


def without_token(body: bytes) -> bytes:
    """For the eyes of whoever reads the History."""
    return with_token(body, MASK)


def headers_for(
    webhook_id: str,
    body: bytes,
    *,
    token: str,
    secrets: Iterable[str],
    timestamp: int,
    content_type: str = "application/json",
) -> dict[str, str]:
    """The headers of a try at `timestamp` (whole seconds since the epoch), signed with each of `secrets` for it.

    `body` holds the token already, if it holds one. `token` may be a placeholder, such as the name of a shell
    variable.
    """
    return {
        "Content-Type": content_type,
        "User-Agent": settings.DELIVERY_USER_AGENT,
        TOKEN_HEADER: token,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(
            signing.sign(secret, webhook_id, timestamp, body) for secret in secrets
        ),
    }


def stored(headers: dict[str, str]) -> list[list[str]]:
    """The headers as an attempt keeps them: whoever reads the History learns no token."""
    return [[name, masked(value) if name == TOKEN_HEADER else value] for name, value in headers.items()]


def masked_headers(delivery: Delivery) -> list[list[str]]:
    """Those of a try, with no key in them: neither token nor signature, which would be of a moment anyway."""
    headers = headers_for(
        delivery.webhook_id,
        b"",
        token=MASK,
        secrets=(),
        timestamp=int(time.time()),
        content_type=content_type_of(delivery),
    )
    return [[name, value or f"v1,{MASK}"] for name, value in headers.items()]


class _Timed(NamedTuple):
    """A value that another takes the place of, at a moment of this process's monotonic clock."""

    value: Any
    then: Any
    moment: float

    @classmethod
    def of(cls, value: Any, then: Any, at: datetime | None, now: datetime) -> "_Timed":
        """`at` and `now` by the database's clock, which may differ from ours; no `at`: never."""
        return cls(value, then, time.monotonic() + (at - now).total_seconds() if at else math.inf)

    def get(self) -> Any:
        return self.value if time.monotonic() < self.moment else self.then


class Sealed(NamedTuple):
    """What goes over the wire: the headers, and the very bytes of the body that they sign."""

    headers: dict[str, str]
    body: bytes


def send(transport: Transport, config: int, url: str, sealed: Sealed) -> Outcome:
    """Post it. Of an answer that repeats our token, as a receiver for trials may, the token is not kept."""
    outcome = transport.post(config, url, sealed.headers, sealed.body)
    token = sealed.headers[TOKEN_HEADER]
    if token.encode() not in outcome.body and not any(token in value for _, value in outcome.headers):
        return outcome
    return replace(
        outcome,
        body=outcome.body.replace(token.encode(), MASK.encode()),
        headers=[[name, value.replace(token, MASK)] for name, value in outcome.headers],
    )


@dataclass(slots=True)
class Keys:
    """What proves that a post is ours, read once for a batch, since each costs 50 µs to decrypt.

    A rotation that falls into the batch takes place at its second.
    """

    tokens: dict[int, _Timed] = field(default_factory=dict)  # by seller
    secrets: dict[int, _Timed] = field(default_factory=dict)  # by configuration, each a tuple, newest first

    @classmethod
    def of(cls, deliveries: Collection[Delivery]) -> "Keys":
        """For these; a seller who has no token yet gets one. What cannot be decrypted is left out, and logged."""
        return cls.read({d.owner_id for d in deliveries}, {d.config_id for d in deliveries})

    @classmethod
    def read(cls, sellers: Collection[int], configs: Collection[int] = ()) -> "Keys":
        """The same by ids."""
        return cls(
            {seller: _Timed.of(*rest) for seller, *rest in _tokens_of(sellers)},
            {
                config: _Timed.of((secret, previous) if until else (secret,), (secret,), until, now)
                for config, secret, previous, until, now in _secrets_of(configs)
            },
        )

    def token_of(self, seller: int) -> str:
        """The one in force at this moment. Raises LookupError where it could not be read."""
        return self._get(self.tokens, seller)

    def secrets_of(self, config: int) -> tuple[str, ...]:
        """Those that sign at this moment, newest first. Raises LookupError where they could not be read."""
        return self._get(self.secrets, config)

    def _get(self, keys: dict[int, _Timed], pk: int) -> Any:
        if pk not in keys:
            raise LookupError("The security token or the signing secret cannot be decrypted.")
        return keys[pk].get()

    def seal(self, delivery: Delivery, body: bytes, timestamp: int) -> Sealed:
        """A try at `timestamp` of what body_of() gave. Raises LookupError where a key of it could not be read."""
        token = self.token_of(delivery.owner_id)
        sent = with_token(body, token)
        headers = headers_for(
            delivery.webhook_id,
            sent,
            token=token,
            secrets=self.secrets_of(delivery.config_id),
            timestamp=timestamp,
            content_type=content_type_of(delivery),
        )
        return Sealed(headers, sent)


def _tokens_of(sellers: Collection[int]) -> list[Sequence[Any]]:
    """[(seller, value, next value, when it takes its place, now), …]"""
    tokens = Token.objects.filter(seller__in=sellers).annotate(now=Now())
    columns = ("seller", "value", "next_value", "rotates_at", "now")
    found = _readable(tokens, *columns)
    unread = set(sellers) - {seller for seller, *_ in found}
    if not unread:
        return found
    missing = unread - set(Token.objects.filter(seller__in=unread).values_list("seller", flat=True))
    # Another worker may be first, before this look or after it: then its token counts.
    Token.objects.bulk_create([Token(seller_id=seller) for seller in missing], ignore_conflicts=True)
    return found + _readable(tokens.filter(seller__in=unread), *columns)


def _secrets_of(configs: Collection[int]) -> list[Sequence[Any]]:
    """[(configuration, secret, previous secret, until when it signs, now), …]"""
    rows = WebhookConfig.objects.filter(pk__in=configs).annotate(now=Now())
    return _readable(rows, "pk", "secret", "previous_secret", "previous_secret_until", "now")


def _readable(rows: QuerySet[Any], *columns: str) -> list[Sequence[Any]]:
    """`columns` of each. One that was written with a key we lack must not stop the posts of all the others."""
    try:
        return list(rows.values_list(*columns))
    except ImproperlyConfigured:
        logger.exception("Some posts cannot be made.")
    readable: list[Sequence[Any]] = []
    for pk in rows.values_list("pk", flat=True):
        with suppress(ImproperlyConfigured):
            readable += rows.filter(pk=pk).values_list(*columns)
    return readable
