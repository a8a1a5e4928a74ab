"""Receivers that drip, flood, hang and interrupt: each post ends in time, and keeps 64 KiB at most."""

import gzip
import zlib

import pytest

from deliveries.models import Problem
from deliveries.transport import Outcome, Transport
from tests.raw_server import Line, RawServer, Serve

HEADERS = {"User-Agent": "webhookhub/test"}
KEPT = 64 * 1024
IN_TIME = 5  # seconds, on a busy machine; without a deadline each of these lasts for minutes


@pytest.fixture
def transport():
    transport = Transport()
    yield transport
    transport.close()


@pytest.fixture
def answered(transport):
    def answered(serve: Serve, body: bytes = b"{}") -> Outcome:
        with RawServer(serve) as server:
            return transport.post(1, server.url, HEADERS, body)

    return answered


def saying(*texts: str | bytes) -> Serve:
    def serve(line: Line) -> None:
        line.request()
        for text in texts:
            line.say(text)

    return serve


def without_end(head: str, piece: str | bytes) -> Serve:
    def serve(line: Line) -> None:
        line.request()
        line.say(head)
        while not line.ended.is_set():
            line.say(piece)

    return serve


@pytest.fixture
def half_a_second(settings):
    settings.DELIVERY_DEADLINE = 0.5


# --- time


@pytest.mark.parametrize(
    ("said", "dripped", "status"),
    [
        ("", "HTTP/1.1 500 X" + "x" * 1000, None),
        ("HTTP/1.1 500 X\r\n", "A: b\r\n" * 1000, None),
        ("HTTP/1.1 500 X\r\nContent-Length: 9999\r\n\r\n", "b" * 1000, 500),
        ("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n" * 1000, 500),
        ("HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n" * 1000, 500),
        ("", "HTTP/1.1 100 Continue\r\n\r\n" * 1000, None),
    ],
    ids=["status line", "headers", "body", "chunks", "trailer", "interim answers"],
)
def test_an_answer_that_drips_ends_at_the_deadline(answered, half_a_second, said, dripped, status):
    def serve(line: Line) -> None:
        line.request()
        line.say(said)
        line.drip(dripped)

    outcome = answered(serve)
    assert (outcome.status, outcome.problem) == (status, Problem.TIMEOUT)
    assert 0.5 <= outcome.took.total_seconds() < IN_TIME


def test_an_accepted_post_whose_body_drips_is_accepted(answered, half_a_second):
    def serve(line: Line) -> None:
        line.request()
        line.say("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nfirst")
        line.ended.wait(60)

    outcome = answered(serve)
    assert (outcome.status, outcome.problem, outcome.body, outcome.cut) == (200, "", b"first", True)
    assert outcome.took.total_seconds() < IN_TIME


def test_no_answer_at_all_is_a_timeout(answered, half_a_second):
    outcome = answered(lambda line: line.ended.wait(60))
    assert (outcome.status, outcome.problem) == (None, Problem.TIMEOUT)
    assert outcome.detail.startswith("127.0.0.1:")
    assert 0.5 <= outcome.took.total_seconds() < IN_TIME


def test_a_peer_that_never_reads_ends_at_the_deadline(answered, half_a_second):
    outcome = answered(lambda line: line.ended.wait(60), body=b"x" * 30_000_000)
    assert outcome.problem == Problem.TIMEOUT
    assert 0.5 <= outcome.took.total_seconds() < IN_TIME


def test_a_timeout_on_a_kept_connection_is_not_sent_again(transport, half_a_second):
    asked = []

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            if len(asked) > 1:
                line.ended.wait(60)
            line.answer()

    with RawServer(serve) as server:
        assert transport.post(1, server.url, HEADERS, b"{}").status == 200
        assert transport.post(1, server.url, HEADERS, b"{}").problem == Problem.TIMEOUT
    assert asked == [1, 1]


# --- size


@pytest.mark.parametrize("status", [200, 302, 500])
@pytest.mark.parametrize(
    ("head", "piece"),
    [
        ("", b"x" * 10_000),
        ("Content-Length: 1000000000000\r\n", b"x" * 10_000),
        ("Transfer-Encoding: chunked\r\n", b"2710\r\n" + b"x" * 10_000 + b"\r\n"),
    ],
    ids=["to the end", "length", "chunks"],
)
def test_of_an_endless_body_64_kib_are_kept(answered, status, head, piece):
    outcome = answered(without_end(f"HTTP/1.1 {status} X\r\nLocation: /\r\n{head}\r\n", piece))
    assert (outcome.status, outcome.problem, outcome.cut) == (status, "", True)
    assert outcome.body == b"x" * KEPT


def test_a_body_of_just_64_kib_is_whole_and_its_connection_is_kept(transport):
    def serve(line: Line) -> None:
        while line.request():
            line.answer(body="x" * KEPT)

    with RawServer(serve) as server:
        for _ in range(2):
            outcome = transport.post(1, server.url, HEADERS, b"{}")
            assert (len(outcome.body), outcome.cut) == (KEPT, False)
        assert server.connections == 1


def test_a_longer_body_costs_its_connection(transport):
    def serve(line: Line) -> None:
        while line.request():
            line.answer(body="x" * (KEPT + 100))

    with RawServer(serve) as server:
        for _ in range(2):
            outcome = transport.post(1, server.url, HEADERS, b"{}")
            assert (len(outcome.body), outcome.cut) == (KEPT, True)
        assert server.connections == 2


def test_of_a_packed_flood_64_kib_are_unpacked(answered):
    packed = gzip.compress(bytes(30_000_000))
    assert len(packed) < KEPT
    outcome = answered(
        saying(f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n", packed)
    )
    assert (outcome.body, outcome.cut) == (bytes(KEPT), True)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_packed_answer_that_nobody_asked_for_is_read(answered, encoding, pack):
    packed = pack("Não".encode())
    outcome = answered(
        saying(
            f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n",
            packed,
        )
    )
    assert (outcome.body.decode(), outcome.cut) == ("Não", False)


def test_an_empty_answer_that_claims_to_be_packed_is_whole(answered):
    outcome = answered(saying("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"))
    assert (outcome.body, outcome.cut) == (b"", False)


def test_what_claims_to_be_packed_and_is_not_stays_as_it_came(answered):
    outcome = answered(saying("HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain"))
    assert (outcome.body, outcome.problem) == (b"plain", "")


@pytest.mark.parametrize("status", [200, 500])
def test_huge_headers_are_cut_at_64_kib_and_the_status_counts(answered, status):
    header = "X-Long: " + "x" * 65_000 + "\r\n"
    outcome = answered(saying(f"HTTP/1.1 {status} X\r\nA: b\r\n", *[header] * 95, "\r\n"))
    assert (outcome.status, outcome.problem, outcome.cut) == (status, "", True)
    assert ["A", "b"] in outcome.headers
    assert sum(len(name) + len(value) for name, value in outcome.headers) <= KEPT


def test_endless_interim_answers_end_at_the_cap(answered):
    outcome = answered(without_end("", "HTTP/1.1 100 Continue\r\n\r\n" * 100))
    assert (outcome.status, outcome.problem) == (None, Problem.NOT_HTTP)
    assert outcome.took.total_seconds() < IN_TIME


def test_an_endless_trailer_ends_at_the_cap(answered):
    head = "HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    outcome = answered(without_end(head, "A: b\r\n" * 1000))
    assert (outcome.status, outcome.body) == (500, b"ok")
    assert outcome.took.total_seconds() < IN_TIME


# --- interim answers


def test_100_continue_is_passed_over(answered):
    outcome = answered(saying("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert (outcome.status, outcome.body) == (200, b"ok")


@pytest.mark.parametrize("status", [101, 102, 103])
def test_after_another_interim_answer_the_post_is_over_and_so_is_its_connection(transport, status):
    def serve(line: Line) -> None:
        line.request()
        if line.number > 1:
            line.answer(202)
            return
        line.say(f"HTTP/1.1 {status} X\r\nLink: </a.css>\r\n\r\n")
        if line.request():  # late, when it could be taken for the answer to the next post
            line.answer(500)

    with RawServer(serve) as server:
        outcome = transport.post(1, server.url, HEADERS, b"{}")
        assert (outcome.status, outcome.problem, outcome.body) == (status, "", b"")
        assert transport.post(1, server.url, HEADERS, b"{}").status == 202
        assert server.connections == 2
