"""`make audit`, with an advisory service on loopback in place of the real one."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.commands import ROOT
from webhookhub import audit

HASH = f"--hash=sha256:{'0' * 64}"


@contextmanager
def advisories(of: dict[str, dict]) -> Iterator[str]:
    """A service that knows one advisory of each package in `of`. Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = of.get(asked["package"]["name"])
            body = json.dumps({"vulns": [known]} if known else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()


def hole(name: str) -> dict:
    fixed = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.1"}]}]
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": fixed}]
    return {"id": "GHSA-test-hole", "summary": "It leaks.", "affected": affected}


def run(url: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"OSV_URL": url}
    command = [sys.executable, "-m", "webhookhub.audit"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=170)


def test_a_hole_that_is_known_is_named_with_the_version_that_mends_it():
    with advisories({"requests": hole("requests")}) as url:
        ran = run(url)
    assert ran.returncode == audit.FOUND
    assert re.search(r"requests [\d.]+: GHSA-test-hole, mended in 99\.1\. It leaks\.", ran.stdout), ran.stdout


def test_where_nothing_is_known_all_is_well():
    with advisories({}) as url:
        ran = run(url)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Advisories: nothing found." in ran.stdout


def test_advisories_that_are_out_of_reach_are_said_so_and_are_no_all_clear():
    ran = run("http://127.0.0.1:1/v1/query")
    assert ran.returncode == audit.UNKNOWN, ran.stdout + ran.stderr
    assert "ADVISORIES OUT OF REACH: known holes were NOT looked for" in ran.stdout


def test_everything_is_pinned_with_a_hash():
    for lock in audit.LOCKS:
        found = list(audit.pins(ROOT / lock))
        assert len(found) > 20
        assert all(pin.hashes for pin in found)


def test_a_pin_without_a_hash_or_without_a_version_is_found(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"requests==2.34.2 \\\n    {HASH}\n    # via x\nidna==3.10\n")
    assert audit.without_hash([lock]) == ["requirements.txt: idna 3.10 has no hash."]
    lock.write_text("requests>=2\n")
    with pytest.raises(ValueError, match="no exact version"):
        list(audit.pins(lock))


def test_a_licence_that_would_bind_us_is_found(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"requests==2.34.2 {HASH}\nidna==3.10 {HASH}\n")
    assert audit.bound_by_licence(lock) == []
    monkeypatch.setattr(audit, "licence_of", {"requests": "Apache-2.0", "idna": "AGPL-3.0-only"}.get)
    assert audit.bound_by_licence(lock) == ["idna: its licence is AGPL-3.0-only."]


def test_of_what_production_installs_every_licence_is_known():
    here = [pin.name for pin in audit.pins(ROOT / "requirements.txt")]
    unknown = {name for name in here if not audit.licence_of(name)}
    assert unknown <= {"tzdata", "colorama", "async-timeout"}, "installed on some platforms only"


def wanted() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = {
        "production": project["project"]["dependencies"],
        "development": project["dependency-groups"]["dev"],
    }
    return {kind: [re.match(r"[A-Za-z0-9._-]+", each)[0] for each in found] for kind, found in lists.items()}


@pytest.mark.parametrize("kind", ["production", "development"])
def test_each_dependency_is_named_in_the_document_with_why_it_is_there(kind):
    text = (ROOT / "docs" / "dependencies.md").read_text()
    section = re.split(r"^## ", text, flags=re.MULTILINE)[1 + ["production", "development"].index(kind)]
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+?) \|", section, re.MULTILINE))
    assert set(rows) == set(wanted()[kind])
    assert all(len(why) > 20 for why in rows.values())
