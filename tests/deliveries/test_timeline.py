"""What was posted for a sale, and why, or why not; and sending what was not."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from configurations.events import EventType, Priority
from configurations.models import Mismatch, Reason, WebhookConfig
from deliveries import contract, engine, timeline
from deliveries.models import Audience, Delivery, Event, State
from deliveries.timeline import Unlisted
from sales.models import record_status_changes
from sales.statuses import SaleStatus, SubscriptionStatus
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def affiliate():
    return factories.make_seller()


def change(sale, status):
    sale.status = status
    sale.save()


def earlier(config, **span):
    """As if the configuration had come to its state, and been made, so long ago."""
    then = timezone.now() - timedelta(**span)
    WebhookConfig.objects.filter(pk=config.pk).update(state_changed_at=then, created_at=then)


def verdicts(sale, seller) -> dict[str, timeline.Verdict]:
    """Of the sale's only event, by the name of the configuration; removed ones too."""
    [entry] = timeline.of(sale, seller.user).happened
    return {verdict.config.name: verdict for verdict in entry.verdicts + entry.gone}


def verdict(sale, config) -> timeline.Verdict:
    return verdicts(sale, config.owner)[config.name]


def page(client, sale, seller) -> str:
    client.force_login(seller.user)
    answer = client.get(reverse("deliveries:timeline", args=[sale.code]))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def send(client, sale, config, event=None, user=None):
    client.force_login(user or config.owner.user)
    event = event or sale.events.get()
    return client.post(
        reverse("deliveries:timeline", args=[sale.code]), {"event": str(event.pk), "config": config.pk}
    )


# --- Why, and why not ---------------------------------------------------------------------------------


def test_a_post_is_linked_with_its_state_and_what_came_of_it(client, receiver, config, sell):
    receiver.answers(500)
    delivery = sell()
    engine.drain()
    said = page(client, delivery.event.sale, config.owner)
    assert delivery.get_absolute_url() in said
    assert "Waiting" in said
    assert "/history/codes/500/" in said
    assert "It matched" in said


@pytest.mark.parametrize(
    ("facts", "reason", "words"),
    [
        ({"events": [EventType.REFUNDED]}, Mismatch.EVENT, "does not ask for this event"),
        ({"state": "off"}, Mismatch.OFF, "switched off"),
    ],
)
def test_it_says_why_not(client, product, facts, reason, words):
    config = factories.make_config(product.owner, **facts)
    sale = factories.make_sale(product)
    assert verdict(sale, config).reason == reason
    assert words in page(client, sale, product.owner)


def test_it_says_that_the_configuration_is_for_another_product(client, producer, product):
    config = factories.make_config(producer, product=factories.make_product(producer))
    sale = factories.make_sale(product)
    assert verdict(sale, config).reason == Mismatch.PRODUCT
    assert "for another product" in page(client, sale, producer)


@pytest.mark.parametrize(
    ("takes", "owner", "reason"),
    [
        ((), "producer", Mismatch.FORMAT),
        ((Audience.PRODUCER,), "affiliate", Mismatch.AFFILIATE),
    ],
)
def test_what_a_format_or_the_affiliates_copy_has_no_post_for_is_not_sent(
    client, monkeypatch, producer, product, affiliate, takes, owner, reason
):
    monkeypatch.setattr(contract, "sends", lambda version, type_, audience: audience in takes)
    config = factories.make_config({"producer": producer, "affiliate": affiliate}[owner])
    sale = factories.make_sale(product, affiliate=affiliate)
    assert Event.objects.get().mismatches == {str(config.pk): reason.value}
    assert verdict(sale, config).reason == reason
    assert not verdict(sale, config).can_send
    assert "Send it" not in page(client, sale, config.owner)
    send(client, sale, config)
    assert not Delivery.objects.exists()


def test_it_says_since_when_it_was_off(client, product):
    config = factories.make_config(product.owner, state="off")
    earlier(config, days=2)
    sale = factories.make_sale(product)
    config.refresh_from_db()
    assert verdict(sale, config).since == config.state_changed_at
    assert "switched off, since" in page(client, sale, product.owner)


def test_what_is_on_by_now_is_said_beside_what_was_decided(client, product):
    config = factories.make_config(product.owner, state="off")
    sale = factories.make_sale(product)
    config.enable()
    found = verdict(sale, config)
    assert (found.reason, found.since) == (Mismatch.OFF, None)
    assert found.can_send
    assert "Today it would be posted." in page(client, sale, product.owner)


def test_another_reason_today_is_said_too(product):
    config = factories.make_config(product.owner, state="off")
    sale = factories.make_sale(product)
    config.enable()
    WebhookConfig.objects.update(events=[EventType.REFUNDED])
    found = verdict(sale, config)
    assert found.reason == Mismatch.OFF
    assert str(found.today) == "Today: The configuration does not ask for this event."


def test_what_came_later_is_said_to_have(client, product):
    sale = factories.make_sale(product)
    config = factories.make_config(product.owner)
    found = verdict(sale, config)
    assert (found.reason, found.since) == (Unlisted.LATER, config.created_at)
    assert "was added later" in page(client, sale, product.owner)


def test_a_post_of_a_configuration_that_we_disabled_is_held_and_says_so(client, product):
    config = factories.make_config(product.owner)
    config.disable(Reason.GONE)
    sale = factories.make_sale(product)
    found = verdict(sale, config)
    assert (found.delivery.state, found.reason) == (State.HELD, "")
    said = page(client, sale, product.owner)
    assert "Held" in said
    assert "It is disabled by us today." in said


def test_a_configuration_removed_before_is_kept_apart(client, product):
    config = factories.make_config(product.owner)
    earlier(config, days=3)
    config.remove()
    sale = factories.make_sale(product)
    [entry] = timeline.of(sale, product.owner.user).happened
    assert entry.verdicts == []
    assert [v.reason for v in entry.gone] == [Unlisted.REMOVED]
    said = page(client, sale, product.owner)
    assert "1 removed configuration" in said
    assert "had been removed" in said
    assert "Send it" not in said


def test_one_removed_since_keeps_what_was_decided(client, product):
    config = factories.make_config(product.owner, events=[])
    sale = factories.make_sale(product)
    config.remove()
    [entry] = timeline.of(sale, product.owner.user).happened
    assert [v.reason for v in entry.verdicts] == [Mismatch.EVENT]
    assert "It was removed since." in page(client, sale, product.owner)


def test_each_event_is_told_in_order(product):
    config = factories.make_config(product.owner, events=[EventType.REFUNDED])
    sale = factories.make_sale(product)
    change(sale, SaleStatus.REFUNDED)
    approved, refunded = timeline.of(sale, product.owner.user).happened
    assert (approved.event.type, approved.posted) == (EventType.APPROVED, 0)
    assert (refunded.event.type, refunded.posted) == (EventType.REFUNDED, 1)
    assert refunded.verdicts[0].delivery == config.deliveries.get()


def test_a_sale_that_was_refunded_since_had_better_not_be_approved_any_more(client, product):
    sale = factories.make_sale(product)
    change(sale, SaleStatus.REFUNDED)
    approved, refunded = timeline.of(sale, product.owner.user).happened
    assert "refunded" in str(approved.warning)
    assert not refunded.warning
    assert "Better not sent any more" in page(client, sale, product.owner)


def test_a_status_that_came_without_posting_is_said_to_have(client, product):
    factories.make_config(product.owner)
    sale = factories.sale(product)
    record_status_changes([sale], notify=False)
    said = page(client, sale, product.owner)
    assert "without posting" in said
    assert timeline.of(sale, product.owner.user).happened == []


def test_a_status_changed_silently_after_an_event_is_said_too(client, product):
    sale = factories.make_sale(product)
    record_status_changes([factories.sale(product, code=sale.code, status="REFUNDED")], notify=False)
    assert "without posting" in page(client, sale, product.owner)


def test_a_status_that_nothing_announces_is_said_to_be_one(client, product):
    sale = factories.make_sale(product, status=SaleStatus.STARTED)
    assert "Nothing is posted for this status" in page(client, sale, product.owner)


def test_a_status_with_its_event_needs_no_remark(client, product):
    said = page(client, factories.make_sale(product), product.owner)
    assert "without posting" not in said
    assert "Nothing is posted" not in said


def test_what_happened_to_the_subscription_is_told_with_each_of_its_charges(client, product):
    affiliate = factories.make_seller()
    for seller in (product.owner, affiliate):
        factories.make_config(seller)
    subscription = factories.make_subscription(factories.make_plan(product))
    sale = factories.make_sale(product, subscription=subscription, affiliate=affiliate)
    subscription.status = SubscriptionStatus.CANCELLED_BY_CUSTOMER
    subscription.save()
    assert [(entry.event.type, entry.posted) for entry in timeline.of(sale, product.owner.user).happened] == [
        (EventType.APPROVED, 1),
        (EventType.SUBSCRIPTION_CANCELLATION, 1),
    ]
    approved, cancelled = timeline.of(sale, affiliate.user).happened
    assert approved.posted == 1
    assert [v.reason for v in cancelled.verdicts] == [Mismatch.AFFILIATE]
    assert not cancelled.verdicts[0].can_send
    said = page(client, sale, product.owner)
    assert "without posting" not in said
    assert "Subscription cancelled" in said


def test_what_was_missed_of_the_subscription_can_be_sent(client, product):
    config = factories.make_config(product.owner, events=[])
    subscription = factories.make_subscription(factories.make_plan(product))
    sale = factories.make_sale(product, subscription=subscription)
    subscription.status = SubscriptionStatus.CANCELLED_BY_CUSTOMER
    subscription.save()
    event = Event.objects.get(type=EventType.SUBSCRIPTION_CANCELLATION)
    assert send(client, sale, config, event).status_code == 302
    assert config.deliveries.get().event == event


# --- Who may ask --------------------------------------------------------------------------------------


def test_the_affiliate_asks_of_their_own_configurations_alone(client, producer, product, affiliate):
    theirs, others = factories.make_config(affiliate), factories.make_config(producer)
    sale = factories.make_sale(product, affiliate=affiliate)
    assert set(verdicts(sale, affiliate)) == {theirs.name}
    assert set(verdicts(sale, producer)) == {others.name}
    said = page(client, sale, affiliate)
    assert sale.buyer_email not in said
    assert others.name not in said
    assert sale.buyer_email in page(client, sale, producer)


def test_the_affiliate_sees_the_buyer_where_the_producer_shares_them(client, product, affiliate):
    product.shares_buyers = True
    product.save()
    sale = factories.make_sale(product, affiliate=affiliate)
    assert sale.buyer_email in page(client, sale, affiliate)


def test_who_became_the_affiliate_later_was_not_to_be_told(client, product, affiliate):
    config = factories.make_config(affiliate)
    sale = factories.make_sale(product)
    sale.affiliate = affiliate
    sale.save()
    found = verdict(sale, config)
    assert (found.reason, found.can_send) == (Unlisted.NOT_YOURS, False)
    send(client, sale, config)
    assert not Delivery.objects.exists()


def test_who_was_told_may_ask_even_if_the_sale_is_no_longer_theirs(client, product, affiliate):
    factories.make_config(affiliate)
    sale = factories.make_sale(product, affiliate=affiliate)
    sale.affiliate = None
    sale.save()
    assert "It matched" in page(client, sale, affiliate)


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_strangers_sale_and_an_unknown_code_are_the_same_404(client, product, method):
    sale = factories.make_sale(product)
    client.force_login(factories.make_seller().user)
    answers = [
        getattr(client, method)(reverse("deliveries:timeline", args=[code]))
        for code in (sale.code, "HP0", "HP0\0")
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    bodies = {answer.content.replace(sale.code.encode(), b"HP0") for answer in answers[:2]}
    assert len(bodies) == 1


def test_staff_ask_of_everybodys_configurations(client, producer, product, affiliate):
    names = [factories.make_config(seller).name for seller in (producer, affiliate)]
    sale = factories.make_sale(product, affiliate=affiliate)
    client.force_login(factories.make_staff())
    said = client.get(reverse("deliveries:timeline", args=[sale.code])).content.decode()
    assert all(name in said for name in names)
    post = Delivery.objects.get(owner=producer)
    assert reverse("admin:deliveries_delivery_change", args=[post.pk]) in said


def test_staff_without_the_permission_are_strangers(client, product):
    sale = factories.make_sale(product)
    staff = factories.make_staff()
    staff.is_superuser = False
    staff.save()
    client.force_login(staff)
    assert client.get(reverse("deliveries:timeline", args=[sale.code])).status_code == 404


# --- Finding it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelt", [str, str.lower, "  {}  ".format])
def test_a_sale_is_found_by_its_code(client, product, spelt):
    sale = factories.make_sale(product)
    client.force_login(product.owner.user)
    answer = client.get(reverse("deliveries:find_sale"), {"code": spelt(sale.code)})
    assert answer.url == reverse("deliveries:timeline", args=[sale.code])


@pytest.mark.parametrize("code", ["HP0", "x" * 500, "\0", "<b>"])
def test_a_code_that_is_nobodys_is_asked_for_again(client, producer, code):
    client.force_login(producer.user)
    answer = client.get(reverse("deliveries:find_sale"), {"code": code})
    assert answer.status_code == 404
    assert "No sale of yours has the code" in answer.content.decode()
    assert "<b>”" not in answer.content.decode()


def test_the_history_that_finds_no_post_of_a_code_leads_here(client, product):
    sale = factories.make_sale(product)
    client.force_login(product.owner.user)
    said = client.get(reverse("deliveries:history"), {"q": sale.code}).content.decode()
    assert f"{reverse('deliveries:find_sale')}?code={sale.code}" in said
    assert "?code=" not in client.get(reverse("deliveries:history"), {"q": "ana"}).content.decode()


def test_a_post_leads_here(client, sell):
    delivery = sell()
    client.force_login(delivery.owner.user)
    said = client.get(delivery.get_absolute_url()).content.decode()
    assert reverse("deliveries:timeline", args=[delivery.event.transaction_code]) in said


def test_the_admins_transaction_leads_here(client, product):
    sale = factories.make_sale(product, code="odd / code")
    client.force_login(factories.make_staff())
    said = client.get(reverse("admin:sales_transaction_change", args=[sale.pk])).content.decode()
    address = reverse("deliveries:timeline", args=[sale.code])
    assert address in said
    assert client.get(address).status_code == 200


# --- Send it ------------------------------------------------------------------------------------------


def test_what_was_not_sent_is_sent_once_however_often_it_is_pressed(
    client, receiver, product, django_capture_on_commit_callbacks
):
    config = factories.make_config(product.owner, url=receiver.url, events=[])
    sale = factories.make_sale(product)
    with django_capture_on_commit_callbacks() as callbacks:
        for _ in range(2):
            send(client, sale, config)
    assert len(callbacks) == 1
    engine.drain()
    [post] = receiver.posts
    delivery = config.deliveries.get()
    assert (delivery.state, delivery.priority) == (State.DELIVERED, Priority.GRANTS_ACCESS)
    assert sale.code.encode() in post.body
    assert Event.objects.get().mismatches == {str(config.pk): Mismatch.EVENT.value}
    said = page(client, sale, product.owner)
    assert "It was sent later, on request." in said
    assert "does not ask for this event" in said


def test_what_is_sent_is_the_sale_of_that_moment(client, receiver, product):
    config = factories.make_config(product.owner, url=receiver.url, events=[])
    sale = factories.make_sale(product, buyer_city="Recife")
    event = sale.events.get()
    sale.buyer_city = "Olinda"
    change(sale, SaleStatus.REFUNDED)
    send(client, sale, config, event)
    engine.drain()
    [post] = receiver.posts
    assert b"Recife" in post.body
    assert b"PURCHASE_APPROVED" in post.body


def test_the_affiliate_sends_their_own_copy(client, product, affiliate):
    config = factories.make_config(affiliate, events=[])
    sale = factories.make_sale(product, affiliate=affiliate)
    send(client, sale, config)
    delivery = config.deliveries.get()
    assert (delivery.audience, delivery.owner) == (Audience.AFFILIATE, affiliate)


@pytest.mark.parametrize("state", ["off", "disabled", "removed"])
def test_nothing_is_sent_to_a_configuration_that_is_not_on(client, product, state):
    config = factories.make_config(product.owner, events=[])
    sale = factories.make_sale(product)
    WebhookConfig.objects.update(state=state)
    assert not verdict(sale, config).can_send
    assert "Send it" not in page(client, sale, product.owner)
    answer = send(client, sale, config)
    assert answer.status_code == 302
    assert not Delivery.objects.exists()


def test_nobody_sends_to_anothers_configuration(client, product, affiliate):
    config = factories.make_config(affiliate, events=[])
    sale = factories.make_sale(product, affiliate=affiliate)
    assert send(client, sale, config, user=product.owner.user).status_code == 404
    assert send(client, sale, factories.make_config(), user=product.owner.user).status_code == 404
    assert not Delivery.objects.exists()


def test_staff_send_to_who_the_sale_concerns_and_to_nobody_else(client, product):
    config, other = factories.make_config(product.owner, events=[]), factories.make_config()
    sale, staff = factories.make_sale(product), factories.make_staff()
    assert send(client, sale, other, user=staff).status_code == 404
    assert send(client, sale, config, user=staff).status_code == 302
    assert Delivery.objects.get().config == config


@pytest.mark.parametrize("data", [{}, {"event": "x", "config": "y"}, {"event": "x", "config": 2**70}])
def test_a_request_that_makes_no_sense_is_a_404(client, product, data):
    sale = factories.make_sale(product)
    client.force_login(product.owner.user)
    assert client.post(reverse("deliveries:timeline", args=[sale.code]), data).status_code == 404


def test_an_event_of_another_sale_is_not_sent_from_here(client, product):
    config = factories.make_config(product.owner, events=[])
    sale, other = factories.make_sale(product), factories.make_sale(product)
    assert send(client, sale, config, event=other.events.get()).status_code == 404
    assert not Delivery.objects.exists()


# --- How fast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 30])
def test_the_page_costs_the_same_whatever_it_shows(
    client, product, affiliate, count, django_assert_num_queries
):
    for n in range(count):
        factories.make_config(product.owner, **({"events": []} if n % 2 else {}))
    sale = factories.make_sale(product, affiliate=affiliate)
    for n in range(count // 2):
        change(sale, [SaleStatus.DISPUTE, SaleStatus.APPROVED][n % 2])
    with django_assert_num_queries(4):
        told = timeline.of(sale, product.owner.user)
        assert all(v.why or v.delivery for entry in told.happened for v in entry.verdicts)
        assert [v.config.owner.name for entry in told.happened for v in entry.verdicts]
