"""Filters and dates of long lists: they find what is asked for, and read no table to say what can be."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries.models import Delivery, State
from sales.models import Transaction
from tests import factories

pytestmark = pytest.mark.django_db
POSTS = reverse("admin:deliveries_delivery_changelist")
SALES = reverse("admin:sales_transaction_changelist")


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def found(client, url, **asked):
    answer = client.get(url, asked)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.fixture
def posts():
    """Of two owners; one answered 404, one 503, one not at all, one not tried yet."""
    made = []
    for status, tries in ((404, 1), (503, 1), (None, 1), (None, 0)):
        config = factories.make_config(factories.make_seller())
        sale = factories.make_sale(factories.make_product(config.owner))
        post = config.deliveries.get(event__sale=sale)
        Delivery.objects.filter(pk=post.pk).update(
            last_status=status, attempts_made=tries, state=State.FAILED
        )
        made.append(post)
    return made


def test_a_list_is_filtered_by_owner_product_and_configuration(staff, posts):
    first = posts[0]
    assert found(staff, POSTS, owner__id__exact=first.owner_id) == {first.pk}
    assert found(staff, POSTS, config__id__exact=first.config_id) == {first.pk}
    assert found(staff, POSTS, event__product__id__exact=first.event.product_id) == {first.pk}
    sale = first.event.sale
    assert found(staff, SALES, product__owner__id__exact=first.owner_id) == {sale.pk}


def test_the_field_shows_what_is_chosen_and_keeps_the_other_filters(staff, posts):
    owner = posts[0].owner
    text = staff.get(POSTS, {"owner__id__exact": owner.pk, "state": "failed", "q": ""}).content.decode()
    assert f'<option value="{owner.pk}" selected>{owner}</option>' in text
    assert '<input type="hidden" name="state" value="failed">' in text
    assert 'href="?q=&amp;state=failed"' in text  # Clear


@pytest.mark.parametrize("value", ["", "abc", "9" * 40, "-1"])
def test_a_choice_that_makes_no_sense_breaks_nothing(staff, posts, value):
    assert staff.get(POSTS, {"owner__id__exact": value}, follow=True).status_code == 200


def test_the_list_reads_no_sellers_and_no_products_to_offer_them(staff, posts):
    staff.get(POSTS)
    with CaptureQueriesContext(connection) as captured:
        staff.get(POSTS)
    asked = [query["sql"] for query in captured]
    assert not [sql for sql in asked if 'FROM "sales_product"' in sql or "DISTINCT" in sql or "MAX(" in sql]
    assert not [sql for sql in asked if 'FROM "sales_seller"' in sql]


@pytest.mark.parametrize(
    ("asked", "which"),
    [("4", [0]), ("5", [1]), ("404", [0]), ("503", [1]), ("500", []), ("none", [2]), ("x", range(4))],
)
def test_posts_are_found_by_what_was_answered(staff, posts, asked, which):
    assert found(staff, POSTS, response=asked) == {posts[n].pk for n in which}


def test_a_filter_from_a_search_is_only_for_those_who_may_look(client, posts):
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission

    looker = get_user_model().objects.create_user("l@example.com", "l@example.com", "x", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(looker)
    assert "admin-autocomplete" not in client.get(POSTS).content.decode()


# --- Dates --------------------------------------------------------------------------------------------


def dates(client, **asked):
    text = client.get(SALES, asked).content.decode()
    part = text.split('<nav class="toplinks">')[-1].split("</nav>")[0] if "toplinks" in text else ""
    return [line.split(">")[1].split("<")[0] for line in part.splitlines() if "<a " in line]


def test_the_dates_go_from_the_first_row_to_the_last():
    from django.test import Client

    client = Client()
    client.force_login(factories.make_staff())
    assert dates(client) == []
    product = factories.make_product()
    for at in (datetime(2024, 11, 30, 12, tzinfo=UTC), datetime(2026, 2, 2, 12, tzinfo=UTC)):
        factories.make_sale(product, ordered_at=at)
    assert dates(client) == ["2024", "2025", "2026"]
    assert dates(client, ordered_at__year="2026") == ["&lsaquo; All dates", "January 2026", "February 2026"]
    assert dates(client, ordered_at__year="2024", ordered_at__month="11")[:2] == [
        "&lsaquo; 2024",
        "November 30",
    ]
    days = dates(client, ordered_at__year="2026", ordered_at__month="2")
    assert days == ["&lsaquo; 2026", "February 1", "February 2"]
    day = {"ordered_at__year": "2026", "ordered_at__month": "2", "ordered_at__day": "2"}
    assert found(client, SALES, **day) == {Transaction.objects.latest("ordered_at").pk}
