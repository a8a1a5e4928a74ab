import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_seller

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
