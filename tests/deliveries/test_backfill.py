"""Sending the sales of the last days to a configuration that was not told of them."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.events import EventType, Priority
from configurations.models import WebhookConfig
from deliveries import backfill, contract, engine
from deliveries.models import Audience, Delivery, Event, State
from sales.models import record_status_changes
from sales.statuses import PaymentType, SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db

APPROVED = f"{EventType.APPROVED}.fresh"


def counts(config) -> dict[str, int]:
    return {group.key: group.events for group in backfill.groups(config, timezone.now())}


def send(config, *keys: str) -> int:
    return backfill.send(config, keys or counts(config), timezone.now())


def happened(event_of, **span) -> None:
    event_of.events.update(occurred_at=timezone.now() - timedelta(**span))


def ask(client, config, method="get", **data):
    client.force_login(config.owner.user)
    return getattr(client, method)(reverse("deliveries:backfill", args=[config.pk]), data)


# --- What is offered ----------------------------------------------------------------------------------


def test_what_a_new_configuration_matches_is_counted_by_event(product):
    factories.make_sales(product, 3)
    factories.make_sales(product, 2, status=SaleStatus.REFUNDED)
    factories.make_sale(factories.make_product(product.owner))
    factories.make_sale()
    asks = [EventType.APPROVED, EventType.CANCELED, EventType.REFUNDED]
    config = factories.make_config(product.owner, product=product, events=asks)
    assert counts(config) == {APPROVED: 3, f"{EventType.REFUNDED}.fresh": 2}


def test_only_what_the_configuration_asks_for_counts(product):
    factories.make_sale(product)
    assert counts(factories.make_config(product.owner, events=[EventType.REFUNDED])) == {}


def test_only_the_last_30_days_count(product):
    old, new = factories.make_sale(product), factories.make_sale(product)
    happened(old, days=31)
    happened(new, days=29)
    config = factories.make_config(product.owner)
    assert counts(config) == {APPROVED: 1}
    send(config)
    assert Delivery.objects.get().event.sale == new


def test_what_was_posted_already_does_not_count(product):
    config = factories.make_config(product.owner)
    factories.make_sale(product)
    assert counts(config) == {}
    assert send(config, APPROVED) == 0


def test_what_it_missed_while_it_was_off_counts_too(product):
    config = factories.make_config(product.owner, state="off")
    factories.make_sale(product)
    config.enable()
    assert counts(config) == {APPROVED: 1}


def test_the_affiliate_is_offered_what_they_brought(product):
    affiliate = factories.make_seller()
    factories.make_sale(product)
    factories.make_sale(product, affiliate=factories.make_seller())
    later = factories.make_sale(product)
    later.affiliate = affiliate
    later.save()
    factories.make_sale(product, affiliate=affiliate)
    factories.make_cart(product, affiliate=affiliate)
    config = factories.make_config(affiliate)
    assert counts(config) == {APPROVED: 1, f"{EventType.CART_ABANDONED}.fresh": 1}
    assert send(config) == 2
    assert set(Delivery.objects.values_list("audience", "owner")) == {(Audience.AFFILIATE, affiliate.pk)}


def test_who_brought_their_own_sale_is_offered_it_once(product):
    factories.make_sale(product, affiliate=product.owner)
    config = factories.make_config(product.owner)
    assert counts(config) == {APPROVED: 1}
    assert send(config) == 1
    assert Delivery.objects.get().audience == Audience.PRODUCER


def test_what_the_format_has_no_post_for_is_not_offered(product, monkeypatch):
    factories.make_sale(product)
    config = factories.make_config(product.owner)
    monkeypatch.setattr(contract, "sends", lambda *_: False)
    assert counts(config) == {}
    assert send(config, APPROVED) == 0


# --- What is ticked -----------------------------------------------------------------------------------


def ticked(client, config) -> dict[str, bool]:
    page = ask(client, config).content.decode()
    boxes = [tag for tag in page.split("<input ") if 'name="send"' in tag.split(">")[0]]
    return {box.split('value="')[1].split('"')[0]: " checked" in box.split(">")[0] for box in boxes}


def test_an_old_cart_is_not_ticked(client, product):
    happened(factories.make_cart(product), hours=25)
    factories.make_cart(product)
    config = factories.make_config(product.owner)
    assert ticked(client, config) == {
        f"{EventType.CART_ABANDONED}.fresh": True,
        f"{EventType.CART_ABANDONED}.stale": False,
    }


def test_a_bank_slip_past_its_date_is_not_ticked(client, product):
    slip = {"status": SaleStatus.BILLET_PRINTED, "payment_type": PaymentType.BILLET}
    with timezone.override(product.owner.time_zone):  # whose day the page goes by
        today = timezone.localdate()
        factories.make_sale(product, **slip, billet_due_on=today - timedelta(days=1))
        factories.make_sale(product, **slip, billet_due_on=today)
        factories.make_sale(product, **slip)
        config = factories.make_config(product.owner)
        assert counts(config) == {
            f"{EventType.BILLET_PRINTED}.fresh": 2,
            f"{EventType.BILLET_PRINTED}.stale": 1,
        }
    assert not ticked(client, config)[f"{EventType.BILLET_PRINTED}.stale"]


@pytest.mark.parametrize("since", [SaleStatus.REFUNDED, SaleStatus.CHARGEBACK, SaleStatus.CANCELED])
def test_a_sale_whose_money_went_back_since_is_not_ticked_and_says_so(client, product, since):
    sale = factories.make_sale(product)
    sale.status = since
    sale.save()
    config = factories.make_config(product.owner, events=[EventType.APPROVED])
    assert ticked(client, config) == {f"{EventType.APPROVED}.undone": False}
    assert "open an access that was closed" in ask(client, config).content.decode()


def test_a_slip_that_was_paid_since_is_not_ticked(client, product):
    sale = factories.make_sale(product, status=SaleStatus.BILLET_PRINTED)
    sale.status = SaleStatus.APPROVED
    sale.save()
    config = factories.make_config(product.owner)
    assert ticked(client, config) == {APPROVED: True, f"{EventType.BILLET_PRINTED}.paid": False}


# --- Sending ------------------------------------------------------------------------------------------


def test_what_is_ticked_is_sent_once_and_confirmed(
    client, receiver, product, django_capture_on_commit_callbacks
):
    factories.make_sales(product, 3)
    factories.make_sale(product, status=SaleStatus.REFUNDED)
    config = factories.make_config(product.owner, url=receiver.url)
    with django_capture_on_commit_callbacks() as callbacks:
        answers = [ask(client, config, "post", send=[APPROVED]) for _ in range(2)]
    assert len(callbacks) == 1
    assert answers[0].url == f"{reverse('deliveries:history')}?config={config.pk}"
    said = client.get(answers[0].url).content.decode()
    assert "3 posts of the past are on their way" in said
    assert "Nothing was sent" in said
    engine.drain()
    assert len(receiver.posts) == 3
    assert {d.state for d in Delivery.objects.all()} == {State.DELIVERED}


def test_who_was_quicker_keeps_the_row(product, monkeypatch):
    """The same button twice at once: what the other has written meanwhile is not written, nor counted."""
    factories.make_sales(product, 4)
    config = factories.make_config(product.owner)
    missed = backfill._missed

    def slow(config, audience, now):
        found = missed(config, audience, now)
        if audience == Audience.PRODUCER and not Delivery.objects.exists():
            list_of = list(Event.objects.order_by("pk")[:3])
            Delivery.objects.bulk_create(backfill.new_delivery(e, config, audience) for e in list_of)
            monkeypatch.setattr(backfill, "_missed", missed)
            return Event.objects.annotate(relevance=backfill.relevance.of_events(now))
        return found

    monkeypatch.setattr(backfill, "_missed", slow)
    assert send(config, APPROVED) == 1
    assert Delivery.objects.count() == 4


def test_the_past_goes_behind_all_that_is_fresh_and_in_order(receiver, product):
    refunded = factories.make_sale(product, status=SaleStatus.REFUNDED)
    approved = factories.make_sale(product)
    happened(approved, hours=2)
    happened(refunded, hours=1)
    config = factories.make_config(product.owner, url=receiver.url)
    assert send(config) == 2
    fresh = factories.make_sale(product, status=SaleStatus.COMPLETED)
    urgent = list(Delivery.objects.due().most_urgent_first())
    assert [delivery.event.sale for delivery in urgent] == [fresh, approved, refunded]
    assert [delivery.priority for delivery in urgent] == [
        Priority.THE_REST,
        Priority.BACKLOG,
        Priority.BACKLOG,
    ]


@pytest.mark.parametrize("state", ["off", "disabled"])
def test_nothing_is_sent_to_a_configuration_that_is_not_on(client, product, state):
    factories.make_sale(product)
    config = factories.make_config(product.owner, state=state)
    assert "Enable it first" in ask(client, config).content.decode()
    assert ask(client, config, "post", send=[APPROVED]).status_code == 302
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("keys", [[], ["nonsense"], ["PURCHASE_APPROVED"], ["PURCHASE_REFUNDED.fresh"]])
def test_what_is_not_ticked_stays(client, product, keys):
    factories.make_sale(product)
    config = factories.make_config(product.owner)
    answer = ask(client, config, "post", send=keys)
    assert answer.url == reverse("configurations:list")
    assert not Delivery.objects.exists()


def test_where_nothing_was_missed_the_page_says_so(client, product):
    said = ask(client, factories.make_config(product.owner)).content.decode()
    assert "There is nothing to send" in said
    assert "Send what is ticked" not in said


def test_a_new_configuration_offers_it_with_the_counts(client, product):
    factories.make_sales(product, 3)
    client.force_login(product.owner.user)
    data = {"url": "https://example.com/hook", "events": [EventType.APPROVED], "scope": "all"}
    form = client.post(reverse("configurations:add"), data | {"version": "2.0.0"}, follow=True)
    config = WebhookConfig.objects.get()
    said = form.content.decode()
    assert reverse("deliveries:backfill", args=[config.pk]) in said
    assert "3 events from before match" in said
    edit = client.get(reverse("configurations:edit", args=[config.pk])).content.decode()
    assert reverse("deliveries:backfill", args=[config.pk]) in edit


# --- How fast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sales", [2, 400])
def test_counting_and_sending_cost_the_same_for_many(product, sales):
    record_status_changes([factories.sale(product) for _ in range(sales)])
    config = WebhookConfig.objects.select_related("owner").get(pk=factories.make_config(product.owner).pk)
    with CaptureQueriesContext(connection) as counting:
        assert counts(config) == {APPROVED: sales}
    assert len(counting) == 2
    with CaptureQueriesContext(connection) as sending:
        assert send(config, APPROVED) == sales
    asked = [q["sql"] for q in sending if not q["sql"].startswith(("INSERT", "SAVEPOINT", "RELEASE"))]
    assert len(asked) == 3, asked
    assert not any('"snapshot"' in sql.split("WHERE")[0] for sql in asked)
