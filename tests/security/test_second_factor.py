"""The second factor: set up, asked for, lost; required of staff; each code once, and no way around it."""

import re
import time

import pytest
from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from configurations import encryption
from sales.models import Session
from tests import factories
from tests.factories import PASSWORD
from tests.security import production

pytestmark = pytest.mark.django_db

LOGIN, CODE = reverse("account_login"), "/accounts/second-factor/sign-in/"
SET_UP, SWITCH_OFF = "/accounts/second-factor/set-up/", "/accounts/second-factor/switch-off/"
RECOVERY = "/accounts/second-factor/recovery-codes/"
NEWER = "bmV3LW9uZS1mb3ItdGhlLXRlc3RzLW9mLXRvZGF5LTA="


@pytest.fixture(autouse=True)
def _nothing_counted(monkeypatch):
    # A test's transaction never commits: what waits for that is done at once, within the request as ever.
    monkeypatch.setattr("django.db.transaction.on_commit", lambda do, **_: do())
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def now(monkeypatch):
    """A clock to set; it is the middle of a code's time."""
    clock = [time.time() // 30 * 30 + 15]
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time.time", lambda: clock[0])
    return clock


def code_of(secret: str, at: float) -> str:
    return format_hotp_value(hotp_value(secret, int(at) // app_settings.TOTP_PERIOD))


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def sign_in(user, client=None) -> Client:
    client = client or Client()
    client.answer = client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    return client


def is_in(client) -> bool:
    return client.get("/account/").status_code == 200


def confirm(client) -> None:
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})


def set_up(client, at: float) -> tuple[str, list[str]]:
    """The key and the recovery codes."""
    confirm(client)
    secret = client.get(SET_UP).context["form"].secret
    answer = client.post(SET_UP, {"code": code_of(secret, at)})
    assert answer.url == RECOVERY
    return secret, list(client.get(RECOVERY).context["unused_codes"])


@pytest.fixture
def user(producer):
    return producer.user


@pytest.fixture
def guarded(user, now):
    """A user with a second factor: (user, secret, recovery codes). A minute has passed since it was set up."""
    secret, codes = set_up(sign_in(user), now[0])
    now[0] += 300
    cache.clear()
    return user, secret, codes


# --- Set up -------------------------------------------------------------------------------------------


def test_a_seller_sets_it_up_from_the_account_page(user, now, mailoutbox):
    client = sign_in(user)
    assert SET_UP in client.get("/account/").content.decode()
    assert client.get(SET_UP).url.startswith("/accounts/reauthenticate/")  # the password first
    confirm(client)
    page = client.get(SET_UP)
    secret = page.context["form"].secret
    html = page.content.decode()
    assert "<svg" in html
    assert "data:" not in html
    assert secret in html
    assert "This code is not right" in text(client.post(SET_UP, {"code": "000000"}))
    assert not Authenticator.objects.exists()
    assert client.post(SET_UP, {"code": code_of(secret, now[0])}).url == RECOVERY
    assert "Recovery codes" in text(client.get(RECOVERY))
    assert "On" in text(client.get("/account/"))
    assert [mail.to for mail in mailoutbox] == [[user.email]]
    assert "second factor" in mailoutbox[0].subject


def test_what_is_stored_is_encrypted_with_our_key(guarded):
    _user, secret, codes = guarded
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in stored
    assert not any(code in stored for code in codes)
    data = Authenticator.objects.get(type="totp").data
    assert encryption.decrypt(data["secret"]) == secret


def test_a_new_key_encrypts_it_anew_and_it_still_works(guarded, settings, now):
    user, secret, _codes = guarded
    before = Authenticator.objects.get(type="totp").data["secret"]
    settings.FIELD_ENCRYPTION_KEYS = [NEWER, *settings.FIELD_ENCRYPTION_KEYS]
    call_command("rotate_keys", verbosity=0)
    settings.FIELD_ENCRYPTION_KEYS = [NEWER]
    assert Authenticator.objects.get(type="totp").data["secret"] != before
    client = sign_in(user)
    client.post(CODE, {"code": code_of(secret, now[0])})
    assert is_in(client)


# --- Sign in ------------------------------------------------------------------------------------------


def test_the_password_alone_is_not_enough(guarded):
    client = sign_in(guarded[0])
    assert client.answer.url == CODE
    assert not is_in(client)
    assert client.get("/tools/webhook/history/").status_code == 302
    assert "Your code, please" in text(client.get(CODE))


def test_a_code_signs_in_and_the_session_gets_a_new_key(guarded, now):
    user, secret, _codes = guarded
    client = sign_in(user)
    before = client.session.session_key
    answer = client.post(CODE, {"code": code_of(secret, now[0])})
    assert answer.url == reverse("configurations:list")
    assert is_in(client)
    assert client.session.session_key != before


def test_without_the_password_no_code_is_asked_for(guarded, now):
    client = Client()
    assert client.get(CODE).url == LOGIN
    assert client.post(CODE, {"code": code_of(guarded[1], now[0])}).url == LOGIN
    assert not is_in(client)


@pytest.mark.parametrize(
    ("late", "accepted"), [(-30, True), (0, True), (30, True), (-61, False), (61, False)]
)
def test_a_code_is_good_half_a_minute_around_its_time(guarded, now, late, accepted):
    user, secret, _codes = guarded
    client = sign_in(user)
    client.post(CODE, {"code": code_of(secret, now[0] + late)})
    assert is_in(client) == accepted


@pytest.mark.parametrize("later", [0, 29, 40])
def test_a_code_is_good_once(guarded, now, later):
    user, secret, _codes = guarded
    code = code_of(secret, now[0])
    sign_in(user).post(CODE, {"code": code})
    now[0] += later
    second = sign_in(user)
    answer = second.post(CODE, {"code": code})
    assert "was used already" in text(answer)
    assert not is_in(second)
    spaced = second.post(CODE, {"code": f" {code[:3]} {code[3:]} "})
    assert "was used already" in text(spaced)


def test_the_code_that_set_it_up_signs_nobody_in(user, now):
    secret, _codes = set_up(sign_in(user), now[0])
    thief = sign_in(user)
    thief.post(CODE, {"code": code_of(secret, now[0])})
    assert not is_in(thief)


def test_wrong_codes_lock_and_a_right_one_does_not_help_then(guarded, now):
    user, secret, _codes = guarded
    client = sign_in(user)
    for n in range(5):
        client.post(CODE, {"code": f"{n:06}"})
    answer = client.post(CODE, {"code": code_of(secret, now[0])})
    assert "Too many wrong codes" in text(answer)
    other = sign_in(user)  # nor from another browser, at another address
    other.defaults["REMOTE_ADDR"] = "198.51.100.7"
    assert "Too many wrong codes" in text(other.post(CODE, {"code": code_of(secret, now[0])}))
    assert not is_in(other)


def test_a_recovery_code_signs_in_once(guarded):
    user, _secret, codes = guarded
    client = sign_in(user)
    client.post(CODE, {"code": codes[3]})
    assert is_in(client)
    cache.clear()  # it is the row that knows, and not the cache alone
    again = sign_in(user)
    again.post(CODE, {"code": codes[3]})
    assert not is_in(again)
    again.post(CODE, {"code": codes[4]})
    assert is_in(again)


def test_a_new_password_by_mail_does_not_replace_the_second_factor(guarded, mailoutbox):
    user = guarded[0]
    client = Client()
    client.post("/accounts/password/reset/", {"email": user.email})
    link = re.search(r"http\S+?(/accounts/\S+)", mailoutbox[-1].body)[1]
    answer = client.get(link, follow=True)
    client.post(answer.request["PATH_INFO"], {"password1": "a-new-one-4711", "password2": "a-new-one-4711"})
    assert not is_in(client)
    answer = client.post(LOGIN, {"login": user.email, "password": "a-new-one-4711"})
    assert answer.url == CODE


# --- Switch off, make new -----------------------------------------------------------------------------


def test_it_is_switched_off_behind_the_password(guarded, now, mailoutbox):
    user, secret, _codes = guarded
    client = sign_in(user)
    client.post(CODE, {"code": code_of(secret, now[0])})
    assert client.post(SWITCH_OFF).url.startswith("/accounts/reauthenticate/")
    assert Authenticator.objects.filter(type="totp").exists()
    client.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert client.get(SWITCH_OFF).status_code == 302
    confirm(client)
    assert "Switch the second factor off?" in text(client.get(SWITCH_OFF))
    client.post(SWITCH_OFF)
    assert not Authenticator.objects.exists()
    assert "switched off" in mailoutbox[-1].subject
    assert is_in(sign_in(user))


def test_new_recovery_codes_end_the_old_ones(guarded, now):
    user, secret, codes = guarded
    client = sign_in(user)
    client.post(CODE, {"code": code_of(secret, now[0])})
    confirm(client)
    assert "The 10 that are left end at once." in text(client.get(f"{RECOVERY}new/"))
    client.post(f"{RECOVERY}new/")
    fresh = list(client.get(RECOVERY).context["unused_codes"])
    assert len(fresh) == 10
    assert not set(fresh) & set(codes)
    saved = client.get(f"{RECOVERY}download/")
    assert saved.content.decode().split() == fresh
    other = sign_in(user)
    other.post(CODE, {"code": codes[0]})
    assert not is_in(other)


def test_recovery_codes_are_shown_behind_the_password_alone(guarded, now):
    user, secret, codes = guarded
    client = sign_in(user)
    client.post(CODE, {"code": code_of(secret, now[0])})
    for path in (RECOVERY, f"{RECOVERY}new/", f"{RECOVERY}download/"):
        answer = client.get(path)
        assert answer.status_code == 302, path
        assert not any(code in answer.content.decode() for code in codes)


@pytest.mark.parametrize("change", ["on", "off", "recovery"])
def test_a_change_of_it_signs_out_everywhere_else(user, now, change):
    other = sign_in(user)
    client = sign_in(user)
    secret, _codes = set_up(client, now[0])
    if change != "on":
        now[0] += 300
        cache.clear()
        other = sign_in(user)
        other.post(CODE, {"code": code_of(secret, now[0])})
        assert is_in(other)
        confirm(client)
        client.post({"off": SWITCH_OFF, "recovery": f"{RECOVERY}new/"}[change])
    assert not is_in(other)
    assert is_in(client)
    assert Session.objects.filter(user_id=user.pk).count() == 1


# --- Staff --------------------------------------------------------------------------------------------


@pytest.fixture
def required(settings):
    settings.STAFF_NEEDS_SECOND_FACTOR = True


@pytest.mark.parametrize("group", ["", "support", "operations"])
def test_staff_without_one_are_led_to_set_it_up_whatever_they_ask_for(required, group):
    client = sign_in(factories.make_staff(group))
    for path in (
        "/admin/",
        "/admin/sales/seller/",
        "/admin/search/",
        "/tools/webhook/history/",
        "/account/",
        "/nowhere/",
    ):
        assert client.get(path).url == SET_UP, path
        assert client.post(path).url == SET_UP, path
    assert client.post("/accounts/logout/").status_code == 302


def test_staff_set_it_up_and_are_let_in(required, now, mailoutbox):
    staff = factories.make_staff()
    client = sign_in(staff)
    secret, codes = set_up(client, now[0])
    assert len(codes) == 10
    assert [mail.to for mail in mailoutbox] == [[staff.email]]
    assert client.get("/admin/").status_code == 200
    now[0] += 300
    cache.clear()
    fresh = sign_in(staff)
    assert fresh.get("/admin/").status_code == 302
    fresh.post(CODE, {"code": code_of(secret, now[0])})
    assert fresh.get("/admin/").status_code == 200


def test_staff_who_switch_it_off_must_set_it_up_again(required, now):
    client = sign_in(factories.make_staff())
    set_up(client, now[0])
    client.post(SWITCH_OFF)
    assert client.get("/admin/").url == SET_UP


def test_sellers_need_none(required, user):
    client = sign_in(user)
    assert client.get("/tools/webhook/history/").status_code == 200


def test_who_becomes_staff_needs_one_from_then_on(required, user):
    client = sign_in(user)
    assert is_in(client)
    get_user_model().objects.filter(pk=user.pk).update(is_staff=True)
    assert client.get("/account/").url == SET_UP


def test_in_production_staff_need_one_and_in_the_demo_they_do_not(monkeypatch):
    assert production.read(monkeypatch)["STAFF_NEEDS_SECOND_FACTOR"] is True
    assert production.read(monkeypatch, DEBUG="True")["STAFF_NEEDS_SECOND_FACTOR"] is False
    assert (
        production.read(monkeypatch, STAFF_NEEDS_SECOND_FACTOR="False")["STAFF_NEEDS_SECOND_FACTOR"] is False
    )


def test_the_admin_has_no_login_of_its_own(required):
    staff = factories.make_staff()
    client = Client()
    assert client.get("/admin/login/?next=/admin/").url.startswith(LOGIN)
    answer = client.post("/admin/login/", {"username": staff.username, "password": PASSWORD})
    assert answer.url.startswith(LOGIN)
    assert not is_in(client)


def test_the_admin_has_no_page_of_its_own_for_the_password():
    client = sign_in(factories.make_staff())
    assert client.get("/admin/password_change/").url == reverse("account_change_password")


def test_staff_take_a_lost_one_away_and_see_no_secret(guarded):
    user, _secret, codes = guarded
    there, client, page = sign_in(user), Client(), reverse("admin:auth_user_changelist")
    there.post(CODE, {"code": codes[0]})
    client.force_login(factories.make_staff())
    form = {"action": "take_second_factor_away", "_selected_action": [user.pk]}
    assert "Take the second factor of 1 user away?" in text(client.post(page, form))
    assert Authenticator.objects.filter(user=user).count() == 2  # it only asked
    assert "was taken away" in text(client.post(page, form | {"sure": "yes"}, follow=True))
    assert not Authenticator.objects.filter(user=user).exists()  # the recovery codes went with it
    assert not is_in(there)
    assert is_in(sign_in(user))
    assert "taken away by staff" in text(client.get("/admin/auditlog/logentry/"))
    assert client.get("/admin/mfa/authenticator/").status_code == 404


def test_support_takes_none_away(guarded):
    client = Client()
    client.force_login(factories.make_staff("support"))
    form = {"action": "take_second_factor_away", "_selected_action": [guarded[0].pk], "sure": "yes"}
    client.post(reverse("admin:auth_user_changelist"), form)
    assert Authenticator.objects.filter(user=guarded[0]).count() == 2
