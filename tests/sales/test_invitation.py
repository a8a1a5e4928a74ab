import re

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user_model
from django.urls import reverse

from sales.accounts import NotInvited, invite
from tests import factories

pytestmark = pytest.mark.django_db
PASSWORD = "a new and long enough one"


@pytest.fixture
def seller(settings):
    settings.SITE_URL = "https://hub.example"
    return factories.make_seller(login=False, email="Ana.Lima@example.com", name="Ana <Lima> & Co")


def link_in(mail):
    return re.search(r"^https://hub\.example(/\S+)$", mail.body, re.MULTILINE).group(1)


def set_password(client, path, password=PASSWORD):
    page = client.get(path, follow=True)  # the key goes into the session, out of the address
    where = page.redirect_chain[-1][0]
    return client.post(where, {"password1": password, "password2": password})


def log_in(client, email, password):
    client.post(reverse("account_login"), {"login": email, "password": password})
    return "_auth_user_id" in client.session


def test_the_invited_seller_sets_a_password_and_logs_in(seller, mailoutbox, client):
    invite(seller)
    assert mailoutbox[0].to == ["ana.lima@example.com"]
    assert not log_in(client, "ana.lima@example.com", PASSWORD)
    set_password(client, link_in(mailoutbox[0]))
    assert log_in(client, "Ana.Lima@example.com", PASSWORD)
    assert client.get(reverse("account")).status_code == 200


def test_the_mail_is_plain_text_that_names_the_seller_and_the_site(seller, mailoutbox):
    invite(seller)
    assert "Hello Ana <Lima> & Co," in mailoutbox[0].body
    assert "works for 3 days" in mailoutbox[0].body
    assert mailoutbox[0].subject == "Your account at webhookhub"


def test_the_address_is_proved_and_the_only_one(seller):
    invite(seller)
    address = EmailAddress.objects.get(user=seller.user)
    assert (address.email, address.verified, address.primary) == ("ana.lima@example.com", True, True)
    assert not seller.user.has_usable_password()


def test_the_link_works_once(seller, mailoutbox, client):
    invite(seller)
    set_password(client, link_in(mailoutbox[0]))
    set_password_again = client.get(link_in(mailoutbox[0]), follow=True)
    assert b'name="password1"' not in set_password_again.content


def test_an_invitation_can_be_sent_again_until_a_password_is_set(seller, mailoutbox, client):
    invite(seller)
    invite(seller)
    assert (len(mailoutbox), get_user_model().objects.count()) == (2, 1)
    set_password(client, link_in(mailoutbox[1]))
    seller.refresh_from_db()
    with pytest.raises(NotInvited, match="has set a password already"):
        invite(seller)


def test_the_invited_can_ask_for_a_new_link_on_the_login_page(seller, mailoutbox, client):
    invite(seller)
    client.post(reverse("account_reset_password"), {"email": "ana.lima@example.com"})
    assert len(mailoutbox) == 2
    assert "/password/reset/key/" in mailoutbox[1].body


def test_a_seller_without_an_email_is_not_invited(mailoutbox):
    with pytest.raises(NotInvited, match="has no e-mail address"):
        invite(factories.make_seller(login=False, email=None))
    assert mailoutbox == []


def test_an_address_that_another_user_logs_in_with_is_not_taken_over(seller, mailoutbox):
    get_user_model().objects.create_user("ana.lima@EXAMPLE.com", "x@example.com")
    with pytest.raises(NotInvited, match="There is a user with the e-mail"):
        invite(seller)
    seller.refresh_from_db()
    assert (seller.user, mailoutbox) == (None, [])


def test_a_blocked_login_is_not_invited(seller, mailoutbox):
    invite(seller)
    seller.user.is_active = False
    with pytest.raises(NotInvited, match="is blocked"):
        invite(seller)
    assert len(mailoutbox) == 1


def test_a_mail_server_that_is_down_is_said_and_can_be_tried_again(seller, settings, mailoutbox):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    with pytest.raises(NotInvited, match="could not be sent"):
        invite(seller)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    invite(seller)
    assert len(mailoutbox) == 1


def test_a_user_without_an_address_of_allauth_logs_in_by_email(client):
    seller = factories.make_seller()
    assert log_in(client, seller.email, factories.PASSWORD)
