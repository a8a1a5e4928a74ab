import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD, make_seller, make_staff

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
NEW = "another-long-one-42"


@pytest.fixture(autouse=True)
def _no_lockout_left_over():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client(producer) -> Client:
    client = Client()
    client.force_login(producer.user)
    return client


def text(response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def sign_in(client, email, password=PASSWORD):
    return client.post(LOGIN, {"login": email, "password": password})


# --- Login and logout ----------------------------------------------------------------------------------


def test_a_seller_signs_in_with_the_e_mail_address(producer):
    client = Client()
    assert sign_in(client, producer.email.upper()).url == reverse("configurations:list")
    assert client.get("/account/").status_code == 200


def test_a_wrong_password_and_an_unknown_address_get_the_same_words(producer):
    wrong = text(sign_in(Client(), producer.email, "not-it-at-all"))
    unknown = text(sign_in(Client(), "nobody@example.com", "not-it-at-all"))
    words = "This e-mail and this password do not go together."
    assert words in wrong
    assert words in unknown


def test_after_too_many_tries_it_says_how_long_to_wait(producer):
    client = Client()
    for _ in range(5):
        sign_in(client, producer.email, "not-it-at-all")
    assert "Wait 5 minutes" in text(sign_in(client, producer.email))


def test_a_login_never_leads_to_another_site(producer):
    answer = Client().post(
        LOGIN, {"login": producer.email, "password": PASSWORD, "next": "https://evil.example/"}
    )
    assert answer.url == reverse("configurations:list")


def test_signing_out_takes_a_press_of_the_button(client):
    assert "Stay signed in" in text(client.get("/accounts/logout/"))
    assert client.get("/account/").status_code == 200
    assert client.post("/accounts/logout/").url == LOGIN
    assert client.get("/account/").url.startswith(LOGIN)


def test_nobody_signs_up_here():
    answer = Client().get("/accounts/signup/")
    assert "Accounts come by invitation" in text(answer)
    answer = Client().post(
        "/accounts/signup/", {"email": "x@example.com", "password1": NEW, "password2": NEW}
    )
    assert "Accounts come by invitation" in text(answer)


def test_a_closed_account_cannot_sign_in(producer):
    producer.user.is_active = False
    producer.user.save()
    client = Client()
    sign_in(client, producer.email)
    assert client.get("/account/").url.startswith(LOGIN)


def test_the_language_of_the_login_page_can_be_chosen_and_stays():
    client = Client()
    answer = client.post("/language/", {"language": "pt-br", "next": LOGIN})
    assert answer.url == LOGIN
    assert '<html lang="pt-br">' in client.get(LOGIN).content.decode()


# --- Passwords -----------------------------------------------------------------------------------------


def test_a_forgotten_password_is_set_anew_by_the_link_in_the_mail(producer, mailoutbox, settings):
    client = Client()
    answer = client.post("/accounts/password/reset/", {"email": producer.email}, follow=True)
    assert "Look into your mailbox" in text(answer)
    (mail,) = mailoutbox
    assert mail.to == [producer.email]
    assert "\n" not in mail.subject
    link = re.search(rf"{settings.SITE_URL}(/\S+)", mail.body)[1]
    answer = client.get(link, follow=True)
    assert "Set your password" in text(answer)
    answer = client.post(answer.request["PATH_INFO"], {"password1": NEW, "password2": NEW}, follow=True)
    assert "Your password is saved" in text(answer)
    assert sign_in(client, producer.email, NEW).url == reverse("configurations:list")
    assert "was changed" in mailoutbox[-1].subject
    # The link works once.
    answer = Client().get(link, follow=True)
    assert "This link does not work any more" in text(answer)


def test_an_unknown_address_gets_the_same_page_and_a_mail_that_says_so(mailoutbox):
    answer = Client().post("/accounts/password/reset/", {"email": "nobody@example.com"}, follow=True)
    assert "Look into your mailbox" in text(answer)
    (mail,) = mailoutbox
    assert "no account" in mail.body
    assert "signup" not in mail.body


def test_asking_for_too_many_links_gets_a_page_that_says_to_wait(producer, mailoutbox):
    for _ in range(6):
        answer = Client().post("/accounts/password/reset/", {"email": producer.email})
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "300"
    assert "Wait five minutes" in text(answer)
    assert len(mailoutbox) == 5


def test_a_weak_password_is_refused_with_the_reason(client):
    answer = client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": "12345678", "password2": "12345678"},
    )
    assert "entirely numeric" in text(answer)


def test_a_password_is_changed_with_the_old_one_and_its_owner_hears_of_it(client, producer, mailoutbox):
    form = {"oldpassword": "wrong", "password1": NEW, "password2": NEW}
    assert "This is not your present password." in text(client.post("/accounts/password/change/", form))
    client.post("/accounts/password/change/", form | {"oldpassword": PASSWORD})
    producer.user.refresh_from_db()
    assert producer.user.check_password(NEW)
    assert [mail.to for mail in mailoutbox] == [[producer.email]]


# --- The account page ----------------------------------------------------------------------------------


def test_name_language_and_time_zone_can_be_changed(client, producer):
    fields = {"name": "Ana Beatriz", "language": "es", "time_zone": "Europe/Lisbon"}
    answer = client.post("/account/", fields, follow=True)
    producer.refresh_from_db()
    assert (producer.name, producer.language, producer.time_zone) == ("Ana Beatriz", "es", "Europe/Lisbon")
    assert '<html lang="es">' in answer.content.decode()


def test_the_language_can_be_left_to_the_browser(client, producer):
    client.post("/account/", {"name": "Ana", "language": "", "time_zone": "UTC"})
    page = client.get("/account/", headers={"accept-language": "pt-BR,pt;q=0.9"}).content.decode()
    assert '<html lang="pt-br">' in page


@pytest.mark.parametrize(
    "wrong",
    [{"time_zone": "Mars/Olympus"}, {"time_zone": "../../etc/passwd"}, {"language": "tlh"}, {"name": ""}],
)
def test_what_is_not_on_offer_is_refused_beside_its_field(client, producer, wrong):
    fields = {"name": "Ana", "language": "en", "time_zone": "UTC"} | wrong
    answer = client.post("/account/", fields)
    assert answer.status_code == 422
    assert f'id="id_{next(iter(wrong))}_error"' in answer.content.decode()
    before = producer.time_zone
    producer.refresh_from_db()
    assert producer.time_zone == before


def test_one_changes_only_ones_own_account(client):
    other = make_seller(name="Other")
    client.post(
        "/account/", {"name": "Mine", "language": "", "time_zone": "UTC", "id": other.pk, "code": other.code}
    )
    other.refresh_from_db()
    assert other.name == "Other"


def test_staff_who_sell_nothing_have_an_account_page_with_the_password():
    client = Client()
    client.force_login(make_staff())
    answer = client.get("/account/")
    assert answer.status_code == 200
    assert "/accounts/password/change/" in answer.content.decode()
    assert client.post("/account/", {"name": "x"}).status_code == 200


def test_without_a_login_the_account_page_leads_to_the_login():
    assert Client().get("/account/").url.startswith(LOGIN)


# --- When something is wrong ---------------------------------------------------------------------------


def test_what_is_not_there_says_so_in_words(client):
    answer = client.get("/nowhere/")
    assert answer.status_code == 404
    assert "There is nothing here" in text(answer)


def test_a_form_from_a_page_that_is_too_old_says_what_to_do(producer):
    client = Client(enforce_csrf_checks=True)
    answer = client.post(LOGIN, {"login": producer.email, "password": PASSWORD})
    assert answer.status_code == 403
    assert "Please try that again" in text(answer)


def test_our_own_failure_has_a_page_that_needs_nothing(client, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr("sales.views.AccountForm", None)
    answer = client.get("/account/")
    assert answer.status_code == 500
    assert "Something broke on our side" in text(answer)
