"""The receivers and examples that the documentation hands out, as programs of their own that get real posts."""

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import playwright
import pytest
import requests

from configurations.models import Token, Version, WebhookConfig
from deliveries import engine, posting
from deliveries.models import Delivery, State
from docs_tab.snippets import RECEIVERS, SNIPPETS, Program
from tests import factories

COMMANDS = {
    "python": [sys.executable, "-u"],
    "javascript": ["node"],
    "php": ["php"],
    "ruby": ["ruby"],
}
WORK = {
    "python": "def work(post: dict) -> None:\n",
    "javascript": "async function work(post) {\n",
    "php": "function work(array $post): void\n{\n",
}
WAITS_AT_THE_GATE = {
    "python": "    while not (INBOX / 'gate').exists(): time.sleep(0.01)\n",
    "javascript": "while (!existsSync(join(INBOX, 'gate'))) await new Promise((go) => setTimeout(go, 10));\n",
    "php": "while (!file_exists(getenv('INBOX') . '/gate')) { usleep(10000); clearstatcache(); }\n",
}
FAILS_AT_THE_GATE = {
    "python": "    if not (INBOX / 'gate').exists(): raise RuntimeError('The gate is shut.')\n",
    "javascript": "if (!existsSync(join(INBOX, 'gate'))) throw new Error('The gate is shut.');\n",
    "php": "if (!file_exists(getenv('INBOX') . '/gate')) { throw new Exception('The gate is shut.'); }\n",
}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
TOKEN = "a-token-of-the-test"


def command(program: Program) -> list[str]:
    found = shutil.which(COMMANDS[program.language][0])
    if not found and program.language == "javascript":
        found = str(
            Path(playwright.__file__).parent / "driver" / "node"
        )  # what the browser tests bring along
    if not found:
        pytest.skip(f"There is no {program.label} on this machine.")
    return [found, *COMMANDS[program.language][1:]]


class Running:
    """A receiver as a process: `url`, `inbox`, and what it prints."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program, self.inbox, self.port = program, folder / "inbox", 0
        self.log, self.source = folder / "log", program.path

    def changed(self, inserted: dict[str, str]) -> None:
        """From its next start on it runs with these lines first in work(), as its user would change it."""
        line = WORK[self.program.language]
        text = self.source.read_text()
        assert line in text
        self.source = self.log.with_name(self.program.name)
        self.source.write_text(text.replace(line, line + inserted[self.program.language]))

    def start(self, **environment: str) -> "Running":
        words = command(self.program)
        port = self.port or _free_port()
        if self.program.language == "php":
            words += ["-S", f"127.0.0.1:{port}", str(self.source)]
        else:
            words += [str(self.source), str(port)]
        keys = {"HOTTOK": TOKEN, "WEBHOOK_SECRET": SECRET, "INBOX": str(self.inbox)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, env=os.environ | keys | environment, stdout=log, stderr=log
            )
        self.port, self.url = port, f"http://127.0.0.1:{port}/receiver"
        _until(self._listens)
        return self

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def worked_on(self, webhook_id: str) -> bool:
        names = (f"{webhook_id}.done", f"{webhook_id}.post.done")  # PHP's is the second
        return any((self.inbox / name).exists() for name in names)

    def wait_for(self, webhook_id: str) -> str:
        """What it has printed, once it has worked on the post."""
        _until(lambda: self.worked_on(webhook_id))
        return self.log.read_text()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "It did not come to be within 20 s."
        time.sleep(0.01)  # between two looks


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(params=RECEIVERS, ids=lambda program: program.label)
def running(request, tmp_path) -> Iterator[Running]:
    running = Running(request.param, tmp_path).start()
    yield running
    running.stop()


@pytest.fixture(params=Version.values)
def config(request, running, product) -> WebhookConfig:
    Token.objects.update_or_create(seller=product.owner, defaults={"value": TOKEN})
    return factories.make_config(product.owner, url=running.url, secret=SECRET, version=request.param)


@pytest.fixture(autouse=True)
def _fresh_transport():
    yield
    engine.forget_transport()


def headers(body: bytes, **others: str) -> dict[str, str]:
    made = posting.headers_for(
        "msg_1",
        body,
        token=TOKEN,
        secrets=[SECRET],
        timestamp=int(time.time()),
        content_type="application/json",
    )
    return made | others


BODY = json.dumps({"version": "2.0.0", "event": "PURCHASE_APPROVED", "data": {}}).encode()


def test_a_real_post_is_answered_and_worked_on_once(running, config, product):
    sale = factories.make_sale(product)
    engine.drain()
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts.get().status) == (State.DELIVERED, 200)
    assert sale.code in running.wait_for(delivery.webhook_id)

    delivery.reprocess()
    engine.drain()
    again = delivery.attempts.latest("pk")
    assert (again.status, bytes(again.response_body)) == (200, b"ok, I have it already")
    assert running.log.read_text().count(sale.code) == 1


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"X-HOTMART-HOTTOK": "another"}, "The token is wrong."),
        ({"webhook-signature": "v1,AAAA"}, "The signature is wrong."),
        ({"webhook-timestamp": "1700000000"}, "The webhook-timestamp is too old"),
        ({"webhook-id": "../../etc"}, "The webhook-id is missing."),
    ],
)
def test_what_is_not_ours_is_refused_and_not_kept(running, others, why):
    answer = requests.post(running.url, BODY, headers=headers(BODY, **others), timeout=10)
    assert answer.status_code == 401
    assert answer.text.startswith(why)
    assert not list(running.inbox.glob("*.post"))


def test_a_changed_body_is_refused(running):
    answer = requests.post(running.url, BODY + b" ", headers=headers(BODY), timeout=10)
    assert (answer.status_code, answer.text) == (401, "The signature is wrong.")


def test_one_right_signature_of_two_is_enough(running):
    two = "v1,b3RoZXI= " + headers(BODY)["webhook-signature"]
    answer = requests.post(running.url, BODY, headers=headers(BODY, **{"webhook-signature": two}), timeout=10)
    assert (answer.status_code, answer.text) == (200, "ok")


def test_while_the_token_is_rotated_both_are_taken(running):
    running.stop()
    running.start(HOTTOK=f"{TOKEN},the-next")
    for number, token in enumerate((TOKEN, "the-next")):
        made = posting.headers_for(
            f"msg_{number}", BODY, token=token, secrets=[SECRET], timestamp=int(time.time())
        )
        assert requests.post(running.url, BODY, headers=made, timeout=10).status_code == 200


def test_it_answers_first_and_works_later(running):
    running.stop()
    running.changed(WAITS_AT_THE_GATE)
    running.start()
    answer = requests.post(running.url, BODY, headers=headers(BODY), timeout=10)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert not running.worked_on("msg_1")
    (running.inbox / "gate").touch()
    assert running.wait_for("msg_1").count("PURCHASE_APPROVED") == 1


def test_what_failed_is_said_and_tried_again(running):
    running.stop()
    running.changed(FAILS_AT_THE_GATE)
    running.start()
    assert requests.post(running.url, BODY, headers=headers(BODY), timeout=10).status_code == 200
    _until(lambda: "The gate is shut." in running.log.read_text())
    assert not running.worked_on("msg_1")
    (running.inbox / "gate").touch()
    running.stop()
    running.start()
    if running.program.language == "php":  # it has no process of its own: the next post sets it going
        requests.post(running.url, BODY, headers=headers(BODY), timeout=10)
    assert running.wait_for("msg_1").count("PURCHASE_APPROVED") == 1


def test_what_was_kept_and_not_finished_is_taken_up_again(running):
    requests.post(running.url, BODY, headers=headers(BODY), timeout=10)
    running.wait_for("msg_1")
    running.stop()
    for path in running.inbox.glob("msg_1*.done"):
        path.unlink()  # as if it had been stopped right after its answer
    running.start()
    if running.program.language == "php":  # it has no process of its own: the next post sets it going
        requests.post(running.url, BODY, headers=headers(BODY), timeout=10)
    assert running.wait_for("msg_1").count("PURCHASE_APPROVED") == 2


@pytest.mark.parametrize("body", [b"x" * (1024 * 1024 + 1)], ids=["1 MiB and a byte"])
def test_what_is_too_long_is_refused(running, body):
    with suppress(requests.ConnectionError):  # it may hang up before all is sent, which says the same
        assert requests.post(running.url, body, headers=headers(body), timeout=10).status_code == 413
    assert not list(running.inbox.glob("*.post"))
    assert requests.post(running.url, BODY, headers=headers(BODY), timeout=10).status_code == 200


# Each prints True or false for a post on its standard input: the headers and the body, in base64, as JSON.
_TRY = {
    "python": "import json, sys; sys.path.insert(0, sys.argv[1]); from verify import verify; p = json.load(sys.stdin); "
    "print(verify(p['secret'], p['headers'], p['body'].encode()))",
    "javascript": "import(process.argv[1] + '/verify.mjs').then(({ verify }) => { const p = JSON.parse("
    "require('fs').readFileSync(0)); console.log(verify(p.secret, p.headers, Buffer.from(p.body))); })",
    "php": "require $argv[1] . '/verify.php'; $p = json_decode(stream_get_contents(STDIN), true); foreach ($p['headers'] "
    "as $n => $v) { $_SERVER['HTTP_' . strtoupper(strtr($n, '-', '_'))] = $v; } "
    "echo verify($p['secret'], $p['body']) ? 'true' : 'false';",
    "ruby": "require ARGV[0] + '/verify.rb'; require 'json'; p_ = JSON.parse($stdin.read); "
    "puts verify(p_['secret'], p_['headers'], p_['body'])",
}
_RUN = {"python": "-c", "javascript": "-e", "php": "-r", "ruby": "-e"}


@pytest.mark.parametrize("program", SNIPPETS, ids=lambda program: program.label)
def test_the_examples_tell_our_posts_from_others(program):
    body = "callback_type=1&name=João 漢字"
    made = headers(body.encode())

    def verified(body: str = body, **others: str) -> bool:
        post = json.dumps({"secret": SECRET, "headers": made | others, "body": body})
        words = [
            *command(program)[:1],
            _RUN[program.language],
            _TRY[program.language],
            str(program.path.parent),
        ]
        run = subprocess.run(words, input=post, capture_output=True, text=True, check=True)
        return {"true": True, "false": False}[run.stdout.strip().lower()]

    assert verified()
    assert verified(**{"webhook-signature": f"v1,b3RoZXI= {made['webhook-signature']}"})
    assert not verified(body + "x")
    assert not verified(**{"webhook-timestamp": "1700000000"})
    assert not verified(**{"webhook-id": "msg_2"})
