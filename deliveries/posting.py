"""What is posted: the body, which is made once and kept, and the headers, which are made afresh for every try."""

from collections.abc import Iterable

from django.conf import settings

from configurations.models import Token

from .contract import json_v2, signing, snapshot
from .models import Delivery

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


def tokens_of(sellers: Iterable[int]) -> dict[int, str]:
    """{seller's id: token}, decrypted once for a batch; a seller who has none yet gets one."""
    sellers = set(sellers)
    tokens = dict(Token.objects.filter(seller__in=sellers).values_list("seller", "value"))
    missing = sellers - tokens.keys()
    if missing:
        # Another worker may be first: then its token counts.
        Token.objects.bulk_create([Token(seller_id=seller) for seller in missing], ignore_conflicts=True)
        tokens |= dict(Token.objects.filter(seller__in=missing).values_list("seller", "value"))
    return tokens
