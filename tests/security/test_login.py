"""Guessing passwords, by account and by address; when sessions begin anew and end; what a mailed link is built from."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from deliveries import tasks
from sales.models import Session
from tests import factories
from tests.factories import PASSWORD, make_seller

pytestmark = pytest.mark.django_db
LOGIN = reverse("account_login")
NEW = "another-long-one-42"


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()
    yield
    cache.clear()


def text(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def sign_in(email, password=PASSWORD, client=None, **extra) -> Client:
    client = client or Client()
    client.answer = client.post(LOGIN, {"login": email, "password": password}, **extra)
    return client


def is_in(client) -> bool:
    return client.get("/account/").status_code == 200


def from_(n: int) -> dict[str, str]:
    """Another address for each number."""
    return {"REMOTE_ADDR": f"203.0.113.{n}"}


# --- Guessing -----------------------------------------------------------------------------------------


def test_an_account_is_locked_wherever_the_tries_come_from(producer):
    for n in range(5):
        sign_in(producer.email, f"guess-{n}", **from_(n))
    client = sign_in(producer.email, **from_(99))
    assert "Too many tries" in text(client.answer)
    assert not is_in(client)
    assert is_in(sign_in(make_seller().email, **from_(99)))  # others are not


@pytest.mark.parametrize("spelt", [str.upper, str.title, lambda email: f" {email} "])
def test_another_spelling_of_the_address_is_the_same_account(producer, spelt):
    for n in range(5):
        sign_in(spelt(producer.email), f"guess-{n}", **from_(n))
    assert not is_in(sign_in(producer.email, **from_(99)))


def test_another_of_our_names_is_the_same_account(producer, settings):
    settings.ALLOWED_HOSTS = ["*"]
    for n in range(5):
        sign_in(producer.email, f"guess-{n}", headers={"host": f"h{n}.example.com"}, **from_(n))
    assert not is_in(sign_in(producer.email, **from_(99)))


def test_an_address_that_guesses_at_many_accounts_is_stopped():
    sellers = [make_seller() for _ in range(11)]
    for seller in sellers[:10]:
        sign_in(seller.email, "guess")
    client = sign_in(sellers[10].email)
    assert not is_in(client)
    assert "Too many tries" in text(client.answer)
    assert is_in(sign_in(sellers[10].email, **from_(7)))  # the seller, at home


def test_right_passwords_between_the_guesses_do_not_help(producer):
    own = make_seller()
    for n in range(5):
        sign_in(producer.email, f"guess-{n}", **from_(n))
        sign_in(own.email, **from_(n))
    assert not is_in(sign_in(producer.email))


def test_what_a_request_says_of_its_own_address_counts_for_nothing_unless_a_proxy_of_ours_wrote_it(producer):
    sellers = [make_seller() for _ in range(11)]
    for n, seller in enumerate(sellers[:10]):
        sign_in(seller.email, "guess", headers={"x-forwarded-for": f"198.51.100.{n}"})
    assert not is_in(sign_in(sellers[10].email, headers={"x-forwarded-for": "198.51.100.77"}))


def test_behind_a_proxy_of_ours_the_address_that_it_wrote_counts(settings):
    settings.BEHIND_PROXY = True
    sellers = [make_seller() for _ in range(11)]
    for n, seller in enumerate(
        sellers[:10]
    ):  # what stands before the last one was written by whoever guesses
        sign_in(seller.email, "guess", headers={"x-forwarded-for": f"198.51.100.{n}, 203.0.113.9"})
    assert not is_in(sign_in(sellers[10].email, headers={"x-forwarded-for": "203.0.113.9"}))
    assert is_in(sign_in(sellers[10].email, headers={"x-forwarded-for": "203.0.113.10"}))


def test_a_new_password_by_mail_ends_the_lock(producer, mailoutbox):
    for n in range(5):
        sign_in(producer.email, f"guess-{n}", **from_(n))
    set_new_by_mail(producer, mailoutbox)
    assert is_in(sign_in(producer.email, NEW))


def test_an_unknown_account_answers_as_a_known_one(producer):
    known, unknown = sign_in(producer.email, "x"), sign_in("nobody@example.com", "x")
    assert known.answer.status_code == unknown.answer.status_code == 200
    # The page shows what was typed; besides that there is no difference.
    bare = [
        re.sub(r'value="[^"]*"', "", c.answer.content.decode().replace("nobody@example.com", producer.email))
        for c in (known, unknown)
    ]
    assert bare[0] == bare[1]


def test_guesses_at_the_password_of_a_guarded_page_are_counted_too(producer):
    client = sign_in(producer.email)
    answers = [client.post("/tools/webhook/configurations/token/", {"password": f"g{n}"}) for n in range(12)]
    assert "shown" not in answers[-1].context or not answers[-1].context["shown"]
    locked = client.post("/tools/webhook/configurations/token/", {"password": PASSWORD})
    assert locked.status_code in (422, 429)


# --- Sessions -----------------------------------------------------------------------------------------


def test_a_session_from_before_the_login_is_worth_nothing_after_it(producer):
    """Who planted a session in somebody's browser does not share it once they sign in."""
    planted = Client()
    planted.get("/view-as/leave/")
    session = planted.session
    session["planted"] = True
    session.save()
    planted.cookies["session"] = session.session_key
    before = session.session_key
    sign_in(producer.email, client=planted)
    assert is_in(planted)
    assert planted.session.session_key != before
    thief = Client()
    thief.cookies["session"] = before
    assert not is_in(thief)
    assert not Session.objects.filter(session_key=before).exists()


def test_a_session_that_was_signed_out_is_over(producer):
    client = sign_in(producer.email)
    kept = client.cookies["session"].value
    client.post("/accounts/logout/")
    thief = Client()
    thief.cookies["session"] = kept
    assert not is_in(thief)


def set_new_by_mail(seller, mailoutbox) -> Client:
    client = Client()
    client.post("/accounts/password/reset/", {"email": seller.email})
    link = re.search(r"http\S+?(/accounts/\S+)", mailoutbox[-1].body)[1]
    answer = client.get(link, follow=True)
    client.post(answer.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    return client


def test_a_changed_password_signs_out_everywhere_else(producer):
    here, there = sign_in(producer.email), sign_in(producer.email)
    before = here.session.session_key
    here.post("/accounts/password/change/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})
    assert is_in(here)
    assert here.session.session_key != before
    assert not is_in(there)
    assert Session.objects.filter(user_id=producer.user_id).count() == 1


def test_a_password_that_was_set_by_mail_signs_out_everywhere(producer, mailoutbox):
    there = sign_in(producer.email)
    set_new_by_mail(producer, mailoutbox)
    assert not is_in(there)
    assert not Session.objects.filter(user_id=producer.user_id).exists()


def test_a_password_that_staff_set_signs_out_everywhere(producer):
    there = sign_in(producer.email)
    staff = Client()
    staff.force_login(factories.make_staff())
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    staff.post(reverse("admin:auth_user_password_change", args=[producer.user_id]), form)
    producer.user.refresh_from_db()
    assert producer.user.check_password(NEW)
    assert not is_in(there)


def test_a_login_that_is_closed_is_over_at_once(producer):
    there = sign_in(producer.email)
    producer.user.is_active = False
    producer.user.save()
    assert not is_in(there)


def test_one_button_signs_out_everywhere_else(producer):
    here, there = sign_in(producer.email), sign_in(producer.email)
    others = sign_in(make_seller().email)
    assert "Sign out everywhere else" in text(here.get("/account/"))
    assert here.get("/account/sign-out-elsewhere/").status_code == 405
    assert "1 other session was ended." in text(here.post("/account/sign-out-elsewhere/", follow=True))
    assert (is_in(here), is_in(there), is_in(others)) == (True, False, True)
    assert "nowhere else" in text(here.post("/account/sign-out-elsewhere/", follow=True))


def test_expired_sessions_are_deleted_every_night(producer):
    kept, old = sign_in(producer.email), sign_in(producer.email)
    Session.objects.filter(session_key=old.session.session_key).update(expire_date=timezone.now())
    tasks.purge()
    assert is_in(kept)
    assert Session.objects.count() == 1


# --- Links in mails -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"host": "evil.example"},
        {"host": "testserver", "x-forwarded-host": "evil.example"},
        {"host": "evil.example:80"},
        {"host": "testserver@evil.example"},
    ],
)
@pytest.mark.parametrize("checked", [True, False])
def test_a_mailed_link_leads_to_us_whatever_the_request_says(producer, mailoutbox, settings, said, checked):
    settings.SITE_URL = "https://hooks.example.com"
    if not checked:
        settings.ALLOWED_HOSTS = ["*"]
    Client(raise_request_exception=False).post(
        "/accounts/password/reset/", {"email": producer.email}, headers=said
    )
    for mail in mailoutbox:
        assert "evil" not in mail.body
        assert re.findall(r"https?://[^/\s]+", mail.body) == ["https://hooks.example.com"]
    assert bool(mailoutbox) == (not checked or said["host"] == "testserver") or "@" in said["host"]


def test_an_invitation_leads_to_us(mailoutbox, settings):
    from sales.accounts import invite

    settings.SITE_URL = "https://hooks.example.com"
    invite(make_seller(login=False))
    assert set(re.findall(r"https?://[^/\s]+", mailoutbox[0].body)) == {"https://hooks.example.com"}
