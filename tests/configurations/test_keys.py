"""Secret and token: masked, shown to who types the password again, rotated."""

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from configurations import guard
from configurations.models import OVERLAP, State, Token, WebhookConfig
from tests.factories import PASSWORD, make_config, make_seller, make_staff

pytestmark = pytest.mark.django_db

TOKEN = reverse("configurations:token")
ROTATE_TOKEN = reverse("configurations:rotate_token")
KEEP_TOKEN = reverse("configurations:keep_token")
ADD = reverse("configurations:add")
FIELDS = {
    "url": "https://example.com/hook",
    "events": ["PURCHASE_APPROVED"],
    "scope": "all",
    "version": "2.0.0",
}


@pytest.fixture(autouse=True)
def _no_tries_counted():
    """Of passwords: the counts are in the cache, by the user's id, which tests share."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client(producer) -> Client:
    client = Client()
    client.force_login(producer.user)
    return client


@pytest.fixture
def config(producer) -> WebhookConfig:
    return make_config(producer, name="Members area")


@pytest.fixture
def token(producer) -> Token:
    return Token.of(producer)


def url(name, config):
    return reverse(f"configurations:{name}", args=[config.pk])


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def local(at) -> str:
    """As it is typed into the field, in the seller's zone."""
    return f"{timezone.localtime(at, ZoneInfo('America/Sao_Paulo')):%Y-%m-%dT%H:%M}"


def back(row, *names, **span) -> None:
    """Set times of the row back, as if they were longer ago."""
    type(row).objects.filter(pk=row.pk).update(**{name: F(name) - timedelta(**span) for name in names})
    row.refresh_from_db()


# --- Shown on demand -----------------------------------------------------------------------------------


def test_the_secret_is_masked_until_the_password_is_typed(client, config):
    page = client.get(url("secret", config))
    assert config.masked_secret in text(page)
    assert config.secret not in page.content.decode()
    shown = client.post(url("secret", config), {"password": PASSWORD})
    assert shown.status_code == 200
    assert config.secret in text(shown)
    assert 'data-copy="#secret"' in shown.content.decode()
    assert config.secret not in client.get(url("secret", config)).content.decode()


def test_the_token_is_masked_until_the_password_is_typed(client, token):
    page = client.get(TOKEN)
    assert f"••••{token.value[-4:]}" in text(page)
    assert token.value not in page.content.decode()
    assert token.value in text(client.post(TOKEN, {"password": PASSWORD}))


@pytest.mark.parametrize("password", ["", "wrong"])
def test_without_the_right_password_nothing_is_shown(client, config, token, password):
    for page, key in ((url("secret", config), config.secret), (TOKEN, token.value)):
        answer = client.post(page, {"password": password})
        assert answer.status_code == 422
        assert key not in answer.content.decode()
        assert 'id="id_password_error"' in answer.content.decode()


def test_a_password_typed_just_now_is_not_asked_for_again_and_later_it_is(client, config, monkeypatch):
    client.post(url("secret", config), {"password": PASSWORD})
    assert 'type="password"' not in client.get(url("secret", config)).content.decode()
    assert config.secret in text(client.post(url("secret", config)))
    monkeypatch.setattr(guard, "WINDOW", 0)
    answer = client.post(url("secret", config))
    assert answer.status_code == 422
    assert config.secret not in answer.content.decode()


def test_passwords_cannot_be_guessed_here(client, config):
    answers = [client.post(url("secret", config), {"password": f"guess-{n}"}) for n in range(12)]
    assert answers[-1].status_code == 429 or "Too many" in text(answers[-1])
    assert config.secret not in client.post(url("secret", config), {"password": PASSWORD}).content.decode()


def test_the_password_of_another_opens_nothing(client, config):
    other = make_seller()
    other.user.set_password("another-long-one")
    other.user.save()
    assert client.post(url("secret", config), {"password": "another-long-one"}).status_code == 422


def test_a_key_page_is_kept_nowhere_and_holds_no_key_in_its_address_or_title(client, config):
    answer = client.post(url("secret", config), {"password": PASSWORD})
    assert "no-store" in answer["Cache-Control"]
    [title] = re.findall(r"<title>(.*?)</title>", answer.content.decode(), re.DOTALL)
    assert config.secret not in title
    assert config.secret not in answer.request["PATH_INFO"] + answer.request["QUERY_STRING"]


def test_after_adding_the_secret_and_the_token_are_shown_once(client, producer):
    page = client.post(ADD, FIELDS, follow=True)
    config, token = WebhookConfig.objects.get(), Token.objects.get(seller=producer)
    assert config.secret in text(page)
    assert token.value in text(page)
    again = client.get(url("added", config))
    assert config.masked_secret in text(again)
    assert config.secret not in again.content.decode()
    assert token.value not in again.content.decode()


def test_the_form_of_a_configuration_leads_to_its_secret_and_to_the_token(client, config, token):
    page = client.get(url("edit", config)).content.decode()
    assert url("secret", config) in page
    assert TOKEN in page
    assert config.masked_secret in page
    assert config.secret not in page
    assert token.value not in page


def test_the_token_in_the_body_is_asked_for_under_advanced(client, config):
    page = client.get(url("edit", config)).content.decode()
    assert re.search(r"<details[^>]*>\s*<summary>Advanced", page)
    client.post(url("edit", config), FIELDS | {"token_in_body": "on"})
    config.refresh_from_db()
    assert config.token_in_body
    assert re.search(
        r"<details[^>]* open>\s*<summary>Advanced", client.get(url("edit", config)).content.decode()
    )


def test_a_limit_of_posts_per_second_is_asked_for_under_advanced(client, config):
    client.post(url("edit", config), FIELDS | {"posts_per_second": "20"})
    config.refresh_from_db()
    assert config.posts_per_second == 20
    page = client.get(url("edit", config)).content.decode()
    assert re.search(r"<details[^>]* open>\s*<summary>Advanced", page)
    page = client.post(url("edit", config), FIELDS | {"posts_per_second": "0"}).content.decode()
    assert "greater than or equal to 1" in page
    client.post(url("edit", config), FIELDS | {"posts_per_second": ""})
    config.refresh_from_db()
    assert config.posts_per_second is None


# --- Whose ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["secret", "rotate_secret", "added"])
@pytest.mark.parametrize("method", ["get", "post"])
def test_a_strangers_secret_is_not_there(client, name, method):
    config = make_config()
    before = config.secret
    answer = getattr(client, method)(url(name, config), {"password": PASSWORD})
    assert answer.status_code in (404, 405)
    config.refresh_from_db()
    assert config.secret == before


def test_a_stranger_sees_and_rotates_the_own_token_alone(client, token):
    stranger = make_seller()
    client.force_login(stranger.user)
    assert token.value not in client.post(TOKEN, {"password": PASSWORD}).content.decode()
    client.post(ROTATE_TOKEN, {"when": "now"})
    before = token.value
    token.refresh_from_db()
    assert token.value == before


@pytest.mark.parametrize("address", [TOKEN, ROTATE_TOKEN, KEEP_TOKEN])
def test_without_a_login_every_key_page_leads_to_the_login(address):
    for answer in (Client().get(address), Client().post(address)):
        assert answer.status_code == 405 or answer.url.startswith(reverse("account_login"))


@pytest.mark.parametrize("address", [TOKEN, ROTATE_TOKEN])
def test_staff_who_sell_nothing_have_no_token(address):
    client = Client()
    client.force_login(make_staff())
    assert "This login belongs to no seller" in text(client.get(address))
    assert client.post(KEEP_TOKEN).status_code == 200
    assert not Token.objects.exists()


def test_the_secret_of_a_removed_configuration_is_not_there(client, producer):
    config = make_config(producer, state=State.REMOVED)
    assert client.get(url("secret", config)).status_code == 404
    assert not config.rotate_secret()


# --- Rotating the secret -------------------------------------------------------------------------------


def test_the_page_says_what_breaks_and_until_when_the_old_secret_signs(client, config):
    page = client.get(url("rotate_secret", config))
    words = text(page)
    assert "A new secret signs each post at once." in words
    assert "The old one signs too until" in words
    assert 'type="password"' in page.content.decode()
    before = config.secret
    config.refresh_from_db()
    assert config.secret == before


def test_rotating_asks_for_the_password(client, config):
    before = config.secret
    assert client.post(url("rotate_secret", config), {"password": "wrong"}).status_code == 422
    config.refresh_from_db()
    assert config.secret == before


def test_a_rotation_makes_a_new_secret_and_keeps_the_old_one_for_a_day(client, config):
    old = config.secret
    answer = client.post(url("rotate_secret", config), {"password": PASSWORD}, follow=True)
    config.refresh_from_db()
    assert config.previous_secret == old
    assert config.secret != old
    assert abs(config.previous_secret_until - timezone.now() - OVERLAP) < timedelta(minutes=1)
    assert "There is a new secret." in text(answer)
    assert "the secret from before the rotation signs too" in text(answer)
    assert config.secret not in answer.content.decode()


def test_a_second_press_does_not_throw_the_old_secret_away(client, config):
    old = config.secret
    client.post(url("rotate_secret", config), {"password": PASSWORD})
    answer = client.post(url("rotate_secret", config), follow=True)
    config.refresh_from_db()
    assert config.previous_secret == old
    assert "nothing was changed" in text(answer)
    assert "Rotate</button>" not in client.get(url("rotate_secret", config)).content.decode()


def test_after_a_day_the_secret_can_be_rotated_again_and_the_old_one_is_forgotten(config):
    config.rotate_secret()
    assert WebhookConfig.objects.forget_old_secrets() == 0
    back(config, "previous_secret_until", hours=24)
    second = config.secret
    assert WebhookConfig.objects.forget_old_secrets() == 1
    config.refresh_from_db()
    assert (config.previous_secret, config.previous_secret_until) == (None, None)
    assert config.rotate_secret()
    assert config.previous_secret == second


def test_an_edit_that_was_open_meanwhile_keeps_the_new_secret(client, config):
    stale = WebhookConfig.objects.get(pk=config.pk)
    config.rotate_secret()
    client.post(url("edit", stale), FIELDS)
    before = config.secret
    config.refresh_from_db()
    assert config.secret == before


# --- Rotating the token --------------------------------------------------------------------------------


def test_rotating_at_once_replaces_the_token_and_says_what_to_do(client, token):
    old = token.value
    answer = client.post(ROTATE_TOKEN, {"when": "now", "password": PASSWORD}, follow=True)
    token.refresh_from_db()
    assert token.value != old
    assert token.next_value is None
    assert "enter it at your receivers now" in text(answer)


def test_a_rotation_can_be_set_to_a_time_and_the_next_token_is_seen_before(client, token):
    old, at = token.value, timezone.now() + timedelta(days=1)
    client.post(ROTATE_TOKEN, {"when": "later", "at": local(at), "password": PASSWORD})
    token.refresh_from_db()
    assert token.value == old
    assert local(token.rotates_at) == local(at)
    page = client.get(TOKEN)
    assert "the next token takes its place" in text(page)
    assert token.next_value not in page.content.decode()
    assert token.next_value in text(client.post(TOKEN, {"password": PASSWORD}))


def test_the_time_is_that_of_the_sellers_zone(client, producer, token):
    producer.time_zone = "Asia/Kolkata"
    producer.save()
    at = (timezone.now() + timedelta(days=2)).replace(second=0, microsecond=0)
    typed = f"{at + timedelta(hours=5, minutes=30):%Y-%m-%dT%H:%M}"
    assert "Asia/Kolkata" in text(client.get(ROTATE_TOKEN))
    client.post(ROTATE_TOKEN, {"when": "later", "at": typed, "password": PASSWORD})
    token.refresh_from_db()
    assert token.rotates_at == at


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("", "Choose the time, or at once."),
        (timedelta(minutes=-5), "This time has passed"),
        (timedelta(days=91), "within the next 90 days"),
        ("tomorrow", "Enter a valid date/time."),
    ],
)
def test_a_time_that_cannot_be_is_refused_in_words(client, token, at, words):
    typed = at if isinstance(at, str) else local(timezone.now() + at)
    answer = client.post(ROTATE_TOKEN, {"when": "later", "at": typed, "password": PASSWORD})
    assert answer.status_code == 422
    assert words in text(answer)
    assert 'type="password"' not in answer.content.decode()  # it was right
    before = token.value
    token.refresh_from_db()
    assert (token.value, token.rotates_at) == (before, None)


def test_a_rotation_without_the_password_is_none(client, token):
    answer = client.post(ROTATE_TOKEN, {"when": "now", "password": "wrong"})
    assert answer.status_code == 422
    before = token.value
    token.refresh_from_db()
    assert token.value == before


def test_only_one_rotation_is_set_at_a_time(client, token):
    token.rotate(timezone.now() + timedelta(hours=1))
    planned = token.next_value
    assert "Rotate</button>" not in client.get(ROTATE_TOKEN).content.decode()
    answer = client.post(ROTATE_TOKEN, {"when": "now", "password": PASSWORD}, follow=True)
    assert "A rotation is set already" in text(answer)
    before = token.value
    token.refresh_from_db()
    assert (token.value, token.next_value) == (before, planned)


def test_a_rotation_that_is_set_can_be_called_off(client, token):
    old = token.value
    token.rotate(timezone.now() + timedelta(hours=1))
    answer = client.post(KEEP_TOKEN, follow=True)
    assert "called off" in text(answer)
    token.refresh_from_db()
    assert (token.value, token.next_value, token.rotates_at) == (old, None, None)
    assert "There is no rotation to call off" in text(client.post(KEEP_TOKEN, follow=True))


def test_a_rotation_whose_time_has_come_cannot_be_called_off(token):
    token.rotate(timezone.now() + timedelta(hours=1))
    planned = token.next_value
    back(token, "rotates_at", hours=1)
    assert not token.keep()
    assert Token.of(token.seller).value == planned


def test_the_page_shows_the_token_in_force_from_its_second_on(client, token):
    token.rotate(timezone.now() + timedelta(hours=1))
    planned = token.next_value
    back(token, "rotates_at", hours=1)
    page = client.get(TOKEN)
    assert f"••••{planned[-4:]}" in text(page)
    assert "Next token" not in text(page)


def test_the_sweep_lets_go_of_what_was_replaced(token):
    token.rotate(timezone.now() + timedelta(hours=1))
    planned = token.next_value
    assert Token.objects.settle() == 0
    back(token, "rotates_at", hours=1)
    at = token.rotates_at
    assert Token.objects.settle() == 1
    token.refresh_from_db()
    assert (token.value, token.rotated_at, token.next_value, token.rotates_at) == (planned, at, None, None)


def test_the_pages_hold_no_inline_script_or_style(client, config, token):
    pages = [client.get(address) for address in (TOKEN, ROTATE_TOKEN)]
    pages += [client.get(url(name, config)) for name in ("secret", "rotate_secret", "added", "edit")]
    for page in pages:
        assert page.status_code == 200
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page.content.decode())
