"""What a receiver sees of our keys: signatures that the published libraries verify, and rotations to the second."""

import json
import logging
import shutil
import subprocess
from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from standardwebhooks.webhooks import Webhook as StandardWebhook
from standardwebhooks.webhooks import WebhookVerificationError as StandardError
from svix.webhooks import Webhook as SvixWebhook
from svix.webhooks import WebhookVerificationError as SvixError

from configurations.models import Token, WebhookConfig
from deliveries import engine, posting, showing, tasks
from deliveries.contract import TOKEN_PLACEHOLDER
from deliveries.models import Delivery, State
from tests import factories
from tests.receiver import Answer, Post

pytestmark = pytest.mark.django_db

LIBRARIES = [
    pytest.param(StandardWebhook, StandardError, id="standardwebhooks"),
    pytest.param(SvixWebhook, SvixError, id="svix"),
]


def verifies(library, refused, secret: str, post: Post) -> bool:
    try:
        library(secret).verify(post.body, post.headers)
    except refused:
        return False
    return True


def set_back(row, **spans) -> None:
    """Times of the row become longer ago: set_back(token, rotates_at=timedelta(hours=1))."""
    type(row).objects.filter(pk=row.pk).update(**{name: F(name) - span for name, span in spans.items()})


@pytest.fixture
def token(config) -> Token:
    return Token.of(config.owner)


# --- Signatures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("library", "refused"), LIBRARIES)
def test_every_try_verifies_with_the_published_libraries(receiver, config, sell, clock, library, refused):
    receiver.answers(500, 503, 200)
    delivery = sell()
    for _ in range(3):
        engine.drain()
        clock.forward(hours=1)
    delivery.refresh_from_db()
    delivery.reprocess()
    engine.drain()
    assert len(receiver.posts) == 4
    assert all(verifies(library, refused, config.secret, post) for post in receiver.posts)
    changed = Post("", receiver.posts[0].headers, receiver.posts[0].body + b" ")
    assert not verifies(library, refused, config.secret, changed)


def test_id_and_body_are_the_same_over_all_tries_and_a_reprocess(receiver, config, sell, clock):
    receiver.answers(500, 200)
    delivery = sell()
    engine.drain()
    clock.forward(hours=1)
    engine.drain()
    delivery.refresh_from_db()
    delivery.reprocess()
    engine.drain()
    first, second, third = receiver.posts
    assert first.body == second.body == third.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]


def test_each_try_is_signed_for_its_own_time(receiver, config, sell):
    delivery = sell()
    engine.drain()
    [post] = receiver.posts
    assert abs(int(post.headers["webhook-timestamp"]) - timezone.now().timestamp()) < 60
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED


def test_a_form_verifies_with_svix(receiver, config, product):
    """standardwebhooks parses JSON, so it takes no form."""
    type(config).objects.filter(pk=config.pk).update(version="1.0.0")
    factories.make_sale(product)
    engine.drain()
    [post] = receiver.posts
    assert post.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"
    assert parse_qs(post.body.decode())["hottok"] == [post.headers["x-hotmart-hottok"]]
    SvixWebhook(config.secret).verify(post.body, post.headers)


NODE = """
const { Webhook } = require("standardwebhooks");
const { secret, posts } = JSON.parse(require("fs").readFileSync(0, "utf8"));
for (const { headers, body } of posts) new Webhook(secret).verify(body, headers);
let refused = false;
try { new Webhook(secret).verify(posts[0].body + " ", posts[0].headers); } catch { refused = true; }
console.log(refused ? "ok" : "a changed body was taken");
"""


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory):
    """A folder with Node's own library in it; the test is skipped where there is no Node or no registry."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip(
            "There is no Node: its library checks no signature here (Debian: apt install nodejs npm)."
        )
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true}')
    command = [
        "npm",
        "install",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "standardwebhooks@1",
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("npm does not answer: Node's library checks no signature here.")
    if done.returncode:
        pytest.skip(f"npm cannot install standardwebhooks: {done.stderr.strip()[-300:]}")
    return folder


def test_the_library_of_node_verifies_too(receiver, config, sell, node_modules):
    sell()
    engine.drain()
    posts = [{"headers": post.headers, "body": post.body.decode()} for post in receiver.posts]
    done = subprocess.run(
        ["node", "-e", NODE],
        cwd=node_modules,
        input=json.dumps({"secret": config.secret, "posts": posts}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.returncode) == ("ok", 0), done.stderr


# --- Rotating the secret -------------------------------------------------------------------------------


@pytest.mark.parametrize(("library", "refused"), LIBRARIES)
def test_both_secrets_verify_for_a_day_and_then_the_new_one_alone(receiver, config, sell, library, refused):
    old = config.secret
    sell()
    engine.drain()
    config.rotate_secret()
    sell()
    engine.drain()
    set_back(config, previous_secret_until=timedelta(hours=24))
    sell()
    engine.drain()
    before, during, after = receiver.posts
    seen = {
        name: [verifies(library, refused, secret, post) for post in (before, during, after)]
        for name, secret in (("old", old), ("new", config.secret))
    }
    assert seen == {"old": [True, True, False], "new": [False, True, True]}


def test_signatures_stand_one_space_apart_the_newest_first(receiver, config, sell):
    config.rotate_secret()
    sell()
    engine.drain()
    [post] = receiver.posts
    newest, *older = post.headers["webhook-signature"].split(" ")
    alone = Post("", post.headers | {"webhook-signature": newest}, post.body)
    assert verifies(StandardWebhook, StandardError, config.secret, alone)
    assert len(older) == 1


def test_a_try_after_a_rotation_is_signed_with_the_new_secret(receiver, config, sell, clock):
    receiver.answers(500, 200)
    sell()
    engine.drain()
    config.rotate_secret()
    set_back(config, previous_secret_until=timedelta(hours=24))
    clock.forward(hours=1)
    engine.drain()
    StandardWebhook(config.secret).verify(receiver.posts[1].body, receiver.posts[1].headers)
    assert receiver.posts[0].body == receiver.posts[1].body


def test_the_sweep_forgets_the_old_secret(config, clean_queue):
    config.rotate_secret()
    set_back(config, previous_secret_until=timedelta(hours=24))
    tasks.sweep()
    config.refresh_from_db()
    assert config.previous_secret is None


# --- The token -----------------------------------------------------------------------------------------


def test_a_rotation_takes_place_at_its_second_before_any_sweep(receiver, token, sell):
    sell()
    token.rotate(timezone.now() + timedelta(hours=1))
    old, planned = token.value, token.next_value
    engine.drain()
    set_back(token, rotates_at=timedelta(hours=1))
    sell()
    engine.drain()
    assert [post.headers["x-hotmart-hottok"] for post in receiver.posts] == [old, planned]


def test_a_rotation_within_a_batch_takes_place_in_its_midst(token, sell, monkeypatch):
    """The keys of a batch are read once, and hold both."""
    delivery = sell()
    token.rotate(timezone.now() + timedelta(seconds=10))
    keys = posting.Keys.of([delivery])
    before = keys.token_of(delivery.owner_id)
    now = posting.time.monotonic()
    monkeypatch.setattr(posting.time, "monotonic", lambda: now + 11)
    assert (before, keys.token_of(delivery.owner_id)) == (token.value, token.next_value)


def test_the_end_of_the_overlap_within_a_batch_takes_place_in_its_midst(config, sell, monkeypatch):
    delivery = sell()
    config.rotate_secret()
    keys = posting.Keys.of([delivery])
    before = keys.secrets_of(config.pk)
    now = posting.time.monotonic()
    monkeypatch.setattr(
        posting.time, "monotonic", lambda: now + timedelta(hours=24, seconds=1).total_seconds()
    )
    assert before == (config.secret, config.previous_secret)
    assert keys.secrets_of(config.pk) == (config.secret,)


def test_the_header_alone_holds_the_token_unless_the_body_is_asked_to(receiver, config, token, sell):
    sell()
    engine.drain()
    [post] = receiver.posts
    assert token.value.encode() not in post.body
    assert "hottok" not in json.loads(post.body)


def test_where_it_is_asked_for_the_body_holds_the_token_too(receiver, config, token, product):
    type(config).objects.filter(pk=config.pk).update(token_in_body=True)
    sale = factories.make_sale(product)
    engine.drain()
    [post] = receiver.posts
    assert json.loads(post.body)["hottok"] == token.value == post.headers["x-hotmart-hottok"]
    StandardWebhook(config.secret).verify(post.body, post.headers)
    kept = config.deliveries.get(event__sale=sale).body
    assert token.value not in kept
    assert TOKEN_PLACEHOLDER.decode() in kept


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_after_a_rotation_the_body_is_the_same_but_for_the_token(
    receiver, config, token, product, clock, version
):
    type(config).objects.filter(pk=config.pk).update(token_in_body=True, version=version)
    receiver.answers(500, 200)
    factories.make_sale(product)
    engine.drain()
    old = token.value
    token.rotate()
    clock.forward(hours=1)
    engine.drain()
    first, second = receiver.posts
    assert old.encode() in first.body
    assert first.body.replace(old.encode(), token.value.encode()) == second.body
    SvixWebhook(config.secret).verify(second.body, second.headers)


def test_a_buyer_named_like_the_placeholder_gets_no_token_into_the_body(receiver, config, token, product):
    type(config).objects.filter(pk=config.pk).update(token_in_body=True)
    factories.make_sale(product, buyer_name=f"Eve {TOKEN_PLACEHOLDER.decode()}")
    engine.drain()
    [post] = receiver.posts
    assert post.body.count(token.value.encode()) == 1


def test_each_seller_posts_with_the_own_token(receiver, config, product):
    affiliate = factories.make_seller()
    theirs = factories.make_config(affiliate, url=receiver.url)
    factories.make_sale(product, affiliate=affiliate)
    engine.drain()
    tokens = {post.headers["x-hotmart-hottok"] for post in receiver.posts}
    assert tokens == {Token.of(config.owner).value, Token.of(theirs.owner).value}
    assert len(tokens) == 2


# --- Secrets stay where they belong --------------------------------------------------------------------


def test_the_command_has_the_token_as_a_variable_in_header_and_body_and_its_signature_holds(
    receiver, config, token, product
):
    type(config).objects.filter(pk=config.pk).update(token_in_body=True)
    factories.make_sale(product)
    engine.drain()
    delivery = Delivery.objects.select_related("config", "event").get()
    command = showing.curl(delivery).text
    assert token.value not in command
    assert config.secret not in command
    done = subprocess.run(
        ["bash", "-c", command],
        env={"HOTTOK": token.value, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 0
    sent, again = receiver.posts
    assert again.body == sent.body
    SvixWebhook(config.secret).verify(again.body, again.headers)


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_the_history_shows_the_token_of_the_body_masked(receiver, config, token, product, version):
    type(config).objects.filter(pk=config.pk).update(token_in_body=True, version=version)
    factories.make_sale(product)
    engine.drain()
    shown = showing.payload(Delivery.objects.get())
    for text in (shown.text, shown.html):
        assert "hottok" in text
        assert "••••" in text
        assert TOKEN_PLACEHOLDER.decode() not in text
        assert token.value not in text


def test_a_receiver_that_answers_with_the_token_does_not_get_it_into_the_history(receiver, token, sell):
    receiver.answers(Answer(200, f"You sent {token.value}".encode(), {"X-Echo": token.value}))
    delivery = sell()
    engine.drain()
    attempt = delivery.attempts.get()
    assert bytes(attempt.response_body).decode() == "You sent ••••"
    assert dict(attempt.response_headers)["X-Echo"] == "••••"


def test_no_page_no_log_and_no_stored_row_holds_a_secret_or_a_token(
    receiver, config, token, product, caplog, django_user_model
):
    caplog.set_level(logging.DEBUG)
    type(config).objects.filter(pk=config.pk).update(token_in_body=True)
    config.rotate_secret()
    token.rotate(timezone.now() + timedelta(hours=1))
    receiver.answers(500, 200)
    sales = [factories.make_sale(product), factories.make_sale(product)]
    engine.drain()
    keys = [config.secret, config.previous_secret, token.value, token.next_value]
    places = {"log": caplog.text}
    for name, who, address in _pages(config, sales):
        client = Client()
        client.force_login(who)
        answer = client.get(address)
        assert answer.status_code == 200, address
        places[name] = answer.content.decode()
    for model in (Delivery, WebhookConfig, Token):
        places[model.__name__] = repr([str(row) for row in model.objects.all()])
    stored = Delivery.objects.values_list(
        "body", "attempts__request_headers", "attempts__url", "attempts__detail"
    )
    places["stored"] = repr(list(stored))
    assert len(stored) == 2
    found = [(name, key) for name, content in places.items() for key in keys if key in content]
    assert found == []


def _pages(config, sales):
    """(name, user, address) of every page that tells of a configuration or of a post."""
    owner, staff = config.owner.user, factories.make_staff()
    for name in ("edit", "remove", "secret", "rotate_secret", "added"):
        yield name, owner, reverse(f"configurations:{name}", args=[config.pk])
    for name in ("list", "add", "token", "rotate_token"):
        yield name, owner, reverse(f"configurations:{name}")
    yield "history", owner, reverse("deliveries:history")
    for delivery in config.deliveries.all():
        page = reverse("deliveries:detail", args=[delivery.pk])
        for tab in ("payload", "response", "headers", "curl"):
            yield f"{tab} of {delivery.pk}", owner, f"{page}?tab={tab}"
        yield f"curl of {delivery.pk} alone", owner, reverse("deliveries:curl", args=[delivery.pk])
        yield f"staff's {delivery.pk}", staff, reverse("admin:deliveries_delivery_change", args=[delivery.pk])
        for attempt in delivery.attempts.all():
            address = reverse("admin:deliveries_deliveryattempt_change", args=[attempt.pk])
            yield f"staff's attempt {attempt.pk}", staff, address
    yield (
        "staff's configuration",
        staff,
        reverse("admin:configurations_webhookconfig_change", args=[config.pk]),
    )
    yield "staff's configurations", staff, reverse("admin:configurations_webhookconfig_changelist")
    yield "staff's token", staff, reverse("admin:configurations_token_change", args=[config.owner.token.pk])
    yield "staff's tokens", staff, reverse("admin:configurations_token_changelist")
