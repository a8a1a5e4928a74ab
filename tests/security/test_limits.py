"""How often one user may do what costs something; over all processes, and no further than the user."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse

from sales import limits
from tests import factories
from tests.security import production
from tests.security.every_address import EVERY, Rows

pytestmark = pytest.mark.django_db

# {address: (limit, method)}; the rest of the site costs a page.
LIMITED = {
    "deliveries:test": ("send_test", "post"),
    "deliveries:reprocess": ("reprocess", "post"),
    "deliveries:timeline": ("reprocess", "post"),
    "legacy_posts:send": ("reprocess", "post"),
    "deliveries:reprocess_all": ("bulk", "post"),
    "deliveries:bulk": ("bulk", "post"),
    "deliveries:backfill": ("bulk", "post"),
    "deliveries:enable": ("bulk", "post"),
    "legacy_posts:send_all": ("bulk", "post"),
    "configurations:secret": ("keys", "post"),
    "configurations:rotate_secret": ("keys", "post"),
    "configurations:token": ("keys", "post"),
    "configurations:rotate_token": ("keys", "post"),
    "configurations:keep_token": ("keys", "post"),
    "deliveries:export": ("export", "get"),
    "legacy_posts:sent_export": ("export", "get"),
    "legacy_posts:pending_export": ("export", "get"),
    "configurations:check_url": ("check_url", "post"),
}
OF_STAFF = {
    "staff:timeline": ("reprocess", "post"),
    "admin:configurations_webhookconfig_export": ("export", "post"),
    "admin:configurations_webhookconfig_import": ("import", "post"),
    "admin:sales_transaction_export": ("export", "post"),
    "admin:sales_transaction_import": ("import", "post"),
}
ADDRESSES = {address.name: address for address in EVERY}


@pytest.fixture(autouse=True)
def _nothing_counted():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def once(settings):
    settings.LIMITS = dict.fromkeys(settings.LIMITS, (1, 60))


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("name", [*LIMITED, *OF_STAFF])
def test_who_does_it_too_often_is_told_how_long_to_wait(once, name):
    rows = Rows.make()
    _limit, method = (LIMITED | OF_STAFF)[name]
    client = client_of(factories.make_staff() if name in OF_STAFF else rows.producer.user)
    path = rows.path(ADDRESSES[name])
    first, second = getattr(client, method)(path), getattr(client, method)(path)
    assert first.status_code != 429
    assert second.status_code == 429
    assert 1 <= int(second.headers["Retry-After"]) <= 60
    assert "One moment, please" in second.content.decode()
    if method == "post":  # to look at the page costs nothing
        assert client.get(path).status_code in (200, 302, 405)


def test_all_that_sends_exports_or_shows_a_key_is_limited():
    """What is added later and sounds like it must be listed above."""
    words = ("export", "reprocess", "send", "bulk", "secret", "token", "test", "import")
    sounds = {name for name in ADDRESSES if any(word in name.rpartition(":")[2] for word in words)}
    known = {
        "staff:sending",  # holds and releases all of it
        "deliveries:bulks", "deliveries:bulk_part", "deliveries:tests", "deliveries:test_result",
        "deliveries:test_part",  # these only show
        "admin:configurations_webhookconfig_process_import", "admin:sales_transaction_process_import",  # of a file
    }  # fmt: skip
    models = {name for name in sounds if (a := ADDRESSES[name]).model and a.kind not in ("import", "export")}
    assert sounds - models - known - {*LIMITED, *OF_STAFF} == set()


def test_another_user_is_not_held_up(once):
    one, other = factories.make_seller(), factories.make_seller()
    path = reverse("configurations:check_url")
    assert client_of(one.user).post(path).status_code == 200
    assert client_of(one.user).post(path).status_code == 429  # in another browser too
    assert client_of(other.user).post(path).status_code == 200


def test_nothing_is_done_above_the_limit(once):
    rows = Rows.make()
    client = client_of(rows.producer.user)
    before = rows.config.secret
    for _ in range(2):
        client.post(rows.path(ADDRESSES["deliveries:test"]), {"event": rows.delivery.event.type})
    client.post(rows.path(ADDRESSES["configurations:token"]))  # uses up the one
    client.post(rows.path(ADDRESSES["configurations:rotate_secret"]), {"password": factories.PASSWORD})
    rows.config.refresh_from_db()
    assert rows.config.secret == before
    assert rows.config.samples.count() == 2  # the one that was there, and one more


def test_a_part_of_a_page_takes_the_place_of_what_is_shown(once):
    rows = Rows.make()
    client, path = client_of(rows.producer.user), rows.path(ADDRESSES["deliveries:reprocess"]) + "?as=row"
    client.post(path, headers={"HX-Request": "true"})
    answer = client.post(path, headers={"HX-Request": "true"})
    assert answer.status_code == 429
    assert answer.headers["HX-Retarget"] == "#content"
    assert "<html" not in answer.content.decode()
    assert "One moment, please" in answer.content.decode()


def test_staff_reprocess_as_often_as_the_limit_says(once):
    rows = Rows.make()
    client = client_of(factories.make_staff())
    form = {"action": "reprocess", "_selected_action": [rows.delivery.pk], "sure": "yes"}
    path = reverse("admin:deliveries_delivery_changelist")
    assert client.post(path, form).status_code == 302
    assert client.post(path, form).status_code == 429


def test_it_may_be_done_again_once_the_time_is_over(settings, monkeypatch):
    settings.LIMITS = {"keys": (2, 60)}
    now = [1_000_000.0]
    monkeypatch.setattr(limits.time, "time", lambda: now[0])
    assert limits.take("keys", 1) == 0
    now[0] += 10
    assert limits.take("keys", 1) == 0
    assert limits.take("keys", 1) == 50
    now[0] += 50
    assert limits.take("keys", 1) == 0
    assert limits.take("keys", 1) == 10
    now[0] -= 3600  # the clock was set back: nobody waits for an hour
    assert limits.take("keys", 1) == 0


def test_of_many_at_the_same_moment_no_more_than_the_limit_go(settings):
    settings.LIMITS = {"keys": (5, 60)}
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: limits.take("keys", 7), range(40)))
    assert waits.count(0) == 5


def test_without_the_cache_nobody_is_held_up_and_the_log_says_so(settings, monkeypatch, caplog):
    settings.LIMITS = {"keys": (1, 60)}

    def away(*_args, **_kwargs):
        raise ConnectionError("no cache")

    monkeypatch.setattr(limits.cache, "add", away)
    assert [limits.take("keys", 1), limits.take("keys", 1)] == [0, 0]
    assert "the cache is away" in caplog.text


def test_zero_is_no_limit(settings):
    settings.LIMITS = {"keys": (0, 0)}
    assert {limits.take("keys", 1) for _ in range(50)} == {0}


def test_the_settings_say_how_often(monkeypatch):
    assert production.read(monkeypatch, LIMIT_EXPORT="3/600")["LIMITS"]["export"] == (3, 600)
    assert production.read(monkeypatch, LIMIT_EXPORT="0")["LIMITS"]["export"] == (0, 0)
    assert all(times for times, _ in production.read(monkeypatch, LIMIT_EXPORT="1/1")["LIMITS"].values())


@pytest.mark.parametrize("wrong", ["", "20", "20/", "/60", "a/b", "20/0", "0/60", "-1/60"])
def test_a_limit_that_is_none_stops_the_start(monkeypatch, wrong):
    with pytest.raises(ImproperlyConfigured, match=r"LIMIT_EXPORT is .*such as 10/60"):
        production.read(monkeypatch, LIMIT_EXPORT=wrong)
