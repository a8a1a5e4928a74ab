"""The query string and what it finds."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from configurations.events import EventType
from deliveries import history, keyset
from deliveries.models import Audience, Delivery, State
from sales.statuses import SaleStatus
from tests import factories

NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)


@pytest.fixture
def post(sell):
    """`post(state=…, …)`: a delivery with these columns; `event__…` are its event's, `sale__…` its sale's."""

    def post(**facts):
        made = sell(**{name[6:]: value for name, value in facts.items() if name.startswith("sale__")})
        columns = {name: value for name, value in facts.items() if "__" not in name}
        Delivery.objects.filter(pk=made.pk).update(**columns)
        event = {name[7:]: value for name, value in facts.items() if name.startswith("event__")}
        if event:
            type(made.event).objects.filter(pk=made.event_id).update(**event)
        made.refresh_from_db()
        return made

    return post


def read(query, now=NOW, configs=(), products=()):
    return history.read(query, configs, products, now)


def found(query, **kwargs):
    filters = read(query, **kwargs)
    assert not filters.notes
    return set(filters.of(Delivery.objects.all()).values_list("pk", flat=True))


@pytest.mark.parametrize("state", State.values)
def test_status_finds_its_posts(post, state):
    posts = {each: post(state=each).pk for each in State.values}
    assert found({"status": state}) == {posts[state]}


@pytest.mark.parametrize(
    ("response", "columns"),
    [
        ("2xx", {"last_status": 204}),
        ("3xx", {"last_status": 301}),
        ("4xx", {"last_status": 499}),
        ("5xx", {"last_status": 500}),
        ("404", {"last_status": 404}),
        ("none", {"last_problem": "tls"}),
        ("timeout", {"last_problem": "timeout"}),
        ("page", {"last_status": 203, "answered_page": True}),
    ],
)
def test_response_finds_its_class_or_code(post, response, columns):
    others = [{"last_status": 100}, {"last_status": 600}, {"last_problem": ""}]
    wanted = post(**columns)
    for other in others:
        post(**other)
    assert found({"response": response}) == {wanted.pk}


def test_event_configuration_and_product_find_theirs(post, producer, config, product):
    refund = post(sale__status=SaleStatus.REFUNDED)
    approved = post()
    other = factories.make_product(producer)
    elsewhere = config.deliveries.get(event__sale=factories.make_sale(other))
    assert found({"event": EventType.REFUNDED}) == {refund.pk}
    assert found({"config": str(config.pk)}, configs=[config.pk]) == {refund.pk, approved.pk, elsewhere.pk}
    assert found({"product": str(other.pk)}, products=[other.pk]) == {elsewhere.pk}


@pytest.mark.parametrize(
    ("period", "hours", "inside"),
    [
        ("today", 18.4, True),
        ("today", 18.6, False),
        ("24h", 23.9, True),
        ("24h", 24.1, False),
        ("7d", 7 * 24 - 1, True),
        ("30d", 30 * 24 + 1, False),
    ],
)
def test_a_period_begins_where_it_says(post, period, hours, inside):
    made = post(created_at=NOW - timedelta(hours=hours))
    assert found({"period": period}) == ({made.pk} if inside else set())


def test_today_begins_at_midnight_of_the_users_zone(post):
    made = post(created_at=datetime(2026, 11, 23, 2, 30, tzinfo=UTC))  # 23:30 of the day before in São Paulo
    assert found({"period": "today"}) == {made.pk}
    with timezone.override("America/Sao_Paulo"):
        assert found({"period": "today"}) == set()


def test_from_and_to_are_times_of_the_users_zone(post):
    made = post(created_at=datetime(2026, 11, 23, 16, 0, tzinfo=UTC))
    with timezone.override("America/Sao_Paulo"):
        assert found({"from": "2026-11-23T13:00", "to": "2026-11-23T14:00"}) == {made.pk}
        assert found({"from": "2026-11-23T12:00", "to": "2026-11-23T13:00"}) == set()  # the end is not in it
        assert found({"from": "2026-11-23"}) == {made.pk}


@pytest.mark.parametrize(
    "search",
    [
        "HP12345",
        "hp1234567890",
        "HP1234567890",
        "Maria@Example.com",
        "maria@exa",
        "maria@example.c",
        "ia silva",
        " Maria ",
    ],
)
def test_search_finds_code_email_and_name(post, search):
    wanted = post(
        event__transaction_code="HP1234567890",
        event__buyer_email="maria@example.com",
        event__buyer_name="Maria Silva",
    )
    post(
        event__transaction_code="HP1299999999",
        event__buyer_email="joao@example.com",
        event__buyer_name="João",
    )
    assert found({"q": search}) == {wanted.pk}


def test_an_affiliate_finds_no_buyer_whom_the_posts_do_not_name(post):
    made = post(
        audience=Audience.AFFILIATE, event__buyer_email="maria@example.com", event__buyer_name="Maria"
    )
    assert found({"q": "maria@example.com"}) == found({"q": "Maria"}) == set()
    assert found({"q": made.event.transaction_code}) == {made.pk}
    made.event.product.shares_buyers = True
    made.event.product.save()
    assert found({"q": "Maria"}) == {made.pk}


@pytest.mark.parametrize(
    "query",
    [
        {"status": "nope"},
        {"response": "6xx"},
        {"response": "٤٠٤"},
        {"response": "4"},
        {"event": "PURCHASE"},
        {"config": "1"},
        {"config": "' OR 1"},
        {"product": "999999999999999999999999"},
        {"period": "year"},
        {"from": "yesterday"},
        {"from": "2026-13-45T99:99"},
        {"from": "0001-01-01T00:00"},
        {"from": "9999-12-31T23:59:59", "to": "9999-12-31T23:59:59"},
        {"from": "2026-11-23T14:00", "to": "2026-11-23T13:00"},
    ],
)
def test_what_makes_no_sense_is_left_out_with_a_note(post, query):
    made = post()
    with timezone.override("America/Sao_Paulo"):
        filters = read(query)
        assert filters.notes or query["from"].startswith("0001")
    assert set(filters.of(Delivery.objects.all()).values_list("pk", flat=True)) == {made.pk}


def test_odd_searches_find_nothing_and_break_nothing(post):
    post()
    for search in ("\0", "%", "_", "' OR 1=1 --", "漢字🎓" * 99, "HP٤٠٤", "@"):
        read({"q": search}).of(Delivery.objects.all()).count()


def test_the_query_string_holds_what_counts_and_nothing_else():
    filters = read({"status": "failed", "q": "a b", "post": "7", "older": "x", "junk": "1", "event": "nope"})
    assert filters.query() == "?status=failed&q=a+b"
    assert filters.query(status=None, q=None) == ""
    assert filters.query(older="5-1") == "?status=failed&q=a+b&older=5-1"


def test_who_paid_and_has_no_access(post):
    long_ago = NOW - timedelta(minutes=5)
    failed = post(state=State.FAILED, created_at=long_ago)
    held = post(state=State.HELD, created_at=long_ago)
    refused = post(state=State.WAITING, tries=1, created_at=long_ago)
    post(state=State.WAITING, tries=0, created_at=long_ago)  # on its way for the first time
    post(state=State.FAILED, created_at=NOW)  # a moment ago
    post(state=State.FAILED, created_at=NOW - timedelta(days=31))
    post(state=State.DELIVERED, created_at=long_ago)
    post(state=State.FAILED, created_at=long_ago, audience=Audience.AFFILIATE)
    post(state=State.FAILED, created_at=long_ago, sale__status=SaleStatus.CANCELED)
    refunded = post(state=State.FAILED, created_at=long_ago)
    refunded.event.sale.status = SaleStatus.REFUNDED
    refunded.event.sale.save()
    assert found({"status": history.NO_ACCESS}) == {failed.pk, held.pk, refused.pk}


@pytest.fixture
def three_pages(post, monkeypatch):
    """Seven posts, three a page; two of them at the same moment. Ids, newest first."""
    monkeypatch.setattr(keyset, "PAGE", 3)
    ages = [1, 2, 3, 3, 4, 5, 6]
    return [
        made.pk
        for made in sorted(
            (post(created_at=NOW - timedelta(minutes=age)) for age in ages),
            key=lambda made: (made.created_at, made.pk),
            reverse=True,
        )
    ]


def pks(page):
    return [made.pk for made in page.posts]


def test_pages_follow_each_other_without_gap_or_repeat_and_back(three_pages):
    posts = Delivery.objects.all()
    first = history.page(posts)
    second = history.page(posts, older=first.older)
    third = history.page(posts, older=second.older)
    assert pks(first) + pks(second) + pks(third) == three_pages
    assert (first.newer, third.older) == ("", "")
    assert pks(history.page(posts, newer=third.newer)) == pks(second)
    assert history.page(posts, newer=second.newer) == first


def test_what_arises_meanwhile_moves_no_page(three_pages, post):
    posts = Delivery.objects.all()
    first = history.page(posts)
    post(created_at=NOW + timedelta(minutes=1))
    assert pks(history.page(posts, older=first.older)) == three_pages[3:6]
    assert history.new_since(posts, history.key_of(first.posts[0])) == 1


@pytest.mark.parametrize("key", ["x", "-", "1", "1-", "-1", "9" * 30 + "-1", "1-" + "9" * 30, "1--1", "٤-١"])
def test_a_key_that_makes_no_sense_shows_the_first_page(three_pages, key):
    posts = Delivery.objects.all()
    assert pks(history.page(posts, older=key)) == three_pages[:3]
    assert pks(history.page(posts, newer=key)) == three_pages[:3]
    history.new_since(posts, key)


def test_the_count_is_exact_up_to_its_limit(three_pages, monkeypatch):
    monkeypatch.setattr(keyset, "COUNT_LIMIT", 7)
    assert history.count(Delivery.objects.all()) == (7, False)
    monkeypatch.setattr(keyset, "COUNT_LIMIT", 6)
    assert history.count(Delivery.objects.all()) == (6, True)


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="reads SQLite's plan; others plan by their statistics"
)
def test_a_page_comes_in_order_from_the_index(three_pages, producer):
    """So page 1,000 costs what page 1 costs."""
    posts = Delivery.objects.visible_to(producer.user)
    at, pk = NOW - timedelta(minutes=3), three_pages[2]
    plans = [
        posts.newest_first()[:3].explain(),
        posts.filter(created_at__lte=at).exclude(created_at=at, pk__gte=pk).newest_first()[:3].explain(),
        posts.filter(state="failed").newest_first()[:3].explain(),
    ]
    for plan in plans:
        assert "delivery_" in plan
        assert "TEMP B-TREE" not in plan


@pytest.mark.skipif(
    connection.vendor != "sqlite", reason="reads SQLite's plan; others plan by their statistics"
)
def test_what_is_looked_for_by_its_key_is_found_by_an_index(post, producer):
    post()
    posts = Delivery.objects.visible_to(producer.user)
    plans = {
        "event_of_transaction": read({"q": "HP1234"}).of(posts),
        "event_of_buyer": read({"q": "maria@example.com"}).of(posts),
        "delivery_by_state": read({"status": history.NO_ACCESS}).of(posts),
    }
    for index, found in plans.items():
        assert index in found.explain()
