"""The lines of the log, by the formatters of the product's own settings."""

import json
import logging
import os
import re
import subprocess
import sys

import pytest
from django.conf import settings as product
from django.test import Client
from django.urls import reverse

from configurations.models import Token
from deliveries import engine
from deliveries.models import Delivery
from tests import factories
from tests.commands import ROOT, environment
from tests.receiver import Answer
from webhookhub.logs import About, Json, Plain

BOTH = pytest.mark.parametrize("formatter", [Plain(), Json()], ids=["plain", "json"])


def record(message: str, *args: object, **about: object) -> logging.LogRecord:
    made = logging.LogRecord("deliveries.engine", logging.WARNING, "engine.py", 1, message, args, None)
    made.__dict__.update(about)
    return made


def failed(error: Exception) -> logging.LogRecord:
    made = record("It failed.")
    try:
        raise error
    except Exception:
        made.exc_info = sys.exc_info()
    return made


class TestALine:
    def test_in_json_is_one_object_with_what_it_is_about(self):
        line = Json().format(
            record("Post %s.", "delivered", event="e1", delivery=7, attempt=2, configuration=3)
        )
        found = json.loads(line)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("time"))
        assert found == {
            "level": "WARNING", "logger": "deliveries.engine", "message": "Post delivered.",
            "event": "e1", "delivery": 7, "attempt": 2, "configuration": 3,
        }  # fmt: skip

    def test_in_plain_has_it_in_brackets(self):
        line = Plain().format(record("Post %s.", "delivered", delivery=7, attempt=2))
        assert line.partition(" ")[2] == "WARNING deliveries.engine: Post delivered. (delivery=7 attempt=2)"

    @BOTH
    def test_holds_nothing_that_was_not_meant_for_it(self, formatter):
        assert "hush" not in formatter.format(record("Fine.", body="hush", request="hush", buyer="hush"))

    @BOTH
    def test_of_a_batch_each_is_about_its_own_and_holds_as_little_else(self, formatter):
        each = [{"delivery": 7001, "buyer": "hush"}, {"delivery": 8001, "status": None}]
        text = formatter.format(record("Sent.", configuration=3001, each=each))
        abouts = [line.partition("Sent.")[2] for line in text.splitlines()]
        found = [[number for number in ("3001", "7001", "8001") if number in about] for about in abouts]
        assert found == [["3001", "7001"], ["3001", "8001"]]
        assert "hush" not in text
        assert "status" not in text

    @BOTH
    @pytest.mark.parametrize(
        "evil",
        ["a\nb", "a\r\nb", "a\x1b[31mb", "a\x00b", "a\x85b", "a\u2028b", "a\u202eb", "a\x7fb", "a\ud800b"],
        ids=ascii,
    )
    def test_is_one_line_whatever_came_from_outside(self, formatter, evil):
        for line in (
            formatter.format(record("The name is %s.", evil)),
            formatter.format(record("Fine.", host=evil)),
        ):
            assert len(line.splitlines()) == 1
            assert line.encode()
            assert not [c for c in line if ord(c) < 32 or 0x7F < ord(c) < 0xA0 or c in "\u2028\u202e\u001b"]

    def test_of_a_traceback_each_line_can_be_told_from_a_line_of_the_log(self):
        first, *rest = (
            Plain().format(failed(ValueError("x\n2026-01-01T00:00:00.000Z ERROR root: forged"))).splitlines()
        )
        assert first.endswith("It failed.")
        assert rest
        assert all(line.startswith("  | ") for line in rest)

    def test_of_a_traceback_json_has_the_lines_in_the_same_object(self):
        line = Json().format(failed(ValueError("x\nforged")))
        assert len(line.splitlines()) == 1
        assert json.loads(line)["traceback"][-2:] == ["ValueError: x", "forged"]

    @BOTH
    @pytest.mark.parametrize(
        ("text", "secret"),
        [
            ("DETAIL: Key (email)=(ana.maria+1@mail.example.com) exists", "ana.maria"),
            ("secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ"),
            ("no answer of https://ana:pa55@hooks.example.com/x", "pa55"),
            ("no answer of https://hooks.example.com/x?key=abc123&b=2", "abc123"),
            ("Not Found: /accounts/password/reset/key/1-c0ffee-beef/", "c0ffee"),
            ("Authorization: Bearer abc.def.123", "abc.def"),
            ("{'hottok': 'f00dfeed'}", "f00dfeed"),
            ("postgres://webhookhub:pa55word@db:5432/x password=pa55word", "password=pa55word"),
        ],
    )
    def test_is_blotted_where_a_library_repeats_a_secret_or_an_address(self, formatter, text, secret):
        assert secret not in formatter.format(record("Failed: %s", text))
        assert secret not in formatter.format(failed(ValueError(text)))


@pytest.fixture
def lines(caplog):
    """What the log would hold by now, at its most talkative."""
    caplog.set_level(logging.DEBUG)
    caplog.handler.addFilter(About())
    return lambda: [json.loads(Json().format(made)) for made in caplog.records]


@pytest.mark.django_db(transaction=True)
class TestAPost:
    @pytest.fixture(autouse=True)
    def _with_its_line(self, settings):
        settings.LOG_POSTS = True

    @pytest.fixture
    def config(self, receiver, producer):
        return factories.make_config(producer, url=f"{receiver.url}?key=abc123")

    def test_has_a_line_for_each_try_with_the_ids_to_find_it_by(self, config, product, receiver, lines):
        receiver.answers(503)
        factories.make_sale(product)
        engine.drain()
        receiver.answers(200)
        Delivery.objects.update(next_try_at=None)
        engine.drain()
        delivery = config.deliveries.get()
        first, second = [line for line in lines() if line["logger"] == "deliveries.post_log"]
        ids = {
            "event": str(delivery.event_id), "delivery": delivery.pk, "webhook_id": delivery.webhook_id,
            "configuration": config.pk, "host": "127.0.0.1",
        }  # fmt: skip
        assert ids.items() <= first.items()
        assert ids.items() <= second.items()
        assert (first["message"], first["attempt"], first["status"]) == ("Post not delivered.", 1, 503)
        assert (second["message"], second["attempt"], second["status"]) == ("Post delivered.", 2, 200)
        assert second["outcome"] == "delivered"
        assert first["ms"] >= 0

    def test_that_got_no_answer_says_why(self, product, lines):
        factories.make_config(product.owner, url="http://127.0.0.1:1/")
        factories.make_sale(product)
        engine.drain()
        [line] = [line for line in lines() if line["logger"] == "deliveries.post_log"]
        assert line["outcome"] == "refused"
        assert "status" not in line

    def test_can_be_left_out(self, config, product, lines, settings):
        settings.LOG_POSTS = False
        factories.make_sale(product)
        engine.drain()
        assert not [line for line in lines() if line["logger"] == "deliveries.post_log"]

    def test_leaves_no_secret_and_nothing_of_the_buyer_in_the_log(self, config, product, receiver, lines):
        receiver.answers(Answer(500, body=b"zuleika@buyer.example did it"))
        factories.make_sale(product, buyer_name="Zuleika Quixote", buyer_email="zuleika@buyer.example")
        engine.drain()
        text = json.dumps(lines())
        token = Token.of(config.owner).value
        for secret in ("Zuleika", "buyer.example", token, config.secret, config.secret[6:], "abc123"):
            assert secret not in text
        assert "post_log" in text


@pytest.mark.django_db
class TestARequest:
    def test_has_one_line_with_its_id_which_the_answer_has_too(self, producer, lines):
        client = Client()
        client.force_login(producer.user)
        answer = client.get(reverse("configurations:list"), {"q": "hush"})
        [line] = [line for line in lines() if line["logger"] == "webhookhub.requests"]
        assert line["request_id"] == answer.headers["X-Request-ID"]
        assert (line["method"], line["route"], line["status"]) == ("GET", "configurations:list", 200)
        assert line["user"] == producer.user.pk
        assert "hush" not in json.dumps(line)

    def test_takes_the_id_that_a_proxy_gives_and_no_other(self):
        def asked(given: str) -> str:
            return Client().get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"]

        assert asked("0123456789abcdef") == "0123456789abcdef"
        for strange in ("short", "x" * 65, "a b c d e f g h", "aaaaaaaa\nb", "<script>alert(1)</script>"):
            assert asked(strange) != strange
        assert asked("") != asked("")

    def test_of_a_password_reset_leaves_no_key_in_the_log(self, lines):
        Client().get("/accounts/password/reset/key/1-c0ffee-beefbeef/")
        Client().get("/accounts/password/reset/key/1-c0ffee-beefbeef/nowhere/at/all")
        assert "c0ffee" not in json.dumps(lines())

    def test_other_lines_in_it_carry_its_id(self, producer, lines):
        answer = Client().get("/no/such/page")
        about = {line["request_id"] for line in lines() if line["logger"] == "django.request"}
        assert about == {answer.headers["X-Request-ID"]}


@pytest.mark.django_db(transaction=True)
def test_a_process_writes_nothing_but_objects_where_json_is_set():
    environs = environment(LOG_FORMAT="json", BROKER_URL="redis://127.0.0.1:1/0")
    code = "import django; django.setup(); from deliveries import wake; wake.wake()"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environs, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    [line] = ran.stderr.splitlines()
    assert json.loads(line)["logger"] == "deliveries.wake"


def test_a_format_that_there_is_not_is_refused():
    ran = subprocess.run(
        [sys.executable, "manage.py", "check"], env=os.environ | {"LOG_FORMAT": "xml", "DEBUG": "True"}, cwd=ROOT,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode
    assert "LOG_FORMAT is 'xml': write plain or json." in ran.stderr


def test_the_settings_use_the_formatters():
    assert product.LOGGING["handlers"]["stderr"]["formatter"] == "plain"
    assert product.LOGGING["formatters"]["json"] == {"()": "webhookhub.logs.Json"}
