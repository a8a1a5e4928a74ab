"""A buyer's data in old posts: told, and erased."""

import pytest

from deliveries import retention
from deliveries.models import Delivery
from legacy_posts.models import LegacyPost
from legacy_posts.sending import send
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
    assert "1 of these posts is pending and could not be sent any more." in held.note
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


def test_a_post_that_was_sent_from_here_is_erased_with_its_delivery(producer, product):
    """Also where the former system's post named no e-mail, and is known by the code of the sale alone."""
    sale = factories.make_sale(product, buyer_email=EMAIL)
    for facts in ({"buyer_email": EMAIL.lower()}, {"buyer_email": "", "transaction_code": sale.code}):
        factories.make_legacy_post(producer, kind="pending", payload=f'{{"to": "{EMAIL}"}}', **facts)
    config = factories.make_config(producer)
    posts = send(LegacyPost.objects.all(), config.pk)
    assert len(posts) == 2
    counts = privacy.redact(EMAIL, "a test")
    assert (counts["legacy_posts.legacypost"], counts["deliveries.delivery"]) == (2, 2)
    assert not Delivery.objects.exclude(body="").exists()
    assert not LegacyPost.objects.exclude(payload="").exists()
    with pytest.raises(Delivery.NotPossible, match="erased"):
        Delivery.objects.get(pk=posts[0].pk).reprocess()


def test_it_outlives_the_delivery_that_sent_it(producer):
    pending = factories.make_legacy_post(producer, kind="pending")
    (post,) = send(LegacyPost.objects.all(), factories.make_config(producer).pk)
    Delivery.objects.filter(pk=post.pk).update(state="delivered", finished_at=post.created_at)
    deleted = sum(retention.delete(retention.limit(90)), retention.Deleted())
    assert deleted == retention.Deleted(posts=1, events=1)
    pending.refresh_from_db()
    assert pending.delivery is None
    assert pending.sent_at
