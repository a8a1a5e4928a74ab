"""The head of an answer is read as the standard library reads it, whatever a receiver sends."""

import http.client
import random
from io import BytesIO

import pytest

from deliveries.answer import _head

ODD = [
    b"A: b\r\nC:d \r\n\r\nrest",
    b"A: b\n\nrest",
    b"\r\nrest",
    b"",
    b"A: b",
    b"A: b\r\n folded\r\n\r\nrest",
    b" folded first\r\nA: b\r\n\r\n",
    b"From x\r\nA: b\r\n\r\n",
    b"A: \xff\xe9\r\n\r\n",
    b"A:\t b\rC: d\r\n\r\n",
    b": no name\r\n\r\n",
    b"no colon\r\nC: d\r\n\r\n",
    b"A: b\x0bc\x1c\x85d\r\n\r\n",
    b"A: b\r\n\x00: c\r\n\r\n",
    b"A: %s\r\n\r\n" % (b"x" * 65_530),
    b"A: %s\r\n\r\n" % (b"x" * 65_540),
    b"A: 1\r\n" * 99 + b"\r\nrest",
    b"A: 1\r\n" * 100 + b"\r\nrest",
    b"A: 1\r\n" * 101 + b"\r\nrest",
]
PIECES = [
    b"A",
    b":",
    b" ",
    b"\t",
    b"\r\n",
    b"\n",
    b"\r",
    b"x",
    b"\xe9",
    b"\x00",
    b"From ",
    b"Content-Length: 3\r\n",
]


def read(parse, head: bytes):
    """What it makes of it, and what it leaves to be read; or what it raises."""
    fp = BytesIO(head)
    try:
        message = parse(fp)
    except http.client.HTTPException as error:
        return type(error), str(error)
    return message.items(), fp.read()


@pytest.mark.parametrize("head", ODD, ids=lambda head: repr(head[:20]))
def test_an_odd_head(head):
    assert read(_head, head) == read(http.client.parse_headers, head)


def test_heads_made_at_random():
    pick = random.Random(20260101)
    for _ in range(5_000):
        head = b"".join(pick.choices(PIECES, k=pick.randint(0, 14)))
        assert read(_head, head) == read(http.client.parse_headers, head), head
