import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configurations.models import new_secret
from deliveries.contract import signing
from deliveries.models import new_webhook_id

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("webhook_id", "timestamp", "body", "signature"),
    [
        (
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            b'{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "evt_0000000000000000000001",
            1700000000,
            b"",
            "v1,0zxU6WO3avJjBPCF2YyaNf4r7pS0W9T8Hup0YUn8DEQ=",
        ),
        (
            "evt_0000000000000000000001",
            1700000000,
            b"hottok=abc&prod=1&name=Jo%C3%A3o+da+Silva&price=147.00",
            "v1,4zuno0QZd96QmvnZByw5aO0iPIznt1qgEcPPt1ECpSI=",
        ),
    ],
)
def test_the_published_signatures_come_out(webhook_id, timestamp, body, signature):
    """Equal in the libraries standardwebhooks 1.1.0 and svix 2.9.1."""
    assert signing.sign(SECRET, webhook_id, timestamp, body) == signature


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=200), st.integers(1, 255))
def test_any_other_byte_gives_another_signature(body, place, flip):
    changed = bytearray(body + b"x")
    changed[place % len(changed)] ^= flip
    assert signing.sign(SECRET, "msg_1", 1, body + b"x") != signing.sign(SECRET, "msg_1", 1, bytes(changed))


def test_every_new_secret_and_id_can_sign():
    assert signing.sign(new_secret(), new_webhook_id(), 1_700_000_000, b"{}").startswith("v1,")
    assert len(signing.key_of(new_secret())) == 32


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # no prefix
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",  # cut off
        "whsec_MfKQ9r8GKYqrTwjU PD8ILPZIo2LaLaSw",  # decoders that skip rubbish take it
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwé",
    ],
)
def test_a_secret_of_another_form_is_refused(secret):
    with pytest.raises(ValueError, match="A signing secret is whsec_ and 24 to 64 bytes in base64"):
        signing.sign(secret, "msg_1", 1, b"{}")


def test_an_id_with_a_dot_is_refused():
    """Dots join what is signed: with one in the id, another post could have the same signature."""
    with pytest.raises(ValueError, match="has a dot"):
        signing.sign(SECRET, "msg_1.2", 1, b"{}")
