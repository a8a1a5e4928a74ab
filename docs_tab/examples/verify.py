import base64
import hashlib
import hmac
import time


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether the post is ours, unchanged and not older than five minutes. `body`: the bytes as they came."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    webhook_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    fresh = abs(time.time() - int(timestamp)) <= 5 * 60
    given = headers["webhook-signature"].split(" ")
    return fresh and any(hmac.compare_digest(right, one) for one in given)
