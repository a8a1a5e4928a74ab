"""Every address of the site with an id in it, as a stranger: nobody sees or touches another seller's data.

The addresses are read from the URL configuration, so that a new one is tested, or fails here, by itself.
"""

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from deliveries import bulk
from deliveries.models import BulkReprocess, Delivery, SamplePost, State
from tests import factories

OF_A_DELIVERY = {
    "deliveries:detail",
    "deliveries:panel",
    "deliveries:curl",
    "deliveries:reprocess",
}
OF_A_SALE = "deliveries:timeline"
OF_A_TEST = {"deliveries:test_result", "deliveries:test_part"}
OF_A_BULK = {"deliveries:bulk", "deliveries:bulk_part"}
OF_A_LEGACY_POST = {
    "legacy_posts:sent_post": "sent",
    "legacy_posts:sent_panel": "sent",
    "legacy_posts:pending_post": "pending",
    "legacy_posts:pending_panel": "pending",
    "legacy_posts:send": "pending",
}


def private_names(patterns: list, namespace: str = "") -> Iterator[str]:
    """The names of all addresses with a `pk` or a `code` in them; the admin's are staff's alone and tested below."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace not in ("admin", "staff"):
                inner = f"{pattern.namespace}:" if pattern.namespace else ""
                yield from private_names(pattern.url_patterns, namespace + inner)
        elif isinstance(pattern, URLPattern) and {"pk", "code"} & pattern.pattern.converters.keys():
            yield namespace + pattern.name


NAMES = sorted(private_names(get_resolver().url_patterns))


@pytest.fixture
def delivery(product) -> Delivery:
    config = factories.make_config(product.owner)
    return factories.make_sale(product).events.get().deliveries.get(config=config)


def a_test(delivery: Delivery) -> SamplePost:
    facts = {"type": delivery.event.type, "version": delivery.version, "audience": delivery.audience}
    return SamplePost.objects.create(
        config=delivery.config, owner=delivery.owner, url=delivery.config.url, body="{}", **facts
    )


def a_bulk(delivery: Delivery) -> BulkReprocess:
    Delivery.objects.update(state=State.FAILED)
    return bulk.start(Delivery.objects.all(), asked_for="all", owner=delivery.owner)


def address(name: str, delivery: Delivery) -> str:
    if name in OF_A_BULK:
        return reverse(name, args=[a_bulk(delivery).pk])
    if name in OF_A_TEST:
        return reverse(name, args=[a_test(delivery).pk])
    if name in OF_A_LEGACY_POST:
        kind = OF_A_LEGACY_POST[name]
        return reverse(name, args=[factories.make_legacy_post(delivery.owner, kind=kind).pk])
    if name == OF_A_SALE:
        return reverse(name, args=[delivery.event.transaction_code])
    return reverse(name, args=[delivery.pk if name in OF_A_DELIVERY else delivery.config_id])


def test_all_addresses_are_known():
    assert {
        name for name in NAMES if name.startswith("deliveries:")
    } == OF_A_DELIVERY | OF_A_TEST | OF_A_BULK | {
        "deliveries:enable",
        "deliveries:test",
        "deliveries:backfill",
        OF_A_SALE,
    }
    assert {name for name in NAMES if name.startswith("configurations:")} == {
        "configurations:edit",
        "configurations:disable",
        "configurations:remove",
        "configurations:added",
        "configurations:changes",
        "configurations:secret",
        "configurations:rotate_secret",
    }
    assert {name for name in NAMES if name.startswith("legacy_posts:")} == OF_A_LEGACY_POST.keys()
    assert all(name.startswith(("deliveries:", "configurations:", "legacy_posts:")) for name in NAMES)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_anothers_is_not_there(client, delivery, name, method):
    client.force_login(factories.make_seller().user)
    answer = getattr(client, method)(address(name, delivery))
    assert answer.status_code in (404, 405)  # 405: the address takes no such request from anybody
    if answer.status_code == 405:
        client.force_login(delivery.owner.user)
        assert getattr(client, method)(address(name, delivery)).status_code == 405
    assert WebhookConfig.objects.get().state == ConfigState.ON


@pytest.mark.parametrize("name", NAMES)
def test_who_is_not_logged_in_is_asked_to(client, delivery, name):
    for method in (client.get, client.post):
        answer = method(address(name, delivery))
        assert answer.status_code in (302, 405)
        if answer.status_code == 302:
            assert answer.url.startswith(reverse("account_login"))
    assert WebhookConfig.objects.get().state == ConfigState.ON


@pytest.mark.parametrize("name", NAMES)
def test_staff_without_a_seller_have_no_door_here(client, delivery, name):
    """They see every post in the admin, where what they do is theirs."""
    client.force_login(factories.make_staff())
    assert client.get(address(name, delivery)).status_code in (200, 404, 405)
    assert client.post(address(name, delivery)).status_code in (200, 403, 404, 405)
    assert WebhookConfig.objects.get().state == ConfigState.ON


@pytest.mark.parametrize(
    "path",
    ["", "sales/transaction/", "deliveries/delivery/", "auth/user/", "search/", "hosts/", "timeline/HP1/"],
)
def test_the_admin_is_for_staff_alone(client, producer, path):
    client.force_login(producer.user)
    answer = client.get(f"/admin/{path}")
    assert answer.status_code in (302, 403, 404)
    assert "Site administration" not in answer.content.decode()


def test_lists_hold_only_ones_own(client, delivery):
    stranger = factories.make_seller()
    client.force_login(stranger.user)
    for name in ("configurations:list", "deliveries:history", "deliveries:reprocess_all"):
        page = client.get(reverse(name), {"q": delivery.event.transaction_code})
        assert delivery.config.name not in page.content.decode()
        assert f"post-{delivery.pk}" not in page.content.decode()


def test_lists_of_old_posts_hold_only_ones_own(client, delivery):
    theirs = [factories.make_legacy_post(delivery.owner, kind=kind) for kind in ("sent", "pending")]
    client.force_login(factories.make_seller().user)
    for name in ("sent", "pending", "sent_export", "pending_export", "all", "send_all"):
        answer = client.get(reverse(f"legacy_posts:{name}"))
        page = b"".join(answer.streaming_content) if answer.streaming else answer.content
        assert answer.status_code == 200
        assert not any(post.transaction_code in page.decode() for post in theirs)
    client.post(reverse("legacy_posts:send_all"))
    theirs[1].refresh_from_db()
    assert theirs[1].sent_at is None
