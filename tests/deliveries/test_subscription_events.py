"""Cancelled, switched to another plan, charged on another day: from each trigger to the receiver, in both formats."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given, settings
from hypothesis import strategies as st

from configurations.events import EventType, Priority
from configurations.models import Mismatch
from deliveries import contract, engine
from deliveries.contract import TOKEN_PLACEHOLDER
from deliveries.contract import samples as invented
from deliveries.models import Delivery, Event
from sales.subscriptions import Subscription, record_subscription_changes
from tests import factories
from tests.admin_forms import filled_in
from tests.deliveries.samples import FOLDER

CANCELLATION = EventType.SUBSCRIPTION_CANCELLATION
SWITCH = EventType.SWITCH_PLAN
CHARGE_DATE = EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE
ALL = (CANCELLATION, SWITCH, CHARGE_DATE)


def moment(milliseconds):
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


@pytest.fixture
def club(producer):
    return factories.make_product(producer, code=4100002, name="Clube do Pão de Fermentação Natural")


@pytest.fixture
def monthly(club):
    return factories.make_plan(club, code=700001)


@pytest.fixture
def yearly(club):
    facts = {"name": "Plano Anual", "recurrency_period": 360, "price": "479.00", "offer_code": "pl7anua1"}
    return factories.make_plan(club, code=700002, **facts)


@pytest.fixture
def subscription(monthly):
    return factories.make_subscription(
        monthly,
        code=9000001,
        subscriber_code="QX1SUB01",
        name="Marina Duarte Peixoto",
        email="marina.peixoto@example.com",
        cell_code="11",
        cell="900000001",
    )


def cancel(subscription, **facts):
    subscription.status = "CANCELLED_BY_CUSTOMER"
    for name, value in facts.items():
        setattr(subscription, name, value)
    subscription.save()


def events():
    return list(Event.objects.order_by("occurred_at").values_list("type", flat=True))


def shape(value):
    """The keys and types."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    if isinstance(value, list):
        return [shape(part) for part in value]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def change_as_in(sample, subscription, yearly):
    if "cancellation" in sample:
        cancel(subscription, cancelled_at=moment(1787220000000), next_charge_at=moment(1789214400000))
    elif "switch" in sample:
        subscription.plan, subscription.next_charge_at = yearly, moment(1783857600000)
        subscription.save()
    else:
        subscription.next_charge_at, subscription.charge_day = datetime(2026, 7, 20, 12, tzinfo=UTC), 20
        subscription.save()


# --- The samples come out again -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "v1-subscription-cancellation",
        "v1-switch-plan",
        "v2-subscription-cancellation",
        "v2-switch-plan",
        "v2-update-subscription-charge-date",
    ],
)
def test_each_sample_arrives_with_the_same_keys_types_and_values(
    receiver, producer, subscription, yearly, name
):
    version = "1.0.0" if name.startswith("v1") else "2.0.0"
    factories.make_config(producer, url=receiver.url, version=version)
    change_as_in(name, subscription, yearly)
    engine.drain()
    [post] = receiver.wait_for(1)
    assert post.headers["content-type"] == "application/json"
    got, sample = json.loads(post.body), json.loads((FOLDER / f"{name}.json").read_text())
    assert shape(got) == shape(sample)
    if "hottok" in sample:
        assert got["hottok"] == post.headers["x-hotmart-hottok"]
    # Of the moment and of another subscriber: what a sample cannot say of ours.
    for post_ in (got, sample):
        for key in ("id", "creation_date", "hottok", "switchPlanDate"):
            post_.pop(key, None)
        post_.get("data", {}).pop("switch_plan_date", None)
        post_.get("data", {}).pop("subscriber", None)
    assert got == sample


# --- From each trigger --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "announced"),
    [
        ({"status": "CANCELLED_BY_SELLER"}, [CANCELLATION]),
        ({"charge_day": 20}, [CHARGE_DATE]),
        ({"plan": None}, [SWITCH]),
        ({"status": "OVERDUE"}, []),
        ({"next_charge_at": datetime(2027, 1, 8, tzinfo=UTC)}, []),  # a renewal moves the date
        ({}, []),
    ],
)
def test_a_save_tells_what_became_different(subscription, yearly, facts, announced):
    for name, value in facts.items():
        setattr(subscription, name, yearly if name == "plan" else value)
    subscription.save()
    subscription.save()
    assert events() == announced


def test_a_save_of_some_fields_tells_of_those_alone(subscription):
    subscription.status, subscription.charge_day = "CANCELLED_BY_ADMIN", 20
    subscription.save(update_fields=["status"])
    assert events() == [CANCELLATION]
    subscription.refresh_from_db()
    assert (subscription.charge_day, subscription.cancelled_at is None) == (8, False)


def test_a_rollback_tells_nobody_and_the_next_save_does(subscription):
    with pytest.raises(RuntimeError), transaction.atomic():
        cancel(subscription)
        raise RuntimeError
    assert events() == []
    subscription.save()
    assert events() == [CANCELLATION]


def test_one_who_comes_back_and_cancels_again_is_told_twice(subscription):
    cancel(subscription)
    subscription.status = "ACTIVE"
    subscription.save()
    assert subscription.cancelled_at is None
    cancel(subscription)
    subscription.status = "CANCELLED_BY_ADMIN"  # still cancelled
    subscription.save()
    assert events() == [CANCELLATION, CANCELLATION]


@pytest.mark.parametrize("facts", [{"status": "ACTIVE"}, {"plan_id": 1}, {"charge_day": 3}])
def test_the_ways_past_save_refuse(subscription, facts):
    with pytest.raises(ValueError, match="record_subscription_changes"):
        Subscription.objects.update(**facts)
    with pytest.raises(ValueError, match="record_subscription_changes"):
        Subscription.objects.bulk_update([subscription], list(facts))


def test_staff_change_it_in_the_admin_and_it_arrives(client, receiver, producer, subscription, yearly):
    factories.make_config(producer, url=receiver.url)
    client.force_login(factories.make_staff())
    url = reverse("admin:sales_subscription_change", args=[subscription.pk])
    values = filled_in(client, url, status="CANCELLED_BY_SELLER", plan=yearly.pk, charge_day=20)
    answer = client.post(url, values)
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    engine.drain()
    posts = receiver.wait_for(3)
    assert {json.loads(post.body)["event"] for post in posts} == set(ALL)
    subscription.refresh_from_db()
    assert subscription.next_charge_at.astimezone().day in (19, 20, 21)


def test_an_import_of_subscriptions_tells_each_change_in_order_and_once(subscription, yearly, tmp_path):
    from tests.sales.imports import Run

    own = {"kind": "subscription", "code": "QX1SUB01", "subscription_status": "ACTIVE"}
    rows = [
        own | {"plan_code": 700002},
        own | {"charge_day": 20},
        own | {"subscription_status": "CANCELLED_BY_ADMIN"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert Run(path, "--dry-run").err == ""
    assert events() == []
    ran = Run(path)
    assert (ran.err, ran.code) == ("", 0)
    assert ran.out.startswith("Created 0, changed 3, ")
    assert sorted(events()) == sorted(ALL)
    Run(path)
    assert len(events()) == 3


def test_an_import_makes_a_subscription_known_and_says_what_it_lacks(product, tmp_path):
    from tests.sales.imports import Run

    path = tmp_path / "rows.jsonl"
    row = {"kind": "subscription", "code": "QX9", "subscription_status": "ACTIVE"}
    path.write_text(json.dumps(row))
    assert "It is new here, so it needs: buyer_email, buyer_name, product_code, plan_code." in Run(path).err
    row |= {"product_code": product.code, "plan_code": 5, "plan_name": "P", "plan_price": 39.9}
    path.write_text(json.dumps(row | {"buyer_name": "Lia", "buyer_email": "lia@example.com"}))
    assert Run(path).err == ""
    made = Subscription.objects.get()
    assert (made.plan.price, made.email, made.product) == (Decimal("39.90"), "lia@example.com", product)


def test_a_sales_row_that_brings_the_cancellation_tells_it(subscription, tmp_path):
    from tests.sales.imports import Run, row

    facts = {"subscriber_code": "QX1SUB01", "subscription_status": "CANCELLED_BY_CUSTOMER"}
    path = tmp_path / "rows.jsonl"
    of_club = {"product_code": 4100002, "producer_code": subscription.product.owner.code}
    path.write_text(json.dumps(row("HP1", status="REFUNDED", **facts, **of_club)))
    assert Run(path).err == ""
    assert sorted(events()) == sorted([EventType.REFUNDED, CANCELLATION])


def test_a_bulk_change_can_be_told_to_nobody(subscription):
    subscription.status = "CANCELLED_BY_ADMIN"
    recorded = record_subscription_changes([subscription], notify=False)
    assert (recorded.changed, events()) == ([subscription], [])
    assert Subscription.objects.get().status == "CANCELLED_BY_ADMIN"


# --- To whom ------------------------------------------------------------------------------------------


def test_1_0_0_has_no_post_of_a_charge_date_and_the_event_says_so(producer, subscription):
    config = factories.make_config(producer, version="1.0.0")
    subscription.charge_day = 20
    subscription.save()
    assert Event.objects.get().mismatches == {str(config.pk): Mismatch.FORMAT.value}
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("event_type", ALL)
def test_affiliates_get_none_of_them(event_type):
    for version in ("1.0.0", "2.0.0"):
        assert not contract.sends(version, event_type, "affiliate")


def test_a_cancellation_is_as_urgent_as_a_refund_and_found_by_the_subscribers_email(
    client, producer, subscription
):
    factories.make_config(producer)
    cancel(subscription)
    assert Delivery.objects.get().priority == Priority.TAKES_ACCESS_AWAY
    client.force_login(producer.user)
    page = client.get(reverse("deliveries:history"), {"q": subscription.email}).content.decode()
    assert "Marina Duarte Peixoto" in page or subscription.email in page
    assert "Subscription cancelled" in page
    assert client.get(Delivery.objects.get().get_absolute_url()).status_code == 200
    client.force_login(factories.make_staff())
    for row in (Event.objects.get(), Delivery.objects.get()):
        url = reverse(f"admin:deliveries_{row._meta.model_name}_change", args=[row.pk])
        assert "QX1SUB01" in client.get(url).content.decode()


# --- How ----------------------------------------------------------------------------------------------


def statements(work):
    with CaptureQueriesContext(connection) as captured:
        work()
    return [q["sql"] for q in captured if "SAVEPOINT" not in q["sql"]]


def test_a_change_costs_five_queries(producer, subscription):
    factories.make_config(producer)
    row = Subscription.objects.with_facts().get()
    assert len(asked := statements(lambda: cancel(row))) <= 5, asked


@pytest.mark.parametrize("count", [2, 100])
def test_a_batch_costs_as_many_queries_as_two_do(producer, monthly, count):
    factories.make_config(producer)
    rows = [factories.subscription(monthly, status="CANCELLED_BY_ADMIN") for _ in range(count)]
    assert len(asked := statements(lambda: record_subscription_changes(rows))) <= 6, asked
    assert Delivery.objects.count() == count


_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
_amounts = st.decimals(0, 10**9, places=2)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ALL), _texts, _texts, _amounts, st.sampled_from(("1.0.0", "2.0.0")))
def test_any_subscription_parses_back(event_type, name, plan, price, version):
    facts = invented.sample(event_type)
    facts = replace(
        facts, name=name, plan=replace(facts.plan, name=plan, price=price), actual_recurrence_value=price
    )
    kept = contract.read(event_type, json.loads(json.dumps(facts.to_json())))
    assert kept == facts
    if not contract.sends(version, event_type, "producer"):
        return
    body = contract.render(version, "1", event_type, invented.OCCURRED_AT, kept, "producer").body
    post = json.loads(body.replace(TOKEN_PLACEHOLDER, b"abc"), parse_float=Decimal)
    text = json.dumps(post, ensure_ascii=False, default=str)
    assert json.dumps(plan, ensure_ascii=False) in text
    if event_type == CANCELLATION:
        value = (
            post["data"]["actual_recurrence_value"] if version == "2.0.0" else post["actualRecurrenceValue"]
        )
        assert value == price
