#!/usr/bin/env python3
"""A receiver for the posts of webhookhub, in one file. Needs Python 3.9 or newer and nothing else.

    HOTTOK=your-token WEBHOOK_SECRET=whsec_... python3 receiver.py 8080

It checks token and signature, keeps the post as a file, answers 200 and only then works on it. A post that
comes twice has the same webhook-id, so its file is there already and nothing is done twice. What was kept but
not finished, because the program stopped or work() failed, is taken up again at the next start.

Change work(). Put a web server with TLS (nginx, Caddy) in front of it.
"""

import base64
import hashlib
import hmac
import json
import os
import queue
import re
import sys
import tempfile
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

TOKENS = os.environ["HOTTOK"].split(",")  # while you rotate the token: both, with a comma
SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].replace("whsec_", "", 1))
INBOX = Path(os.environ.get("INBOX", "inbox"))  # may be emptied of what is older than a month
TOLERANCE = 5 * 60  # seconds by which our clocks may differ
MOST = 1024 * 1024  # bytes of a post


def work(post: dict) -> None:
    """What you do with a post. Raise an exception and it is tried again at the next start."""
    if post.get("version") == "2.0.0":
        print(post["event"], post["data"].get("purchase", {}).get("transaction", ""), flush=True)
    else:  # 1.0.0
        print(post.get("status", "json"), post.get("transaction", ""), flush=True)


def problem(headers, body: bytes) -> str:
    """Why the post is not to be believed; empty if it is."""
    token = headers.get("X-HOTMART-HOTTOK", "").encode()
    if not any(hmac.compare_digest(token, known.encode()) for known in TOKENS):
        return "The token is wrong."
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", webhook_id):
        return "The webhook-id is missing."
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE:
        return "The webhook-timestamp is too old or too new: is the clock right?"
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    right = b"v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").split()  # two for a day after a rotation
    if not any(hmac.compare_digest(right, one.encode()) for one in given):
        return "The signature is wrong."
    return ""


def keep(webhook_id: str, body: bytes) -> bool:
    """Write the post to the disk, whole or not at all. False if it is there already."""
    handle, name = tempfile.mkstemp(dir=INBOX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, INBOX / f"{webhook_id}.post")  # fails where there is one: of two at once, one wins
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(name)


def read(body: bytes) -> dict:
    """The post as a dictionary: JSON, or the form of version 1.0.0."""
    if body.startswith(b"{"):
        return json.loads(body)
    return {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}


def worker(waiting: queue.Queue) -> None:
    while True:
        path = waiting.get()
        try:
            work(read(path.read_bytes()))
            path.with_suffix(".done").touch()
        except Exception:
            traceback.print_exc()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # seconds for a whole request

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST:
            self.close_connection = True  # its body is still on the line
            self.answer(413, "The post has no length, or is too long.")
            return
        body = self.rfile.read(int(length))
        if wrong := problem(self.headers, body):
            self.answer(401, wrong)
            return
        webhook_id = self.headers["webhook-id"]
        is_new = keep(webhook_id, body)
        self.answer(200, "ok" if is_new else "ok, I have it already")
        if is_new:
            self.server.waiting.put(INBOX / f"{webhook_id}.post")

    def answer(self, status: int, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    INBOX.mkdir(exist_ok=True, parents=True)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.waiting = queue.Queue()
    for path in sorted(INBOX.glob("*.post"), key=lambda path: path.stat().st_mtime):
        if not path.with_suffix(".done").exists():
            server.waiting.put(path)
    threading.Thread(target=worker, args=(server.waiting,), daemon=True).start()
    print(f"Listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
