"""The admin's first page: how the posts fare, at a glance, and the lists behind each number."""

import re
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from configurations.models import Reason, WebhookConfig
from deliveries import charts, hosts
from deliveries.models import Delivery, DeliveryAttempt, State
from deliveries.staff import board, day
from tests import factories

from .staff import make_member, make_tries, queries_of

pytestmark = pytest.mark.django_db
INDEX = "/admin/"
VIEW = ("deliveries.view_delivery", "deliveries.view_deliveryattempt", "configurations.view_webhookconfig")


@pytest.fixture(autouse=True)
def _fresh_counts():
    cache.clear()


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def tiles_of(client):
    text = client.get(INDEX).content.decode()
    rows = re.findall(r'class="label">([^<]+)</span><span class="value">([^<]*)</span>', text)
    return dict(rows)


def test_a_fresh_install_says_that_there_is_nothing_yet(staff):
    LogEntry.objects.all().delete()
    text = staff.get(INDEX).content.decode()
    for words in (
        "No posts in the last 24 hours",
        "Nothing was tried in the last 24 hours.",
        "No try failed.",
        "No configuration was disabled in the last seven days.",
        "Nothing was changed yet.",
        "Nothing that is due waits",
    ):
        assert words in text
    assert '<svg class="bars"' not in text
    assert "/admin/sales/seller/" in text  # Django's own list stands below


def test_the_tiles_say_how_the_posts_fare(staff, producer):
    config = factories.make_config(producer)
    make_tries(config, 200)
    make_tries(config, 500, 200)
    make_tries(config, 500)
    Delivery.objects.update(state=State.DELIVERED)
    Delivery.objects.filter(pk=Delivery.objects.last().pk).update(state=State.WAITING, next_try_at=None)
    tiles = tiles_of(staff)
    assert tiles["Posts delivered"] == "66.6\u00a0%"
    assert tiles["Tries accepted"] == "50\u00a0%"
    assert tiles["Posts in the last hour"] == "3"
    assert tiles["Queue"] == "1"
    assert tiles["Workers alive"] == "0"
    assert tiles["Oldest waiting post"].endswith(" s")


def test_each_hour_is_a_bar_that_leads_to_its_tries(staff, producer):
    config, now = factories.make_config(producer), timezone.now()
    make_tries(config, 200, 200, 503, "timeout", at=now)
    make_tries(config, 200, at=now - timedelta(hours=3))
    make_tries(config, 200, at=now - timedelta(hours=25))
    text = staff.get(INDEX).content.decode()
    labels = re.findall(r'<a href="([^"]+)" aria-label="([^"]*accepted, [^"]*)"', text)
    counts = {re.sub(r".*: ", "", label) for _url, label in labels}
    assert counts == {
        "2 accepted, 1 refused, 1 without an answer",
        "1 accepted, 0 refused, 0 without an answer",
    }
    for url, label in labels:
        listed = staff.get(url.replace("&amp;", "&"))
        assert listed.context["cl"].result_count == (4 if "2 accepted" in label else 1)


def test_the_table_under_the_chart_holds_the_same_numbers(staff, producer):
    make_tries(factories.make_config(producer), 200, 503, "timeout")
    text = staff.get(INDEX).content.decode()
    [row] = re.findall(r'<th scope="row"><a [^>]+>[^<]+</a></th>((?:<td class="n">[^<]*</td>)+)', text)
    assert re.findall(r">([^<]+)<", row) == ["3", "1", "1", "1", "33.3\u00a0%"]


def test_the_hosts_that_fail_most_and_the_slowest_stand_first(staff, producer):
    slow = factories.make_config(producer, url="https://slow.example.com/a")
    make_tries(slow, 200, 200, ms=4000)
    bad = factories.make_config(producer, url="https://bad.example.com/a")
    make_tries(bad, 500, 500, 200)
    made = board.board(factories.make_staff())
    assert [(line.name, line.tally.failed) for line in made.failing] == [("bad.example.com", 2)]
    assert [line.name for line in made.slowest] == ["slow.example.com", "bad.example.com"]
    assert (made.slowest[0].tally.p95_ms, made.slowest[0].tally.mean_ms) == (5000, 4000)
    assert 'href="/admin/hosts/bad.example.com/"' in staff.get(INDEX).content.decode()


def test_what_was_disabled_this_week_stands_there_with_its_reason_and_owner(staff):
    owner = factories.make_seller(name="Ana Souza")
    factories.make_config(owner, name="Members").disable(Reason.GONE)
    earlier = factories.make_config(owner, name="Long ago")
    earlier.disable(Reason.SERVER)
    WebhookConfig.objects.filter(pk=earlier.pk).update(state_changed_at=timezone.now() - timedelta(days=8))
    text = staff.get(INDEX).content.decode()
    box = text.partition('id="disabled-title"')[2].partition("</section>")[0]
    assert "Members" in box
    assert "Ana Souza" in box
    assert "The server said twice that the address is gone for good (410)." in box
    assert "Long ago" not in box


def test_the_last_changes_and_the_held_hosts_stand_there(staff, producer):
    factories.make_config(producer, url="https://hooks.example.com/a")
    staff.post("/admin/hosts/hooks.example.com/hold/", {"reason": "It moves tonight."})
    text = staff.get(INDEX).content.decode()
    assert "Hosts that we hold" in text
    assert "It moves tonight." in text
    entry = LogEntry.objects.order_by("-timestamp", "-pk").first()
    box = text.partition('id="audit-title"')[2].partition("</section>")[0]
    assert f"/admin/auditlog/logentry/{entry.pk}/change/" in box
    assert "The host was held: It moves tonight." in box
    assert entry.actor_email in box


def test_every_link_of_it_leads_somewhere(staff, producer):
    config = factories.make_config(producer)
    make_tries(config, 200, 500)
    config.disable(Reason.GONE)
    hosts.hold("example.com", "Why not.", factories.make_staff())
    text = re.search(
        r'<div class="board">.*<div id="content-main"', staff.get(INDEX).content.decode(), re.DOTALL
    )
    links = set(re.findall(r'href="(/[^"#]+)"', text.group()))
    assert len(links) > 10
    for link in links:
        assert staff.get(link.replace("&amp;", "&")).status_code == 200, link


@pytest.mark.parametrize("rows", [10, 100])
def test_it_takes_few_queries_whatever_there_is(client, rows, django_assert_max_num_queries):
    client.force_login(make_member(*VIEW, "auditlog.view_logentry"))
    owner = factories.make_seller()
    product = factories.make_product(owner)
    for n in range(rows):
        config = factories.make_config(owner, product=product, url=f"https://h{n}.example.com/")
        if n < 5:
            hosts.hold(config.host, "Why not.", owner.user)
    sale = factories.make_sale(product)
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=delivery, number=1, started_at=timezone.now(), duration_ms=5, url="", request_headers=[],
            status=500, delivered=False,
        )
        for delivery in Delivery.objects.filter(event__sale=sale)
    )  # fmt: skip
    for config in WebhookConfig.objects.all():
        config.disable(Reason.GONE)
    client.get(INDEX)
    cache.clear()
    with django_assert_max_num_queries(18):
        assert client.get(INDEX).status_code == 200


# --- Who sees what --------------------------------------------------------------------------------------


def test_who_may_not_see_posts_sees_the_list_of_models_alone(client, producer):
    make_tries(factories.make_config(producer), 500)
    client.force_login(make_member("sales.view_seller"))
    text = client.get(INDEX).content.decode()
    assert 'class="board"' not in text
    assert "/admin/sales/seller/" in text


def test_who_sees_posts_alone_is_led_nowhere_else(client, producer):
    config = factories.make_config(producer, name="Members")
    make_tries(config, 500)
    config.disable(Reason.GONE)
    client.force_login(make_member("deliveries.view_delivery"))
    text = client.get(INDEX).content.decode()
    assert "Most failing hosts" in text
    for hidden in ("/admin/hosts/", "Members", "Last changes", "deliveryattempt"):
        assert hidden not in text


# --- The day's tries ------------------------------------------------------------------------------------


def test_an_hour_that_is_over_is_counted_once(producer):
    config, now = factories.make_config(producer), timezone.now()
    make_tries(config, 200, at=now - timedelta(hours=5))
    assert day.read(now).whole().tries == 1
    with CaptureQueriesContext(connection) as captured:
        assert day.read(now + timedelta(seconds=10)).whole().tries == 1
    assert len(captured) == 0
    make_tries(config, 200, at=now - timedelta(hours=5))  # as nobody would write it
    make_tries(config, 200, 500, at=now)
    assert day.read(now + timedelta(seconds=20)).whole().tries == 3


def test_an_hour_that_has_just_ended_is_counted_again(producer):
    config, hour = factories.make_config(producer), charts.hour(timezone.now())
    make_tries(config, 200, at=hour - timedelta(seconds=5))
    day.read(hour + timedelta(seconds=1))
    make_tries(config, 200, at=hour - timedelta(seconds=1))  # recorded after the hour
    assert day.read(hour + timedelta(minutes=6)).whole().tries == 2


def test_95_percent_are_told_by_the_step_that_holds_them():
    tally = day.Tally()
    tally.steps.update({50: 94, 1000: 5, 15_000: 1})
    tally.outcomes[200, "", True] = 100
    assert tally.p95_ms == 1000
    tally.steps.update({50: 1})
    tally.outcomes[200, "", True] += 1
    assert tally.p95_ms == 1000
    tally.steps.update({50: 40})
    tally.outcomes[200, "", True] += 40
    assert tally.p95_ms == 50
    assert day.Tally().p95_ms is None


def test_the_index_counts_no_more_queries_for_a_second_look(staff, producer):
    make_tries(factories.make_config(producer), 200)
    assert queries_of(staff, INDEX) <= 15
