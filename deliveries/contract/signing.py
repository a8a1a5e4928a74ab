"""Signatures by Standard Webhooks: the receiver knows that a post is ours, unchanged and fresh.

Source: https://www.standardwebhooks.com
"""

import base64
import hmac
from functools import lru_cache

PREFIX = "whsec_"
KEY_SIZES = range(24, 65)  # bytes


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature` of one post, such as "v1,g0hM9S…=".

    `secret` is whsec_ and 24 to 64 bytes in base64, `timestamp` whole seconds since the epoch, `body` the very
    bytes that are sent. Raises ValueError for a secret of another form and for an id with a dot in it, since
    dots join what is signed.
    """
    if "." in webhook_id:
        raise ValueError(f"The webhook id {webhook_id!r} has a dot.")
    message = b".".join((webhook_id.encode(), str(int(timestamp)).encode(), body))
    digest = hmac.digest(key_of(secret), message, "sha256")  # by name: OpenSSL's own, in one call
    return "v1," + base64.b64encode(digest).decode()


@lru_cache(maxsize=1024)
def key_of(secret: str) -> bytes:
    """The bytes of a secret. Raises ValueError for one that receivers' libraries would read otherwise."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:  # no base64, or not even ASCII
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in KEY_SIZES:
        raise ValueError(f"A signing secret is {PREFIX} and 24 to 64 bytes in base64.")
    return key
