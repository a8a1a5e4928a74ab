"""A real HTTP receiver on loopback, which does as it is told and remembers what it got."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Post:
    """One request, as it came."""

    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    method: str = "POST"
    at: float = field(default_factory=time.monotonic)
    sender: str = ""  # the address that it came from


@dataclass
class Answer:
    """How to answer: a status with headers and a body, after `delay` seconds; or hang, or close."""

    status: int = 200
    body: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    close: bool = False  # hang up instead of answering


class Receiver:
    """`with Receiver() as receiver:` listens on `host`. `answers(...)` sets what comes next; the last one stays."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.posts: list[Post] = []
        self._answers: deque[Answer] = deque([Answer()])
        self._changed = threading.Condition()
        self._ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                answer = receiver._got(
                    Post(self.path, headers, body, self.command, sender=self.client_address[0])
                )
                if answer.delay:
                    receiver._ended.wait(answer.delay)
                if answer.close:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_HEAD = do_POST

            def log_message(self, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *args: object) -> None:
                pass  # a client that was killed in the middle is part of the tests

        self._server = Server((host, 0), Handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/hook"

    def __enter__(self) -> "Receiver":
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def answers(self, *answers: int | Answer) -> None:
        """From now on these, in turn; the last one also for all that follow."""
        with self._changed:
            self._answers = deque(Answer(a) if isinstance(a, int) else a for a in answers)

    def _got(self, post: Post) -> Answer:
        with self._changed:
            self.posts.append(post)
            self._changed.notify_all()
            return self._answers.popleft() if len(self._answers) > 1 else self._answers[0]

    def wait_for(self, condition: int | Callable[[list[Post]], bool], timeout: float = 30) -> list[Post]:
        """The posts, once there are `condition` many or it holds of them; AssertionError after `timeout` seconds."""
        holds = (lambda posts: len(posts) >= condition) if isinstance(condition, int) else condition
        with self._changed:
            if not self._changed.wait_for(lambda: holds(self.posts), timeout):
                raise AssertionError(f"After {timeout} s the receiver has {len(self.posts)} posts.")
            return list(self.posts)

    def webhook_ids(self) -> list[str]:
        return [post.headers["webhook-id"] for post in self.posts]
