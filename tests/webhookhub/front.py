"""The pages as they stand on a server: gunicorn with the product's own settings, and nginx with TLS in front of it.

Both are those of docs/deployment: the command of the unit, and nginx.conf with other ports and paths.
"""

import contextlib
import http.client
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.commands import ROOT, database_url

NAME = "hooks.example.com"
DEPLOYMENT = ROOT / "docs" / "deployment"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen]:
    """`command`, once it listens; ended at the end."""
    with log.open("ab") as file:
        running = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=file, stderr=file)
    try:
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            said = log.read_text()[-2000:]
            assert running.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)  # between two looks at the condition
        yield running
    finally:
        running.terminate()
        running.wait(60)


@contextlib.contextmanager
def gunicorn(folder: Path, **environment: str) -> Iterator[int]:
    """Started by the unit's command on a port of its own, which is yielded."""
    unit = (DEPLOYMENT / "webhookhub-web.service").read_text()
    _, *arguments = shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])
    port = free_port()
    arguments = " ".join(arguments).replace(":8000", f":{port}").replace("--workers 4", "--workers 1").split()
    settings = {
        "DJANGO_SETTINGS_MODULE": "webhookhub.settings",
        "DEBUG": "False",
        "SECRET_KEY": "only-for-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
        "ALLOWED_HOSTS": NAME,
        "SITE_URL": f"https://{NAME}",
        "BEHIND_PROXY": "True",
        "SECURE_COOKIES": "True",
        "DATABASE_URL": database_url(),
        "STATIC_ROOT": str(folder / "static"),
        "LOG_FORMAT": "json",
        "METRICS_TOKEN": "scrape-me",
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"],
        cwd=ROOT, env=os.environ | settings, check=True, timeout=120,
    )  # fmt: skip
    with process([sys.executable, "-m", "gunicorn", *arguments], port, folder / "gunicorn.log", **settings):
        yield port


class Nginx:
    """nginx.conf as it is, with the ports and paths of a test. `with Nginx(folder, backend_port) as nginx:`"""

    def __init__(self, folder: Path, backend: int, **instead: str) -> None:
        self.folder, self.http, self.https = folder, free_port(), free_port()
        folder.mkdir(exist_ok=True)
        authority = trustme.CA()
        certificate = authority.issue_cert(NAME)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "tls.pem"))
        self.tls = ssl.create_default_context()
        authority.configure_trust(self.tls)
        text = (DEPLOYMENT / "nginx.conf").read_text()
        changes = {
            "listen 80": f"listen 127.0.0.1:{self.http}",
            "listen 443": f"listen 127.0.0.1:{self.https}",
            "127.0.0.1:8000": f"127.0.0.1:{backend}",
            f"/etc/letsencrypt/live/{NAME}/fullchain.pem": str(folder / "tls.pem"),
            f"/etc/letsencrypt/live/{NAME}/privkey.pem": str(folder / "tls.pem"),
            "/var/log/nginx/webhookhub.log": str(folder / "access.log"),
            "/opt/webhookhub/docs/deployment": str(DEPLOYMENT),
            **instead,
        }
        for before, after in changes.items():
            assert before in text, before
            text = text.replace(before, after)
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; {user} pid {folder}/nginx.pid; error_log {folder}/error.log;"
            f"events {{ worker_connections 256; }} http {{ {temporary} access_log off; {text} }}"
        )

    def __enter__(self) -> "Nginx":
        if NGINX is None:
            pytest.skip("nginx is not installed (Debian: apt install nginx-light).")
        command = [
            NGINX,
            "-p",
            str(self.folder),
            "-c",
            str(self.folder / "nginx.conf"),
            "-e",
            str(self.folder / "error.log"),
        ]
        self._running = process(command, self.https, self.folder / "nginx.log")
        self._running.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._running.__exit__(*error)

    @contextlib.contextmanager
    def connection(self, *, source: str = "127.0.0.1", name: str = NAME) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=30, source_address=(source, 0))
        with self.tls.wrap_socket(plain, server_hostname=name) as encrypted:
            yield encrypted

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, source: str = "127.0.0.1", **headers: str
    ) -> "Answer":
        """Over TLS, under the right name, from the address `source`."""
        with self.connection(source=source) as encrypted:
            client = http.client.HTTPConnection(NAME)
            client.sock = encrypted
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            client.request(method, path, body, {"Host": NAME} | names)
            return Answer(client.getresponse())


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def every(self, name: str) -> list[str]:
        return self.headers.get_all(name) or []
