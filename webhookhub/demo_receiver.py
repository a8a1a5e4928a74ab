"""A receiver to try things with: it shows what it got, and answers as it is told.

Every path is an address of its own and remembers its own answer, so that one can fail while another works.
Run by `make run`; it keeps the last posts in memory and nothing else.
"""

import html
import json
import os
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

KEEP = 50  # posts
MAX_BODY = 1024 * 1024  # bytes
HANG = 60  # seconds; longer than any sender waits
ANSWERS = {
    "200": "200 OK",
    "404": "404 Not Found",
    "419": "419 (Laravel's CSRF check)",
    "422": "422 (it finds the post wrong)",
    "500": "500 Server Error",
    "hang": "hang: never answer",
    "close": "close: hang up",
}
STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:960px;padding:24px}
h1{font-size:24px;margin:0}h2{font-size:17px}code,pre{font-family:ui-monospace,monospace;font-size:13px}
table{border-collapse:collapse;width:100%}td{padding:6px 8px 6px 0;border-top:1px solid var(--line)}
button{font:inherit;padding:3px 9px;border:1px solid var(--line);border-radius:6px;background:none;color:inherit;cursor:pointer}
button[aria-pressed=true]{background:#2450d8;border-color:#2450d8;color:#fff}
details{border:1px solid var(--line);border-radius:10px;margin:8px 0;padding:10px 14px}
summary{cursor:pointer}pre{background:var(--soft);padding:12px;border-radius:6px;overflow:auto}
.n{float:right;opacity:.7}form{display:flex;gap:6px;flex-wrap:wrap;margin:0}
"""
# Fetches the list when there is something new, so that an opened post stays open until then.
SCRIPT = """
let seen=document.getElementById("posts").dataset.count;
setInterval(async()=>{const n=await(await fetch("/count")).text();
if(n!==seen){seen=n;const page=new DOMParser().parseFromString(await(await fetch("/")).text(),"text/html");
for(const id of["posts","paths"])document.getElementById(id).replaceWith(page.getElementById(id))}},500)
"""


@dataclass
class Post:
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    answer: str
    at: float = field(default_factory=time.time)

    @property
    def title(self) -> str:
        """The event and the transaction, if the body says so."""
        try:
            body = json.loads(self.body)
            return f"{body['event']} {body['data'].get('purchase', {}).get('transaction', '')}"
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{len(self.body)} bytes"

    @property
    def pretty_body(self) -> str:
        try:
            return json.dumps(json.loads(self.body), indent=2, ensure_ascii=False)
        except ValueError:
            return self.body.decode("utf-8", "replace")


class Memory:
    """What came, and how each path answers. Guarded by one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.posts: deque[Post] = deque(maxlen=KEEP)
        self.count = 0
        self.answers: dict[str, str] = {}

    def got(self, path: str, headers: list[tuple[str, str]], body: bytes) -> str:
        with self._lock:
            answer = self.answers.setdefault(path, "200")
            self.posts.appendleft(Post(path, headers, body, answer))
            self.count += 1
            return answer

    def tell(self, path: str, answer: str) -> None:
        with self._lock:
            self.answers[path] = answer


memory = Memory()


def page() -> str:
    """The page with the addresses, their answers and the last posts. All that came is escaped."""
    paths = "".join(
        f"<tr><td><code>{html.escape(path)}</code></td><td><form method=post action=/answer>"
        f'<input type=hidden name=path value="{html.escape(path)}">'
        + "".join(
            f"<button name=answer value={value} aria-pressed={'true' if value == answer else 'false'}>"
            f"{html.escape(label)}</button>"
            for value, label in ANSWERS.items()
        )
        + "</form></td></tr>"
        for path, answer in sorted(memory.answers.items())
    )
    posts = "".join(
        f"<details><summary><b>{html.escape(post.title)}</b> to <code>{html.escape(post.path)}</code>"
        f"<span class=n>{time.strftime('%H:%M:%S', time.localtime(post.at))} · answered {post.answer}</span></summary>"
        f"<pre>{html.escape(chr(10).join(f'{name}: {value}' for name, value in post.headers))}</pre>"
        f"<pre>{html.escape(post.pretty_body)}</pre></details>"
        for post in list(memory.posts)
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>Demo receiver</title><style>{STYLE}</style><h1>Demo receiver</h1>"
        "<p>It takes a post at any path and shows it here. Choose how a path answers the next one.</p>"
        f"<div id=paths><table>{paths}</table></div>"
        f"<h2>What came</h2><div id=posts data-count={memory.count}>{posts or 'Nothing yet.'}</div>"
        f"<script>{SCRIPT}</script>"
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/":
            self._answer(200, page().encode(), "text/html; charset=utf-8")
        elif self.path == "/count":
            self._answer(200, str(memory.count).encode())
        else:
            self._answer(404, b"Nothing is here; posts to this path are taken, though.\n")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            return self._answer(413, b"Too large.\n")
        body = self.rfile.read(int(length))
        path = quote(urlsplit(self.path).path, safe="/%-._~")
        if path == "/answer":
            told = dict(parse_qsl(body.decode("utf-8", "replace")))
            if told.get("answer") in ANSWERS and told.get("path"):
                memory.tell(told["path"], told["answer"])
            return self._answer(303, b"", location="/")
        answer = memory.got(path, self.headers.items(), body)
        if answer in ("hang", "close"):
            time.sleep(HANG if answer == "hang" else 0)
            self.close_connection = True
            return None
        return self._answer(int(answer), f"{ANSWERS[answer]}\n".encode())

    def _answer(self, status: int, body: bytes, kind: str = "text/plain", location: str = "") -> None:
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Page Expired"
        self.send_response(status, phrase)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass  # the page shows it


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass  # a sender that gave up is nothing to report


def main() -> None:
    port = int(os.environ.get("RECEIVER_PORT") or 9000)
    try:
        server = Server(("127.0.0.1", port), Handler)
    except OSError as error:
        sys.exit(f"The receiver cannot listen on port {port}: {error.strerror}.")
    server.serve_forever()


if __name__ == "__main__":
    main()
