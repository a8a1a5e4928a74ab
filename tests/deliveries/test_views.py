"""The pages of the posts, through the client."""

import json
import shlex
import subprocess
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.models import Reason, Token
from configurations.models import State as ConfigState
from deliveries import engine, keyset
from deliveries.contract import signing
from deliveries.models import Audience, Delivery, DeliveryAttempt, State
from tests.factories import make_cart, make_config, make_sale, make_seller, make_staff
from tests.receiver import Answer

HISTORY = reverse("deliveries:history")
ALL = reverse("deliveries:reprocess_all")


def url(name, post):
    return reverse(f"deliveries:{name}", args=[post.pk])


def put(post, **columns):
    Delivery.objects.filter(pk=post.pk).update(**columns)
    post.refresh_from_db()
    return post


def attempt(post, number=1, **columns):
    facts = {
        "number": number,
        "started_at": timezone.now(),
        "duration_ms": 212,
        "url": post.config.url,
        "request_headers": [["webhook-id", post.webhook_id], ["X-HOTMART-HOTTOK", "••••beef"]],
        "status": 200,
        "delivered": columns.get("status", 200) == 200,
        "response_body": b"ok",
    }
    return DeliveryAttempt.objects.create(delivery=post, **facts | columns)


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


def text(answer, status=200):
    assert answer.status_code == status
    return answer.content.decode()


# Who may see what


PAGES = ["detail", "panel", "curl", "reprocess"]


@pytest.mark.parametrize("name", PAGES)
def test_a_strangers_post_is_not_there(client, sell, name):
    post = put(sell(), state=State.FAILED)
    client.force_login(make_seller().user)
    method = client.post if name == "reprocess" else client.get
    assert method(url(name, post)).status_code == 404
    post.refresh_from_db()
    assert post.state == State.FAILED


@pytest.mark.parametrize("name", PAGES)
def test_staff_who_sell_nothing_see_no_post_here(client, sell, name):
    post = sell()
    client.force_login(make_staff())
    assert (client.post if name == "reprocess" else client.get)(url(name, post)).status_code == 404


def test_a_strangers_posts_are_in_no_list_and_no_bulk(client, sell):
    post = put(sell(), state=State.FAILED)
    client.force_login(make_seller().user)
    assert post.event.transaction_code not in text(client.get(HISTORY))
    assert post.event.transaction_code not in text(
        client.get(reverse("deliveries:live"), {"ids": post.pk, "first": "0-0"})
    )
    assert f"post={post.pk}" not in text(client.get(HISTORY, {"post": post.pk, "config": post.config_id}))
    client.post(ALL, {})
    post.refresh_from_db()
    assert post.state == State.FAILED


def test_a_strangers_configuration_is_not_enabled(client, config):
    config.switch_off()
    client.force_login(make_seller().user)
    assert client.post(reverse("deliveries:enable", args=[config.pk])).status_code == 404
    config.refresh_from_db()
    assert config.state == ConfigState.OFF


def test_whoever_is_not_logged_in_is_sent_to_the_login(client, sell):
    post = sell()
    client.logout()
    addresses = [
        HISTORY,
        ALL,
        reverse("deliveries:live"),
        reverse("deliveries:codes"),
        reverse("deliveries:code", args=["404"]),
    ]
    addresses += [url(name, post) for name in ("detail", "panel", "curl")]
    addresses.append(reverse("deliveries:enable", args=[post.config_id]))
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("account_login"))
    assert client.post(url("reprocess", post))["Location"].startswith(reverse("account_login"))


def test_only_a_post_reprocesses(client, sell):
    post = put(sell(), state=State.FAILED)
    assert client.get(url("reprocess", post)).status_code == 405


# The list


def test_a_row_says_what_came_of_a_post(client, sell):
    post = put(
        sell(),
        state=State.WAITING,
        tries=2,
        last_status=419,
        next_try_at=timezone.now() + timedelta(minutes=4),
    )
    page = text(client.get(HISTORY))
    for part in (
        post.event.transaction_code,
        post.event.buyer_email,
        post.config.name,
        "419",
        "2/5",
        "next try",
        "Send now",
    ):
        assert part in page
    assert reverse("deliveries:code", args=["419"]) in page


def test_what_the_receiver_and_the_buyer_wrote_is_escaped(client, sell):
    evil = "<script>alert(1)</script>"
    post = sell(buyer_name=evil)
    attempt(
        post,
        response_body=evil.encode(),
        response_headers=[["Content-Type", "text/html"], ["X-Evil", evil]],
        detail=evil,
    )
    for tab in ("payload", "response", "headers", "curl"):
        for raw in ("", "1"):
            assert evil not in text(client.get(url("detail", post), {"tab": tab, "raw": raw}))
    assert evil not in text(client.get(HISTORY, {"q": evil, "post": post.pk, "status": evil, "from": evil}))


def test_the_list_takes_as_many_queries_for_thirty_posts_as_for_two(client, sell):
    def queries(address):
        client.get(address)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            text(client.get(address))
        return len(captured)

    pages = [HISTORY, f"{HISTORY}?status=waiting", ALL]
    for _ in range(2):
        sell()
    before = [queries(page) for page in pages]
    for _ in range(28):
        sell()
    assert [queries(page) for page in pages] == before


def test_pages_are_linked_by_key(client, sell, monkeypatch):
    monkeypatch.setattr(keyset, "PAGE", 2)
    codes = [sell().event.transaction_code for _ in range(3)][::-1]
    first = client.get(HISTORY, {"event": "PURCHASE_APPROVED"})
    older = client.get(HISTORY + first.context["older_url"])
    assert codes[2] not in text(first)
    assert codes[2] in text(older)
    assert codes[0] not in text(older)
    assert parse_qs(urlsplit(first.context["older_url"]).query)["event"] == ["PURCHASE_APPROVED"]
    assert codes[0] in text(client.get(HISTORY + older.context["newer_url"]))


def test_an_affiliates_page_names_no_buyer_whom_the_posts_hide(client, sell):
    post = put(sell(), audience=Audience.AFFILIATE)
    for address in (HISTORY, url("detail", post)):
        page = text(client.get(address))
        assert post.event.buyer_email not in page
        assert "not shown to affiliates" in page


@pytest.mark.parametrize(
    "query",
    [
        "status=%00",
        "older=9-9&newer=x",
        "post=abc",
        "post=99999999999999999999",
        "q=%00%FF",
        "config=0x1",
        "from=%F0",
        "ids=a.b&first=-",
    ],
)
def test_no_query_string_breaks_the_page(client, sell, query):
    sell()
    assert client.get(f"{HISTORY}?{query}").status_code == 200
    assert client.get(f"{reverse('deliveries:live')}?{query}").status_code == 200
    assert client.get(f"{ALL}?{query}").status_code == 200


def test_the_list_says_what_to_do_where_there_is_nothing(client, producer):
    assert reverse("configurations:add") in text(client.get(HISTORY))
    make_config(producer)
    assert "As soon as a sale changes" in text(client.get(HISTORY))
    page = text(client.get(HISTORY, {"q": "nobody"}))
    assert "Nothing matches" in page


def test_the_chart_counts_what_the_page_counts(client, sell):
    for state in (State.DELIVERED, State.DELIVERED, State.FAILED, State.HELD):
        put(sell(), state=state)
    chart = client.get(HISTORY).context["chart"]
    assert chart.totals == {"ok": 2, "wait": 1, "bad": 1}
    last = chart.wide[-1]
    assert client.get(HISTORY + last.url).context["count"] == last.bar.slot.total == 4


@pytest.mark.parametrize(
    "query",
    [
        {"period": "30d"},
        {"from": "2020-01-01", "to": "2026-01-01"},
        {"to": "2020-01-01"},
        {"from": "2020-02-30"},
    ],
)
def test_the_chart_of_a_long_period_has_a_bar_a_day(client, sell, query):
    sell()
    chart = client.get(HISTORY, query).context["chart"]
    assert 1 <= len(chart.wide) <= 92


# Live


def test_a_poll_shows_the_rows_as_they_are_and_counts_the_new_ones(client, sell):
    first = put(sell(), state=State.WAITING)
    poll = client.get(HISTORY, {"status": "waiting"}).context["live_url"]
    put(first, state=State.DELIVERED, last_status=200)
    second, third = sell(), sell()
    page = text(client.get(poll))
    assert "Delivered" in page  # it stays, though the filter would not find it any more
    assert "2 new posts: show" in page
    assert second.event.transaction_code not in page
    assert third.event.transaction_code not in page


def test_an_older_page_is_not_told_of_new_posts(client, sell, monkeypatch):
    monkeypatch.setattr(keyset, "PAGE", 1)
    sell(), sell()
    older = client.get(HISTORY + client.get(HISTORY).context["older_url"])
    sell()
    assert "new post" not in text(client.get(older.context["live_url"]))


def test_the_empty_list_hears_of_the_first_post(client, config, sell):
    poll = client.get(HISTORY).context["live_url"]
    sell()
    assert "1 new post: show" in text(client.get(poll))


# One post


def test_the_detail_shows_payload_answer_headers_and_words(client, sell):
    post = put(sell(), state=State.FAILED, last_status=500, tries=1, attempts_made=1)
    attempt(
        post,
        status=500,
        delivered=False,
        response_body=b'{"error": "Jo\xc3\xa3o"}',
        response_headers=[["Content-Type", "application/json"], ["Server", "nginx"]],
    )
    page = text(client.get(url("detail", post)))
    assert "PURCHASE_APPROVED" in page
    assert "Your program failed on this post." in page
    assert "Copy report for my programmer" in page
    assert "João" in text(client.get(url("detail", post), {"tab": "response"}))
    headers = text(client.get(url("detail", post), {"tab": "headers"}))
    assert "nginx" in headers
    assert "••••beef" in headers


def test_each_attempt_can_be_chosen(client, sell):
    post = sell()
    attempt(post, 1, status=404, delivered=False, response_body=b"first answer")
    attempt(post, 2, response_body=b"second answer")
    assert "second answer" in text(client.get(url("detail", post), {"tab": "response"}))
    assert "first answer" in text(client.get(url("detail", post), {"tab": "response", "attempt": "1"}))
    assert "second answer" in text(client.get(url("detail", post), {"tab": "response", "attempt": "99"}))


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00\x01",
        b'{"a": "\\ud800"}',
        b"[" * 5000,
        b"1" * 5000,
        b"<p>\x1b[31m",
        "\u202eevil".encode(),
        b"\0",
    ],
)
@pytest.mark.parametrize(
    "kind", ["application/json", "text/html; charset=utf-16", "text/plain; charset=nope", "", "x;;=\r\n"]
)
def test_no_answer_breaks_the_page(client, sell, body, kind):
    post = sell()
    attempt(post, response_body=body, response_headers=[["Content-Type", kind]])
    page = text(client.get(url("detail", post), {"tab": "response"}))
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_form_is_decoded(client, sell):
    post = sell()
    attempt(
        post,
        response_body=b"name=Jo%C3%A3o+Silva&x=",
        response_headers=[["content-type", "application/x-www-form-urlencoded"]],
    )
    assert "João Silva" in text(client.get(url("detail", post), {"tab": "response"}))


def test_a_cut_answer_says_so(client, sell):
    post = sell()
    attempt(post, response_cut=True)
    assert "Cut at 64 KiB" in text(client.get(url("detail", post), {"tab": "response"}))


def test_a_web_page_for_an_answer_is_delivered_but_amber(client, sell):
    post = put(sell(), state=State.DELIVERED, last_status=200, answered_page=True)
    attempt(post, response_body=b"<html>Login")
    assert 'class="code wait"' in text(client.get(HISTORY))
    assert "it may have ignored the post" in text(client.get(url("detail", post)))


def test_a_post_that_cannot_be_made_says_so(client, sell):
    post = sell()
    post.event.snapshot = {"price": "many"}
    post.event.save()
    for tab in ("payload", "curl"):
        assert "The fault is ours" in text(client.get(url("detail", post), {"tab": tab}))
    assert client.get(url("curl", post)).status_code == 404


def test_the_command_posts_the_same_signed_afresh(client, sell, receiver, tmp_path):
    post = sell(buyer_name='O\'Neil $(touch x) `id` "q" \\ 漢字')
    command = text(client.get(url("curl", post)))
    token = Token.objects.get_or_create(seller=post.owner)[0].value
    assert token not in command
    subprocess.run(
        ["bash", "-c", command],
        env={"HOTTOK": token, "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    [got] = receiver.wait_for(1)
    assert not list(tmp_path.iterdir())
    assert json.loads(got.body)["data"]["buyer"]["name"] == 'O\'Neil $(touch x) `id` "q" \\ 漢字'
    assert got.headers["x-hotmart-hottok"] == token
    assert got.headers["webhook-id"] == post.webhook_id
    stamp = int(got.headers["webhook-timestamp"])
    assert got.headers["webhook-signature"] == signing.sign(
        post.config.secret, post.webhook_id, stamp, got.body
    )


def test_a_url_in_the_command_is_quoted(client, sell):
    post = sell()
    post.config.url = "https://example.com/?a=$(reboot)&b='; rm -rf ~ #"
    post.config.save()
    assert shlex.split(text(client.get(url("curl", post))).replace("\\\n", ""))[2] == post.config.url


def test_the_report_holds_no_secret(client, sell):
    post = sell()
    attempt(post, status=500, delivered=False, response_body=b"Traceback: line 12")
    report = client.get(url("detail", post)).context["detail"].report()
    assert "Traceback: line 12" in report
    assert post.webhook_id in report
    assert post.config.secret not in report


def test_a_post_that_is_not_finished_keeps_up(client, sell):
    post = sell()
    assert "data-live" in text(client.get(url("panel", post)))
    put(post, state=State.DELIVERED)
    assert "data-live" not in text(client.get(url("panel", post)))


# Sending again


def test_reprocess_sends_once_however_often_it_is_pressed(client, sell, receiver):
    post = sell()
    engine.drain()
    button = client.get(HISTORY).context["rows"][0].send_url
    for _ in range(3):
        client.post(button)
    engine.drain()
    client.post(button)
    engine.drain()
    assert receiver.webhook_ids() == [post.webhook_id] * 2


def test_reprocess_starts_a_fresh_set_of_tries_and_goes_back(client, sell):
    post = put(sell(), state=State.FAILED, tries=5, attempts_made=5)
    answer = client.post(url("reprocess", post), {"next": f"{HISTORY}?status=failed"})
    assert answer["Location"] == f"{HISTORY}?status=failed"
    post.refresh_from_db()
    assert (post.state, post.tries) == (State.WAITING, 0)


def test_it_goes_back_to_no_other_site(client, sell):
    post = put(sell(), state=State.FAILED)
    assert client.post(url("reprocess", post), {"next": "https://evil.example/"})["Location"] == url(
        "detail", post
    )


def test_what_waits_is_sent_now(client, sell):
    post = put(sell(), state=State.WAITING, tries=3, next_try_at=timezone.now() + timedelta(hours=1))
    client.post(url("reprocess", post))
    post.refresh_from_db()
    assert (post.tries, post.next_try_at) == (3, None)


def test_what_cannot_be_sent_says_why(client, sell, config):
    post = put(sell(), state=State.SENDING)
    assert "already on its way" in text(client.post(url("reprocess", post), follow=True))
    put(post, state=State.FAILED)
    config.switch_off()
    assert "switched off" in text(client.post(url("reprocess", post), follow=True))


def test_with_htmx_the_row_or_the_panel_comes_back(client, sell):
    post = put(sell(), state=State.FAILED)
    row = text(client.post(f"{url('reprocess', post)}?as=row"))
    assert f'id="post-{post.pk}"' in row
    assert "Waiting" in row
    put(post, state=State.SENDING)
    assert "already on its way" in text(client.post(f"{url('reprocess', post)}?as=panel"))


def test_all_that_the_filter_shows_is_counted_and_then_sent(client, sell, producer, product):
    failed = [put(sell(), state=State.FAILED, last_status=404) for _ in range(3)]
    arrived = put(sell(), state=State.DELIVERED, last_status=200)
    off = make_config(producer, name="Not on")
    stays = put(
        off.deliveries.get_or_create(
            event=failed[0].event,
            defaults={"owner": producer, "created_at": timezone.now(), "webhook_id": "msg_x"},
        )[0],
        state=State.FAILED,
        last_status=404,
    )
    off.switch_off()
    page = client.get(ALL, {"response": "4xx"})
    assert "Send 3 posts?" in text(page)
    assert "1 post to “Not on” stays" in text(page)
    answer = client.post(f"{ALL}?response=4xx", {"asked_at": page.context["asked_at"]}, follow=True)
    assert "3 posts are on their way." in text(answer)
    assert set(Delivery.objects.filter(state=State.WAITING).values_list("pk", flat=True)) == {
        post.pk for post in failed
    }
    for post in (arrived, stays):
        before = post.state
        post.refresh_from_db()
        assert post.state == before


def test_the_question_says_how_many_arrived_already(client, sell):
    put(sell(), state=State.DELIVERED)
    put(sell(), state=State.FAILED)
    assert "1 of them arrived already" in text(client.get(ALL))


def test_a_bulk_pressed_twice_sends_once(client, sell, receiver):
    post = sell()
    engine.drain()
    asked_at = client.get(ALL, {"status": "delivered"}).context["asked_at"]
    later = sell()
    for _ in range(2):
        client.post(f"{ALL}?status=delivered", {"asked_at": asked_at})
        engine.drain()
    assert sorted(receiver.webhook_ids()) == sorted([post.webhook_id, post.webhook_id, later.webhook_id])


@pytest.mark.parametrize("asked_at", ["", "yesterday", "2026-11-23T10:00", "2026-99-99T00:00:00+00:00"])
def test_a_bulk_without_a_time_takes_the_present(client, sell, asked_at):
    post = put(sell(), state=State.FAILED)
    client.post(ALL, {"asked_at": asked_at})
    post.refresh_from_db()
    assert post.state == State.WAITING


# Codes


@pytest.mark.parametrize("slug", ["404", "418", "dns", "page", "apps-script", "2xx", "tls_wrong_host"])
def test_each_code_has_a_page(client, slug):
    assert "200" in text(client.get(reverse("deliveries:codes")))
    text(client.get(reverse("deliveries:code", args=[slug])))


def test_what_is_no_code_has_no_page(client):
    assert client.get(reverse("deliveries:code", args=["nope"])).status_code == 404


# Enabling


def enable_url(config):
    return reverse("deliveries:enable", args=[config.pk])


def test_enabling_is_done_at_once_where_nothing_is_held(client, config):
    config.disable(Reason.GONE)
    assert "Enable" in text(client.get(enable_url(config)))
    config.refresh_from_db()
    assert config.state == ConfigState.DISABLED
    assert client.post(enable_url(config))["Location"] == reverse("configurations:list")
    config.refresh_from_db()
    assert config.state == ConfigState.ON


@pytest.fixture
def held(config, product, sell):
    """An approved, a fresh cart and one of two days ago, all held. By name."""
    config.disable(Reason.GONE)
    approved = sell()
    carts = {}
    for name, age in (("fresh", 1), ("stale", 48)):
        cart = make_cart(product)
        cart.events.update(occurred_at=timezone.now() - timedelta(hours=age))
        carts[name] = config.deliveries.get(event__cart=cart)
    return {"approved": approved, **carts}


def states(held):
    for post in held.values():
        post.refresh_from_db()
    return {name: str(post.state) for name, post in held.items()}


def test_enabling_asks_what_becomes_of_held_posts(client, config, held):
    page = text(client.post(enable_url(config)))
    config.refresh_from_db()
    assert config.state == ConfigState.DISABLED
    assert 'value="PURCHASE_APPROVED.fresh" checked' in page
    assert 'value="PURCHASE_OUT_OF_SHOPPING_CART.fresh" checked' in page
    assert 'name="send" value="PURCHASE_OUT_OF_SHOPPING_CART.stale">' in page
    assert states(held) == {"approved": "held", "fresh": "held", "stale": "held"}


def test_ticked_posts_are_sent_and_the_others_discarded(client, config, held):
    shown = [
        "PURCHASE_APPROVED.fresh",
        "PURCHASE_OUT_OF_SHOPPING_CART.fresh",
        "PURCHASE_OUT_OF_SHOPPING_CART.stale",
    ]
    answer = client.post(enable_url(config), {"shown": shown, "send": shown[:2]}, follow=True)
    assert "2 held posts are on their way." in text(answer)
    assert "1 was discarded." in text(answer)
    assert states(held) == {"approved": "waiting", "fresh": "waiting", "stale": "discarded"}
    config.refresh_from_db()
    assert config.state == ConfigState.ON


def test_what_was_not_shown_is_never_discarded(client, config, held):
    client.post(enable_url(config), {"shown": ["PURCHASE_OUT_OF_SHOPPING_CART.stale"]})
    assert states(held) == {"approved": "waiting", "fresh": "waiting", "stale": "discarded"}


def test_a_choice_that_makes_no_sense_changes_nothing(client, config, held):
    text(client.post(enable_url(config), {"shown": ["nonsense"]}))
    assert states(held) == {"approved": "held", "fresh": "held", "stale": "held"}


def test_a_hanging_receiver_shows_in_words(client, sell, receiver):
    """From the sale to the words on the page, with a real post."""
    receiver.answers(Answer(419, b"Page Expired"))
    sell()
    engine.drain()
    page = text(client.get(HISTORY))
    assert "419" in page
    post = Delivery.objects.get()
    assert "CSRF check refused the post" in text(client.get(url("detail", post)))
    assert "Page Expired" in text(client.get(url("detail", post), {"tab": "response"}))


def test_one_sale_to_two_configurations_is_two_posts(client, config, producer, product):
    make_config(producer, url=config.url, name="The other one")
    make_sale(product)
    page = client.get(HISTORY)
    assert page.context["count"] == 2
    assert "The other one" in text(page)
