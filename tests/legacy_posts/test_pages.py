"""Sent Posts, Pending Posts, and old and new posts in one list."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from deliveries import keyset
from legacy_posts import filters
from tests import factories

pytestmark = pytest.mark.django_db

SENT, PENDING, ALL = (reverse(f"legacy_posts:{name}") for name in ("sent", "pending", "all"))
AT = datetime(2024, 5, 12, 12, 0, tzinfo=UTC)


@pytest.fixture
def web(client, producer):
    client.force_login(producer.user)
    return client


@pytest.fixture
def old(producer):
    def old(count=None, **facts):
        made = factories.make_legacy_posts(producer, count or 1, **facts)
        return made if count else made[0]

    return old


def shown(web, address, **params):
    """The posts that the list shows, in its order."""
    return [row.post for row in web.get(address, params).context["rows"]]


def text_of(web, address, **params):
    return web.get(address, params).content.decode()


# --- The tabs


@pytest.mark.parametrize(
    "address", [reverse("deliveries:history"), reverse("configurations:list"), SENT, ALL]
)
def test_the_tabs_show_only_to_who_has_such_posts(web, old, address):
    factories.make_legacy_post(factories.make_seller())
    page = text_of(web, address)
    assert "Sent Posts</a>" not in page
    assert "Pending Posts</a>" not in page
    old()
    page = text_of(web, address)
    assert "Sent Posts</a>" in page
    assert "Pending Posts</a>" not in page
    old(kind="pending")
    assert "Pending Posts</a>" in text_of(web, address)


def test_the_history_leads_to_both_together_where_there_are_old_posts(web, producer, product, old):
    factories.make_config(producer)
    factories.make_sale(product)
    assert "With the posts of the former system" not in text_of(web, reverse("deliveries:history"))
    old()
    assert "With the posts of the former system" in text_of(web, reverse("deliveries:history"))


# --- The lists


def test_each_list_has_its_kind_newest_first_and_says_where_it_is_from(web, old):
    older, newer = old(occurred_at=AT), old(occurred_at=AT + timedelta(days=1))
    waiting = old(kind="pending")
    assert shown(web, SENT) == [newer, older]
    assert shown(web, PENDING) == [waiting]
    assert "From the former system, imported on <time" in text_of(web, SENT)


def test_a_list_without_posts_says_so(web, old):
    assert "No posts of the former system" in text_of(web, SENT)
    assert "All done" in text_of(web, PENDING)
    old()
    page = text_of(web, SENT, q="nothing like it")
    assert "Nothing matches" in page
    assert "Clear the filters" in page


def test_when_all_pending_posts_are_sent_it_is_all_done(web, old):
    assert "All done." not in text_of(web, PENDING)
    old(kind="pending", sent_at=timezone.now())
    page = text_of(web, PENDING)
    assert "All done." in page
    assert "No pending post is left to send." in page
    old(kind="pending")
    assert "All done." not in text_of(web, PENDING)


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ({"event": "PURCHASE_REFUNDED"}, {"event": "PURCHASE_REFUNDED"}),
        ({"response": "4xx"}, {"status": 404}),
        ({"response": "404"}, {"status": 404}),
        ({"response": "none"}, {"status": None, "problem": "timed out"}),
        ({"host": "hooks.example.com"}, {"host": "hooks.example.com"}),
        ({"q": "hp77"}, {"transaction_code": "HP7701"}),
        ({"q": "Joao@example.com"}, {"buyer_email": "joao@example.com"}),
        ({"q": "joao@ex"}, {"buyer_email": "joao@example.com"}),
        ({"q": "olaria"}, {"product_name": "Curso de Olaria"}),
        ({"from": "2023-01-01", "to": "2023-01-02"}, {"occurred_at": datetime(2023, 1, 1, 12, tzinfo=UTC)}),
    ],
)
def test_a_filter_finds_its_posts(web, old, query, facts):
    old(2, status=200, transaction_code="HP1", buyer_email="x@example.com")
    wanted = old(**{"status": 200} | facts)
    assert shown(web, SENT, **query) == [wanted]


def test_pending_posts_are_found_by_whether_they_were_sent(web, old):
    sent, left = old(kind="pending", sent_at=timezone.now()), old(kind="pending")
    assert shown(web, PENDING, state="sent") == [sent]
    assert shown(web, PENDING, state="to_send") == [left]


def test_a_filter_that_makes_no_sense_is_left_out_and_said(web, old):
    old()
    page = text_of(web, SENT, event="x", response="timeout", host="unknown.example", period="y")
    assert page.count("it was left out.") == 4
    assert len(shown(web, SENT, event="x")) == 1


def test_the_hosts_can_be_chosen_from_without_reading_every_row(web, producer, old):
    for host in ("b.example", "a.example", "b.example", ""):
        old(host=host)
    old(kind="pending", host="c.example")
    assert filters.hosts_of(producer, "sent") == ["a.example", "b.example"]


def test_hosts_beyond_those_listed_can_still_be_asked_for(web, old, monkeypatch):
    monkeypatch.setattr(filters, "HOSTS", 2)
    for n in range(3):
        old(host=f"h{n}.example")
    assert [post.host for post in shown(web, SENT, host="h2.example")] == ["h2.example"]


def test_pages_by_key_hold_each_post_once_in_both_directions(web, old, monkeypatch):
    monkeypatch.setattr(keyset, "PAGE", 3)
    posts = [old(occurred_at=AT + timedelta(minutes=n // 4)) for n in range(8)]  # some at the same time
    expected = sorted(posts, key=lambda post: (post.occurred_at, post.pk), reverse=True)
    pages, params = [], {}
    while True:
        context = web.get(SENT, params).context
        pages.append([row.post for row in context["rows"]])
        if not context["older_url"]:
            break
        params = {"older": context["older_url"].partition("older=")[2]}
    assert [post for page in pages for post in page] == expected
    back = web.get(SENT + context["newer_url"]).context
    assert [row.post for row in back["rows"]] == pages[-2]
    assert context["count"] == 8


def test_the_count_says_when_there_are_more(web, old, monkeypatch):
    monkeypatch.setattr(keyset, "PAGE", 1)
    monkeypatch.setattr(keyset, "COUNT_LIMIT", 2)
    old(3)
    assert "more than 2 posts" in text_of(web, SENT)


@pytest.mark.parametrize("rows", [10, 100])
@pytest.mark.parametrize("address", [SENT, PENDING, ALL, reverse("legacy_posts:send_all")])
def test_a_page_makes_at_most_15_queries(
    web, producer, product, old, rows, address, django_assert_max_num_queries
):
    for n in range(5):
        factories.make_config(producer, url=f"https://{n}.example.com/in")
    factories.make_sales(product, rows)
    old(rows)
    old(rows, kind="pending")
    with django_assert_max_num_queries(15):
        assert web.get(address).status_code == 200


# --- One post


def test_a_post_shows_payload_and_response_safely(web, old):
    post = old(
        payload='{"x": "<script>alert(1)</script>"}', response="<h1>Hi</h1>", status=500, problem="boom"
    )
    for address in (post.get_absolute_url(), post.panel_path):
        page = text_of(web, address)
        assert "&lt;script&gt;" in page
        assert "<script>alert" not in page
        assert "Your program failed on this post." in page
        assert "from the former system, imported on" in page
    assert "&lt;h1&gt;" in text_of(web, post.get_absolute_url(), tab="response")
    assert "Hi" in text_of(web, SENT, post=post.pk, tab="response")


def test_a_post_opens_beside_the_list_and_keeps_the_filters(web, old):
    post = old(event="PURCHASE_REFUNDED", payload="")
    page = text_of(web, SENT, post=post.pk, event="PURCHASE_REFUNDED")
    assert f'data-post="{post.pk}"' in page
    assert f'href="{SENT}?event=PURCHASE_REFUNDED"' in page  # close
    assert "kept no payload" in page


@pytest.mark.parametrize("pk", ["x", "999999", "9" * 30, "-1"])
def test_a_post_that_is_not_there_leaves_the_list_alone(web, old, pk):
    old()
    assert web.get(SENT, {"post": pk}).status_code == 200


def test_a_pending_post_is_no_sent_one(web, old):
    post = old(kind="pending")
    assert web.get(reverse("legacy_posts:sent_post", args=[post.pk])).status_code == 404


def test_a_sent_pending_post_outlives_its_delivery(web, old):
    post = old(kind="pending", sent_at=timezone.now())
    assert "The History does not keep it any more." in text_of(web, post.get_absolute_url())
    assert "Sent from here" in text_of(web, PENDING)


@pytest.mark.parametrize("name", ["sent", "sent_export", "all", "pending"])
def test_only_reading_is_possible(web, name):
    assert web.post(reverse(f"legacy_posts:{name}")).status_code == 405


# --- The export


def test_the_export_holds_what_the_filter_shows_and_no_formula(web, old):
    old(event="PURCHASE_REFUNDED", product_name="=cmd()", payload='{"a": 1}', occurred_at=AT, status=204)
    old(2)
    answer = web.get(reverse("legacy_posts:sent_export"), {"event": "PURCHASE_REFUNDED"})
    assert answer.streaming
    assert 'filename="sent-posts-' in answer["Content-Disposition"]
    text = b"".join(answer.streaming_content).decode("utf-8-sig")
    header, row = csv.reader(io.StringIO(text))
    facts = dict(zip(header, row, strict=True))
    assert facts["Product"] == "'=cmd()"
    assert facts["Time (UTC)"] == "2024-05-12T12:00:00+00:00"
    assert (facts["Payload"], facts["HTTP status"], facts["Event"]) == (
        '{"a": 1}',
        "204",
        "PURCHASE_REFUNDED",
    )


# --- Old and new together


def keys(web, **params):
    rows = web.get(ALL, params).context["rows"]
    return [("old", row["old"].pk) if "old" in row else ("new", row["post"].pk) for row in rows]


@pytest.fixture
def mixed(producer, product, old):
    """Five of each kind, interleaved, two pairs at the very same time; newest first."""
    config = factories.make_config(producer)
    factories.make_sales(product, 5)
    new = list(config.deliveries.all())
    for n, post in enumerate(new):
        post.created_at = AT + timedelta(minutes=2 * n)
        post.save()
    posts = [old(occurred_at=AT + timedelta(minutes=m), status=404) for m in (0, 3, 4, 5, 9)]
    rows = [(post.created_at, 1, ("new", post.pk)) for post in new]
    rows += [(post.occurred_at, 0, ("old", post.pk)) for post in posts]
    return [row[2] for row in sorted(rows, reverse=True)]


def test_both_stand_in_order_of_time_and_the_old_ones_are_marked(web, mixed):
    assert keys(web) == mixed
    assert text_of(web, ALL).count("former system</span>") == 5


@pytest.mark.parametrize("size", [1, 2, 3, 4, 9])
def test_pages_of_both_hold_each_once_in_both_directions(web, mixed, monkeypatch, size):
    from legacy_posts import merged

    monkeypatch.setattr(merged, "PAGE", size)
    pages, urls, context = [], [""], web.get(ALL).context
    while True:
        pages.append([("old", r["old"].pk) if "old" in r else ("new", r["post"].pk) for r in context["rows"]])
        if not context["older_url"]:
            break
        urls.append(context["older_url"])
        context = web.get(ALL + context["older_url"]).context
    assert [key for page in pages for key in page] == mixed
    for page in reversed(pages[:-1]):
        context = web.get(ALL + context["newer_url"]).context
        assert [
            ("old", r["old"].pk) if "old" in r else ("new", r["post"].pk) for r in context["rows"]
        ] == page


@pytest.mark.parametrize("key", ["x", "1-2-3", "1-0", "1-1-" + "9" * 30, "--", "9" * 30 + "-0-1"])
def test_a_key_that_makes_no_sense_shows_the_first_page(web, mixed, key):
    assert keys(web, older=key) == keys(web, newer=key) == mixed


def test_shared_filters_find_old_and_new(web, mixed, producer):
    assert {kind for kind, _pk in keys(web, response="404")} == {"old"}
    assert keys(web, status="failed", host="x") == mixed  # only one of both has these
    assert "Nothing matches" in text_of(web, ALL, q="HP999")
    assert "The period could not be read" in text_of(web, ALL, period="x")


def test_a_page_of_both_reads_at_most_two_pages(
    web, producer, old, monkeypatch, django_assert_max_num_queries
):
    old(2 * keyset.PAGE)
    assert len(keys(web)) == keyset.PAGE
