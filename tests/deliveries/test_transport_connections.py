"""Which connection a post takes: kept for a while, for one configuration alone, and never with another's answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deliveries import connections, pools
from deliveries.models import Problem
from deliveries.transport import Outcome, Transport
from tests.raw_server import Line, RawServer

HEADERS = {"User-Agent": "webhookhub/test"}
BODY = b"{}"


@pytest.fixture
def transport():
    transport = Transport()
    yield transport
    transport.close()


@pytest.fixture
def post(transport):
    def post(url: str, *, config_id: int = 1) -> Outcome:
        return transport.post(config_id, url, HEADERS, BODY)

    return post


def echo(line: Line) -> None:
    """Answers with the path, for as long as the client wants."""
    while request := line.request():
        line.answer(body=request[0])


def test_a_connection_is_kept_for_the_next_post(post):
    with RawServer(echo) as server:
        assert [post(server.url).status for _ in range(3)] == [200] * 3
        assert server.connections == 1


def test_configurations_do_not_share_connections(post):
    with RawServer(echo) as server:
        post(server.url, config_id=1)
        post(server.url, config_id=2)
        assert server.connections == 2


@pytest.mark.parametrize("limit", ["IDLE_FOR", "LIVES_FOR"])
def test_a_connection_that_is_idle_or_old_is_not_used_again(post, monkeypatch, limit):
    with RawServer(echo) as server:
        post(server.url)
        monkeypatch.setattr(connections, limit, 0)
        assert post(server.url).status == 200
        assert server.connections == 2


def test_an_idle_connection_is_closed_without_another_post(post, transport, monkeypatch):
    monkeypatch.setattr(pools, "SWEEP_EVERY", 0.05)
    monkeypatch.setattr(connections, "IDLE_FOR", 0.1)
    with RawServer(echo) as server:
        post(server.url)
        assert server.closed.acquire(timeout=20)


def test_closing_the_transport_closes_its_connections(post, transport):
    with RawServer(echo) as server:
        post(server.url)
        transport.close()
        assert server.closed.acquire(timeout=20)
        assert post(server.url).status == 200


def test_more_configurations_than_pools_cost_no_more_open_connections(post, monkeypatch):
    monkeypatch.setattr(pools, "MOST_POOLS", 3)
    with RawServer(echo) as server:
        for config_id in range(8):
            assert post(server.url, config_id=config_id).status == 200
        for _ in range(5):
            assert server.closed.acquire(timeout=20)


def test_a_kept_connection_that_is_closed_as_we_send_costs_one_resend(post):
    asked = []

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            if len(asked) == 2:
                return
            line.answer()

    with RawServer(serve) as server:
        assert post(server.url).status == 200
        assert post(server.url).status == 200
    assert asked == [1, 1, 2]


def test_the_resend_is_not_sent_again(post):
    asked = []

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            if len(asked) > 1:
                return
            line.answer()

    with RawServer(serve) as server:
        post(server.url)
        assert post(server.url).problem == Problem.RESET
    assert asked == [1, 1, 2]


def test_the_resend_takes_a_new_connection_even_where_another_is_kept(transport):
    asked, both_open = [], threading.Barrier(2)

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            if len(asked) == 3:
                return
            if len(asked) < 3:
                both_open.wait(20)
            line.answer()

    with RawServer(serve) as server, ThreadPoolExecutor(2) as threads:
        posts = [threads.submit(transport.post, 1, server.url, HEADERS, BODY) for _ in range(2)]
        assert [post.result().status for post in posts] == [200, 200]
        assert transport.post(1, server.url, HEADERS, BODY).status == 200
    assert asked[3:] == [3]


def test_once_a_byte_of_the_answer_came_nothing_is_sent_again(post):
    asked = []

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            if len(asked) > 1:
                line.say("HTTP/1.1 100 Continue\r\n\r\n")
                return
            line.answer()

    with RawServer(serve) as server:
        post(server.url)
        assert post(server.url).problem == Problem.RESET
    assert asked == [1, 1]


def test_an_unasked_second_answer_is_not_taken_for_the_next_posts(post):
    said = threading.Event()

    def serve(line: Line) -> None:
        while line.request():
            line.answer()
            if line.number == 1:
                line.answer(500)
                said.set()

    with RawServer(serve) as server:
        assert post(server.url).status == 200
        assert said.wait(20)
        assert post(server.url).status == 200


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("head", ["Content-Length: 8", "Transfer-Encoding: chunked"])
def test_a_body_where_none_belongs_is_not_taken_for_the_next_answer(post, status, head):
    def serve(line: Line) -> None:
        line.request()
        line.say(f"HTTP/1.1 {status} X\r\n{head}\r\n\r\n")
        if line.request():  # late, when it could be taken for the answer to the next post
            line.say("surprise")

    with RawServer(serve) as server:
        for _ in range(2):
            outcome = post(server.url)
            assert (outcome.status, outcome.problem) == (status, "")
            assert outcome.took.total_seconds() < 5  # nor waited for
        assert server.connections == 2


def test_many_threads_get_each_their_own_answer(transport):
    with RawServer(echo) as server, ThreadPoolExecutor(16) as threads:
        urls = [f"http://127.0.0.1:{server.port}/{number}" for number in range(200)]
        outcomes = list(
            threads.map(lambda place: transport.post(place[0] % 4, place[1], HEADERS, BODY), enumerate(urls))
        )
    assert [outcome.body.decode() for outcome in outcomes] == [f"/{number}" for number in range(200)]


def test_a_head_takes_a_connection_of_its_own_whatever_the_server_says_behind_its_answer(transport):
    def serve(line: Line) -> None:
        while line.request():
            line.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray")

    with RawServer(serve) as server:
        for _ in range(3):
            outcome, steps = transport.head(server.url, HEADERS)
            assert (outcome.status, outcome.problem, outcome.body) == (200, "", b"")
            assert steps.connected_at is not None
        assert server.connections == 3


def test_nothing_of_one_owner_reaches_another_at_the_same_address(transport):
    """Two owners, one server: neither a cookie, nor a late answer, nor a connection that one of them left behind."""
    heard: list[dict[str, str]] = []

    def serve(line: Line) -> None:
        while request := line.request():
            heard.append(request[1])
            line.answer(headers='Set-Cookie: session=first\r\nAlt-Svc: h2="evil.example:443"\r\n')
            if line.number == 1:
                line.answer(body="meant for the first")

    with RawServer(serve) as server:
        first = transport.post(1, server.url, HEADERS | {"X-HOTMART-HOTTOK": "first's"}, BODY)
        second = transport.post(2, server.url, HEADERS, BODY)
        assert server.connections == 2
    assert (first.body, second.body) == (b"ok", b"ok")
    assert "cookie" not in heard[1]
    assert "first's" not in heard[1].values()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", b"a\rX-Evil: 1"])
def test_no_header_holds_the_end_of_a_line_even_where_nobody_checked_it_before(value):
    """http.client's own look at it is left out."""
    connection = connections.SafeHTTP("127.0.0.1", names=None)
    with pytest.raises(ValueError, match="end of a line"):
        connection.putheader("X-Mine", value)
