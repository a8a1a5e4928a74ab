"""One POST: what is sent, what comes back, and how a failure is named. Limits and connections have their own files."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from deliveries.models import Problem
from deliveries.transport import Outcome, Transport
from tests.outbound import NameServer
from tests.raw_server import Line, RawServer
from tests.receiver import Answer

HEADERS = {"User-Agent": "webhookhub/test", "Content-Type": "application/json"}
BODY = b'{"event": "PURCHASE_APPROVED"}'


@pytest.fixture
def transport():
    transport = Transport()
    yield transport
    transport.close()


@pytest.fixture
def post(transport):
    def post(url: str, *, config_id: int = 1, headers: dict | None = None, body: bytes = BODY) -> Outcome:
        return transport.post(config_id, url, HEADERS if headers is None else headers, body)

    return post


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_post_arrives_as_it_was_given_and_its_answer_comes_back(receiver, post):
    receiver.answers(Answer(201, b'{"ok": true}', {"X-Twice": "a", "x-other": "b"}))
    outcome = post(receiver.url)
    (got,) = receiver.posts
    assert got.body == BODY
    assert got.headers["user-agent"] == "webhookhub/test"
    assert got.headers["accept-encoding"] == "identity"
    assert got.headers["content-length"] == str(len(BODY))
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (outcome.status, outcome.body, outcome.problem, outcome.cut) == (201, b'{"ok": true}', "", False)
    assert ["X-Twice", "a"] in outcome.headers
    assert outcome.took.total_seconds() > 0
    assert outcome.started_at.tzinfo


def test_a_header_that_comes_twice_is_kept_twice(post):
    def serve(line: Line) -> None:
        line.request()
        line.answer(503, headers="Retry-After: 5\r\nRetry-After: 9\r\n")

    with RawServer(serve) as server:
        outcome = post(server.url)
    assert [value for name, value in outcome.headers if name == "Retry-After"] == ["5", "9"]


def test_query_and_odd_characters_of_the_path_arrive(receiver, post):
    post(f"http://127.0.0.1:{receiver.port}/gancho/ção?a=b&c=%20d#part")
    assert receiver.posts[0].path == "/gancho/%C3%A7%C3%A3o?a=b&c=%20d"


@pytest.mark.parametrize(
    "status", [200, 201, 202, 204, 205, 299, 301, 304, 400, 404, 410, 429, 500, 503, 999]
)
def test_every_final_status_comes_back_as_it_came(post, status):
    def serve(line: Line) -> None:
        line.request()
        line.answer(status, body="" if status in (204, 304) else "x")

    with RawServer(serve) as server:
        outcome = post(server.url)
    assert (outcome.status, outcome.problem, outcome.cut) == (status, "", False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(receiver, post, status):
    receiver.answers(Answer(status, b"", {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"}))
    outcome = post(receiver.url)
    assert outcome.status == status
    assert ["Location", f"http://127.0.0.1:{receiver.port}/elsewhere"] in outcome.headers
    assert [got.path for got in receiver.posts] == ["/hook"]


def test_cookies_are_not_kept(receiver, post):
    receiver.answers(Answer(200, b"ok", {"Set-Cookie": "session=1; Path=/"}))
    post(receiver.url)
    post(receiver.url)
    assert "cookie" not in receiver.posts[1].headers


def test_nothing_is_taken_from_the_environment(receiver, post, monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    assert post(receiver.url).status == 200
    assert "authorization" not in receiver.posts[0].headers


# --- no answer


def test_a_port_where_nothing_listens_is_refused(post):
    port = free_port()
    outcome = post(f"http://127.0.0.1:{port}/")
    assert (outcome.problem, outcome.detail) == (Problem.REFUSED, f"127.0.0.1:{port}")
    assert outcome.status is None


def test_a_host_that_does_not_pick_up_is_a_connect_timeout(post, settings):
    settings.DELIVERY_CONNECT_TIMEOUT = 0.3
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for sock in waiting:  # until the queue of the listener is full, and it drops who else calls
                sock.setblocking(False)
                sock.connect_ex(("127.0.0.1", port))
            outcome = post(f"http://127.0.0.1:{port}/")
        finally:
            for sock in waiting:
                sock.close()
    assert (outcome.problem, outcome.detail) == (Problem.CONNECT_TIMEOUT, f"127.0.0.1:{port}")
    assert 0.3 <= outcome.took.total_seconds() < 3


def test_a_network_without_a_way_there_is_unreachable(post, monkeypatch):
    def connect(*_: object) -> None:
        raise OSError(113, "No route to host")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert post("http://127.0.0.1:8080/").problem == Problem.UNREACHABLE


def test_running_out_of_files_is_our_own_problem(post, monkeypatch):
    def connect(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert post("http://127.0.0.1:8080/").problem == Problem.OURS


@pytest.mark.parametrize("headers", [{"A": "token\r\nC: d"}, {"A\n": "token"}, {"A": "token漢"}])
def test_a_post_that_cannot_be_made_is_our_own_problem_and_nothing_is_sent(receiver, post, headers, caplog):
    outcome = post(receiver.url, headers=headers)
    assert outcome.problem == Problem.OURS
    assert outcome.detail
    assert "token" not in outcome.detail + caplog.text
    assert receiver.posts == []


def test_hanging_up_without_an_answer_is_a_reset(receiver, post):
    receiver.answers(Answer(close=True))
    outcome = post(receiver.url)
    assert (outcome.status, outcome.problem) == (None, Problem.RESET)
    assert outcome.detail == f"127.0.0.1:{receiver.port}"
    assert len(receiver.posts) == 1  # on a new connection it is not sent once more


@pytest.mark.parametrize(
    "rubbish",
    [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 1000 X\r\n\r\n",
        "HTTP/3 200 OK\r\n\r\n",
        "\r\n\r\n",
    ],
)
def test_what_is_not_http_is_named(post, rubbish):
    def serve(line: Line) -> None:
        line.request()
        line.say(rubbish)

    with RawServer(serve) as server:
        assert post(server.url).problem == Problem.NOT_HTTP


def test_two_lengths_that_disagree_are_not_http(post):
    def serve(line: Line) -> None:
        line.request()
        line.answer(500, headers="Content-Length: 7\r\n")

    with RawServer(serve) as server:
        assert post(server.url).problem == Problem.NOT_HTTP


@pytest.mark.parametrize("length", ["2, 2", "two", "-2"])
def test_behind_a_length_that_is_no_number_nothing_is_waited_for_and_nothing_more_is_sent(post, length):
    asked = []

    def serve(line: Line) -> None:
        while line.request():
            asked.append(line.number)
            line.say(f"HTTP/1.1 500 X\r\nContent-Length: {length}\r\n\r\nok")

    with RawServer(serve) as server:
        outcomes = [post(server.url), post(server.url)]
    assert [(outcome.status, outcome.problem) for outcome in outcomes] == [(500, "")] * 2
    assert asked == [1, 2]


def test_the_headers_of_an_answer_are_kept_in_their_order_and_a_folded_one_as_one_line(post):
    def serve(line: Line) -> None:
        line.request()
        line.say("HTTP/1.1 200 OK\r\nb: 1\r\nA: 2\r\n  and 3\r\nB: 4\r\nContent-Length: 0\r\n\r\n")

    with RawServer(serve) as server:
        assert post(server.url).headers == [["b", "1"], ["A", "2 and 3"], ["B", "4"], ["Content-Length", "0"]]


def test_a_break_in_the_body_leaves_status_and_beginning(post):
    def serve(line: Line) -> None:
        path, *_ = line.request()
        line.say(f"HTTP/1.1 {path[1:]} X\r\nContent-Length: 100\r\n\r\nabc")
        line.reset()

    with RawServer(serve) as server:
        url = f"http://127.0.0.1:{server.port}"
        failed, accepted = post(f"{url}/500"), post(f"{url}/200")
    assert (failed.status, failed.problem, failed.body, failed.cut) == (500, Problem.RESET, b"abc", True)
    assert (accepted.status, accepted.problem, accepted.body, accepted.cut) == (200, "", b"abc", True)


@pytest.mark.parametrize("head", ["Content-Length: 100", "Transfer-Encoding: chunked"])
def test_a_body_that_ends_early_is_marked_cut(post, head):
    def serve(line: Line) -> None:
        line.request()
        line.say(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n{'5' if 'chunked' in head else ''}\r\nabc")

    with RawServer(serve) as server:
        outcome = post(server.url)
    assert (outcome.status, outcome.problem, outcome.cut) == (200, "", True)


# --- names


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), Problem.DNS),
        (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), Problem.DNS),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), Problem.DNS_SILENT),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), Problem.DNS_SILENT),
        (OSError(24, "Too many open files"), Problem.DNS_SILENT),
    ],
)
def test_a_name_that_does_not_exist_is_told_from_a_failing_name_server(error, problem):
    def lookup(host: str, port: int) -> None:
        raise error

    outcome = Transport(lookup).post(1, "https://www.example.com/", HEADERS, BODY)
    assert (outcome.problem, outcome.detail) == (problem, "www.example.com")


def test_a_silent_name_server_is_waited_for_no_longer_than_a_post_may_take(settings):
    settings.DELIVERY_DEADLINE = 0.2
    heard = threading.Event()

    def lookup(host: str, port: int) -> list:
        heard.wait(30)
        return []

    outcome = Transport(lookup).post(1, "https://www.example.com/", HEADERS, BODY)
    heard.set()
    assert outcome.problem == Problem.DNS_SILENT
    assert outcome.took.total_seconds() < 2


def test_four_posts_to_one_name_at_once_ask_for_it_once(receiver):
    names, all_here = NameServer({"hooks.example.com": "127.0.0.1"}), threading.Event()

    def lookup(host: str, port: int) -> list:
        all_here.wait(30)
        return names(host, port)

    transport = Transport(lookup)
    url = f"http://hooks.example.com:{receiver.port}/"
    with ThreadPoolExecutor(4) as threads:
        posts = [threads.submit(transport.post, config, url, HEADERS, BODY) for config in range(4)]
        all_here.set()
        assert [post.result().status for post in posts] == [200] * 4
    assert names.asked.total() == 1
    transport.close()


def test_a_failed_look_up_is_kept_for_a_moment_only(receiver, monkeypatch):
    names = NameServer({})
    transport, url = Transport(names), f"http://hooks.example.com:{receiver.port}/"
    assert transport.post(1, url, HEADERS, BODY).problem == Problem.DNS
    names.answers["hooks.example.com"] = ["127.0.0.1"]
    assert transport.post(1, url, HEADERS, BODY).problem == Problem.DNS
    monkeypatch.setattr("deliveries.names.BAD_FOR", 0)
    transport.names.forget()
    assert transport.post(1, url, HEADERS, BODY).status == 200
    transport.close()
