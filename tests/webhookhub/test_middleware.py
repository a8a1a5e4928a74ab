import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_seller
from webhookhub.middleware import ClientAddressMiddleware

pytestmark = pytest.mark.django_db


def test_a_part_of_a_page_never_becomes_the_login_page():
    answer = Client().get(reverse("deliveries:live"), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer.headers["HX-Refresh"] == "true"


def test_a_whole_page_still_leads_to_the_login():
    assert Client().get(reverse("deliveries:history")).url.startswith(reverse("account_login"))


def test_other_redirects_of_a_part_stay():
    client = Client()
    client.force_login(make_seller().user)
    answer = client.get("/", headers={"HX-Request": "true"})
    assert answer.url == reverse("configurations:list")


def test_what_was_seen_while_logged_in_is_not_stored_and_the_login_page_neither():
    client = Client()
    client.force_login(make_seller().user)
    for path in (reverse("configurations:list"), reverse("deliveries:history"), reverse("account")):
        assert "no-store" in client.get(path).headers["Cache-Control"]
    assert "no-store" in client.post(reverse("account_logout")).headers["Cache-Control"]


@pytest.mark.parametrize(
    ("behind", "forwarded", "expected"),
    [
        (True, "203.0.113.9", "203.0.113.9"),
        (True, "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # the first one is the client's own words
        (True, "2001:db8::7", "2001:db8::7"),
        (True, "rubbish", "192.0.2.1"),
        (True, "", "192.0.2.1"),
        (False, "203.0.113.9", "192.0.2.1"),  # no proxy of ours: anybody may write it
    ],
)
def test_the_client_s_address_is_what_our_proxy_says(rf, settings, behind, forwarded, expected):
    settings.BEHIND_PROXY = behind
    seen = []
    middleware = ClientAddressMiddleware(lambda request: seen.append(request.META["REMOTE_ADDR"]))
    middleware(rf.get("/", headers={"X-Forwarded-For": forwarded}, REMOTE_ADDR="192.0.2.1"))
    assert seen == [expected]
