"""The pages of the hosts in the admin, and what the owners of the configurations see of a hold."""

import re
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.core.cache import cache
from django.utils import timezone

from configurations.models import Reason
from deliveries import engine, hosts
from deliveries.models import Delivery, EndpointHealth, HeldHost, State
from sales import audit
from tests import factories

from .staff import make_member, make_tries, queries_of

pytestmark = pytest.mark.django_db
LIST = "/admin/hosts/"
PAGE = "/admin/hosts/hooks.example.com/"
VIEW, HOLD = "configurations.view_webhookconfig", "deliveries.hold_host"


@pytest.fixture(autouse=True)
def _fresh_counts():
    cache.clear()


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def make(host="hooks.example.com", owner=None, failures=0, **facts):
    config = factories.make_config(owner, url=f"https://{host}/a", **facts)
    if failures:
        EndpointHealth.objects.create(
            config=config,
            url=config.url,
            failures=failures,
            first_failure_at=timezone.now() - timedelta(hours=5),
            last_failure_at=timezone.now(),
            last_status=503,
        )
    return config


def listed(client, **query):
    return [host.name for host in client.get(LIST, query).context["hosts"]]


# --- The list -------------------------------------------------------------------------------------------


def test_the_list_begins_with_the_hosts_that_fail(staff):
    make("well.example.com")
    make("well.example.com")
    make("bad.example.com", failures=5)
    make("once.example.com", failures=1)
    make("gone.example.com").disable(Reason.GONE)
    make("removed.example.com").remove()
    assert listed(staff) == ["bad.example.com", "gone.example.com", "well.example.com", "once.example.com"]
    assert listed(staff, show="failing") == ["bad.example.com", "gone.example.com"]
    assert listed(staff, q="gone") == ["gone.example.com"]


def test_the_list_is_sorted_by_each_column_both_ways(staff):
    make("a.example.com")
    for _ in range(2):
        make("b.example.com")
    text = staff.get(LIST).content.decode()
    orders = re.findall(r'href="\?o=([^"&]+)"', text)
    assert len(orders) == 5
    for order in orders:
        there = listed(staff, o=order)
        back = listed(staff, o=order.removeprefix("-") if order.startswith("-") else f"-{order}")
        assert sorted(there) == sorted(back) == ["a.example.com", "b.example.com"]
    assert listed(staff, o="configurations") == ["a.example.com", "b.example.com"]
    assert listed(staff, o="-configurations") == ["b.example.com", "a.example.com"]
    assert listed(staff, o="nonsense", page="x", show="y") == ["b.example.com", "a.example.com"]


def test_the_held_hosts_can_be_listed(staff):
    make()
    make("other.example.com")
    hosts.hold("hooks.example.com", "Down.", factories.make_staff())
    assert listed(staff, show="held") == ["hooks.example.com"]


def test_an_empty_list_says_so(staff):
    assert "There is no configuration yet" in staff.get(LIST).content.decode()
    make()
    assert "No host is like that." in staff.get(LIST, {"q": "zzz"}).content.decode()


@pytest.mark.parametrize("rows", [10, 100])
def test_the_list_takes_few_queries(client, rows):
    client.force_login(make_member(VIEW))
    owner = factories.make_seller()
    for n in range(rows):
        make(f"h{n}.example.com", owner, failures=4)
    assert queries_of(client, LIST) <= 9


# --- A host ---------------------------------------------------------------------------------------------


def test_a_host_says_how_many_of_how_many_sellers_fail_there_and_since_when(staff):
    owner = factories.make_seller()
    failing = make(owner=owner, failures=7, name="Members")
    make(owner=owner)
    make().disable(Reason.SERVER)
    host = staff.get(PAGE).context["host"]
    assert (host.configurations, host.sellers, host.failing, host.failing_sellers, host.disabled) == (
        3,
        2,
        1,
        1,
        1,
    )
    text = staff.get(PAGE).content.decode()
    assert host.failing_since == failing.health.first_failure_at
    assert "7 failures since" in text
    assert "overloaded or in maintenance" in text
    assert "The server accepted nothing for five days." in text


def test_a_failure_at_an_earlier_url_does_not_count(staff):
    config = make(failures=7)
    EndpointHealth.objects.filter(config=config).update(url="https://old.example.com/")
    assert staff.get(PAGE).context["host"].failing == 0


def test_a_host_says_what_it_answered_most_and_how_long_it_took(staff):
    config = make()
    make_tries(config, 503, 503, 503, "timeout", 200, ms=400)
    make_tries(make("other.example.com"), 404)
    answer = staff.get(PAGE)
    assert [(a.words.label, a.tries) for a in answer.context["answers"]] == [
        ("503", 3),
        ("No answer in time", 1),
        ("200", 1),
    ]
    text = answer.content.decode()
    assert "400 ms" in text
    assert "1 accepted, 3 refused, 1 without an answer" in text
    [url] = set(re.findall(r'<a href="([^"]+)" aria-label="[^"]*1 accepted, 3 refused', text))
    assert staff.get(url.replace("&amp;", "&")).context["cl"].result_count == 5


def test_a_host_counts_what_waits_for_it_and_what_is_held(staff, product):
    config = make(owner=product.owner)
    for state in (State.WAITING, State.WAITING, State.HELD, State.DELIVERED):
        sale = factories.make_sale(product)
        config.deliveries.filter(event__sale=sale).update(state=state)
    answer = staff.get(PAGE)
    assert answer.context["waiting"] == {"waiting": (2, False), "held": (1, False)}
    listed = staff.get(answer.context["waiting_url"])
    assert listed.context["cl"].result_count == 2


def test_a_host_that_nothing_goes_to_is_not_there(staff):
    make()
    assert staff.get("/admin/hosts/example.com/").status_code == 404
    assert staff.get("/admin/hosts/example.com/hold/").status_code == 404


@pytest.mark.parametrize("rows", [10, 100])
def test_a_host_takes_few_queries(client, rows):
    client.force_login(make_member(VIEW, HOLD, "deliveries.view_delivery"))
    owner = factories.make_seller()
    for _ in range(rows):
        make(owner=owner, failures=4)
    assert queries_of(client, PAGE) <= 13


# --- Hold and release -----------------------------------------------------------------------------------


def test_a_host_is_held_with_a_reason_after_a_question(staff, receiver, sell):
    delivery = sell()
    page = "/admin/hosts/127.0.0.1/"
    assert f'href="{page}hold/"' in staff.get(page).content.decode()
    asked = staff.get(f"{page}hold/").content.decode()
    assert "1 post waits now" in asked
    refused = staff.post(f"{page}hold/", {"reason": " "})
    assert refused.status_code == 422
    assert "Write why" in refused.content.decode()
    answer = staff.post(f"{page}hold/", {"reason": "Its hosting\nmoves."}, follow=True)
    assert "127.0.0.1 is held: nothing more is posted there" in answer.content.decode()
    assert HeldHost.objects.get().reason == "Its hosting moves."
    assert engine.drain() == 0
    released = staff.post(f"{page}release/", {"note": "It has moved."}, follow=True)
    assert "127.0.0.1 is released: 1 post that waited is sent now." in released.content.decode()
    assert engine.drain() == 1
    delivery.refresh_from_db()
    assert (delivery.state, delivery.tries) == (State.DELIVERED, 1)
    noted = LogEntry.objects.filter(content_type__model="heldhost").order_by("pk")
    assert [audit.fact_of(entry) for entry in noted] == [
        "The host was held: Its hosting moves.",
        "The host was released. It has moved.",
    ]
    assert {entry.actor.is_superuser for entry in noted} == {True}
    assert {entry.remote_addr for entry in noted} == {"127.0.0.1"}


def test_holding_twice_and_releasing_twice_says_so(staff):
    make()
    staff.post(f"{PAGE}hold/", {"reason": "Down."})
    assert "is held already" in staff.post(f"{PAGE}hold/", {"reason": "Down."}, follow=True).content.decode()
    staff.post(f"{PAGE}release/")
    assert "is not held" in staff.post(f"{PAGE}release/", follow=True).content.decode()


def test_a_look_at_the_question_changes_nothing(staff):
    make()
    staff.get(f"{PAGE}hold/")
    assert not HeldHost.objects.exists()
    hosts.hold("hooks.example.com", "Down.", factories.make_staff())
    staff.get(f"{PAGE}release/")
    assert HeldHost.objects.exists()


@pytest.mark.parametrize("path", [LIST, PAGE, f"{PAGE}hold/", f"{PAGE}release/"])
def test_the_pages_are_for_staff_with_the_right_to_them(client, producer, path):
    make()
    assert "/admin/login/" in client.get(path)["Location"]
    client.force_login(producer.user)
    assert client.get(path, follow=True).status_code == 403
    client.force_login(make_member("deliveries.view_delivery"))
    assert client.get(path).status_code == 403


def test_who_may_only_look_is_offered_no_hold_and_refused_one(client):
    make()
    client.force_login(make_member(VIEW))
    assert f"{PAGE}hold/" not in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}hold/", {"reason": "Down."}).status_code == 403
    assert not HeldHost.objects.exists()
    client.force_login(make_member(VIEW, HOLD))
    assert f"{PAGE}hold/" in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}hold/", {"reason": "Down."}).status_code == 302


# --- What the owner sees --------------------------------------------------------------------------------


@pytest.fixture
def owner_sees(client, producer, sell):
    """`owner_sees(path)`: the page as the producer sees it, while the host of the post is held."""
    delivery = sell()
    hosts.hold("127.0.0.1", "Its hosting moves tonight.", factories.make_staff())
    client.force_login(producer.user)

    def see(path):
        text = client.get(path.format(pk=delivery.pk)).content.decode()
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", text))

    return see


@pytest.mark.parametrize(
    "path", ["/tools/webhook/configurations/", "/tools/webhook/history/", "/tools/webhook/history/{pk}/"]
)
def test_the_owner_reads_that_we_pause_why_and_that_nothing_is_lost(owner_sees, path):
    text = owner_sees(path)
    assert re.search(r"We pause posts to 127\.0\.0\.1 since \d", text)
    assert "Its hosting moves tonight." in text
    assert "Nothing is lost" in text


def test_a_paused_post_is_not_said_to_go_within_seconds(owner_sees):
    text = owner_sees("/tools/webhook/history/{pk}/")
    assert "Paused by us" in text
    assert "within seconds" not in text
    assert "Send now" not in text


def test_a_paused_configuration_is_not_called_failing(client, producer, config, sell):
    EndpointHealth.objects.create(
        config=config, url=config.url, failures=9, first_failure_at=timezone.now(), last_status=503
    )
    client.force_login(producer.user)
    path = "/tools/webhook/configurations/"
    assert "Failing" in client.get(path).content.decode()
    hosts.hold(config.host, "Down.", factories.make_staff())
    text = client.get(path).content.decode()
    assert "Failing" not in text
    assert "Paused by us" in text
    assert "did not accept" not in text


def test_another_owner_reads_nothing_of_it(client, sell):
    sell()
    hosts.hold("127.0.0.1", "Its hosting moves tonight.", factories.make_staff())
    other = factories.make_config()
    client.force_login(other.owner.user)
    text = client.get("/tools/webhook/configurations/").content.decode()
    assert "We pause" not in text


def test_released_it_is_said_no_more(client, producer, sell):
    sell()
    operator = factories.make_staff()
    hosts.hold("127.0.0.1", "Down.", operator)
    hosts.release("127.0.0.1")
    client.force_login(producer.user)
    assert "We pause" not in client.get("/tools/webhook/configurations/").content.decode()
    assert Delivery.objects.get().state == State.WAITING
