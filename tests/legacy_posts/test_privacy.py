"""A buyer's data in old posts: told, and erased."""

import pytest

from legacy_posts.models import LegacyPost
from sales import privacy
from tests import factories

pytestmark = pytest.mark.django_db
EMAIL = "Joao.Nunes@Example.com"


def test_it_is_told_what_old_posts_hold(producer):
    factories.make_legacy_posts(producer, 2, buyer_email=EMAIL.lower())
    factories.make_legacy_post(producer, buyer_email=EMAIL.lower(), kind="pending")
    factories.make_legacy_post(producer)
    [held] = privacy.hold_on(EMAIL)
    assert (held.what, held.count) == ("legacy_posts.legacypost", 3)
    assert "1 of these posts are pending and could not be sent any more." in held.note
    assert all(row["payload"] for row in held.rows)


def test_it_is_erased_and_nothing_of_it_can_be_sent(producer):
    theirs = factories.make_legacy_post(
        producer,
        buyer_email=EMAIL.lower(),
        kind="pending",
        response="hello João",
        problem="for joao",
        url=f"https://a.example/in?mail={EMAIL.lower()}",
    )
    other = factories.make_legacy_post(producer)
    assert privacy.redact(EMAIL, "a test") == {"legacy_posts.legacypost": 1}
    theirs.refresh_from_db()
    assert (theirs.payload, theirs.response, theirs.problem, theirs.url) == ("", "", "", "")
    assert theirs.buyer_email.endswith("@redacted.invalid")
    assert not theirs.can_be_sent
    assert theirs.transaction_code
    assert LegacyPost.objects.get(pk=other.pk).payload == other.payload
    assert privacy.redact(EMAIL, "a test") == {}


def test_posts_of_the_buyers_sales_are_found_without_an_email(producer, product):
    sale = factories.make_sale(product, buyer_email=EMAIL)
    post = factories.make_legacy_post(producer, buyer_email="", transaction_code=sale.code)
    privacy.redact(EMAIL, "a test")
    post.refresh_from_db()
    assert post.payload == ""
