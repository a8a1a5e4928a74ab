import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from configurations.events import BY_STATUS, EventType, Priority
from configurations.models import Mismatch, Reason, Version
from deliveries import wake
from deliveries.models import Audience, Delivery, Event, State
from deliveries.posting import body_of
from deliveries.recording import record_carts, record_events
from sales.models import AbandonedCart, StatusChange, Transaction, record_status_changes
from sales.statuses import SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def affiliate():
    return factories.make_seller()


def change(sale, status):
    sale.status = status
    sale.save()


# --- Which events -------------------------------------------------------------------------------------


def test_a_new_sale_is_an_event_and_a_delivery(producer, product):
    config = factories.make_config(producer)
    before = timezone.now()
    sale = factories.make_sale(product, price=Decimal("147.00"), currency="EUR")
    event, delivery = Event.objects.get(), Delivery.objects.get()
    assert (event.type, event.sale, event.cart, event.product) == (EventType.APPROVED, sale, None, product)
    assert (event.producer, event.transaction_code) == (producer, sale.code)
    assert (event.buyer_email, event.buyer_name) == (sale.buyer_email, sale.buyer_name)
    assert (event.amount, event.currency, event.mismatches) == (Decimal("147.00"), "EUR", {})
    assert before <= event.occurred_at <= timezone.now()
    assert (delivery.event, delivery.config, delivery.owner) == (event, config, producer)
    assert (delivery.state, delivery.audience) == (State.WAITING, Audience.PRODUCER)
    assert (delivery.version, delivery.created_at) == (Version.V2, event.occurred_at)
    assert (delivery.tries, delivery.next_try_at, delivery.body) == (0, None, "")


@pytest.mark.parametrize("status", SaleStatus.values)
def test_every_status_gives_the_event_that_announces_it_or_none(product, status):
    factories.make_config(product.owner)
    factories.make_sale(product, status=status)
    announced = [BY_STATUS[status].type] if status in BY_STATUS else []
    assert list(Event.objects.values_list("type", flat=True)) == announced
    assert Delivery.objects.count() == len(announced)


def test_an_abandoned_cart_is_an_event_and_a_delivery(producer, product):
    factories.make_config(producer)
    cart = factories.make_cart(product)
    event = Event.objects.get()
    assert (event.type, event.cart, event.sale) == (EventType.CART_ABANDONED, cart, None)
    assert (event.buyer_email, event.transaction_code, event.amount) == (cart.buyer_email, "", None)
    assert json.loads(body_of(Delivery.objects.get()))["data"]["product"]["id"] == product.code


def test_an_event_is_written_even_when_nobody_asks_for_it(product):
    factories.make_sale(product)
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 0)


def test_each_change_of_a_sale_is_an_event_of_its_own(product):
    sale = factories.make_sale(product, status=SaleStatus.BILLET_PRINTED)
    change(sale, SaleStatus.APPROVED)
    change(sale, SaleStatus.REFUNDED)
    assert set(Event.objects.values_list("type", flat=True)) == {
        EventType.BILLET_PRINTED,
        EventType.APPROVED,
        EventType.REFUNDED,
    }


def test_a_save_that_changes_no_status_writes_nothing(product):
    factories.make_config(product.owner)
    sale = factories.make_sale(product)
    sale.buyer_city = "Recife"
    sale.save()
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 1)


def test_a_rollback_writes_nothing_and_wakes_nobody(product, django_capture_on_commit_callbacks):
    factories.make_config(product.owner)
    with django_capture_on_commit_callbacks() as callbacks:
        with pytest.raises(RuntimeError), transaction.atomic():
            factories.make_sale(product)
            raise RuntimeError
        assert not Event.objects.exists()
        assert not Delivery.objects.exists()
    assert callbacks == []


def test_a_sale_that_no_post_could_be_made_from_is_not_saved(product):
    broken = [{"source": "PRODUCER", "value": "much", "currency": "BRL"}]
    with pytest.raises(ValueError, match=r"Sale.commissions cannot be"), transaction.atomic():
        factories.make_sale(product, commissions=broken)
    assert not Transaction.objects.exists()


def test_an_import_without_notice_writes_nothing(product):
    factories.make_config(product.owner)
    record_status_changes([factories.sale(product)], notify=False)
    assert not Event.objects.exists()


# --- To whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"events": [EventType.REFUNDED]}, Mismatch.EVENT),
        ({"events": []}, Mismatch.EVENT),
        ({"state": "off"}, Mismatch.OFF),
    ],
)
def test_the_event_keeps_why_a_configuration_did_not_match(product, facts, reason):
    config = factories.make_config(product.owner, **facts)
    factories.make_sale(product)
    assert Event.objects.get().mismatches == {str(config.pk): reason.value}
    assert not Delivery.objects.exists()


def test_a_configuration_for_one_product_gets_that_product_alone(producer, product):
    other = factories.make_product(producer)
    config = factories.make_config(producer, product=product)
    factories.make_sale(product)
    factories.make_sale(other)
    assert [d.event.product for d in Delivery.objects.all()] == [product]
    assert Event.objects.get(product=other).mismatches == {str(config.pk): Mismatch.PRODUCT.value}


def test_other_sellers_configurations_are_not_even_looked_at(product):
    factories.make_config()
    factories.make_sale(product)
    assert Event.objects.get().mismatches == {}
    assert not Delivery.objects.exists()


def test_a_removed_configuration_gets_nothing(producer, product):
    factories.make_config(producer).remove()
    factories.make_sale(product)
    assert Event.objects.get().mismatches == {}
    assert not Delivery.objects.exists()


def test_what_arises_while_we_disabled_a_configuration_is_held(
    producer, product, django_capture_on_commit_callbacks
):
    factories.make_config(producer).disable(Reason.GONE)
    with django_capture_on_commit_callbacks() as callbacks:
        factories.make_sale(product)
    assert Delivery.objects.get().state == State.HELD
    assert callbacks == []


def test_the_affiliate_gets_a_copy_of_their_own(producer, product, affiliate):
    factories.make_config(producer)
    factories.make_config(affiliate)
    factories.make_config()  # somebody else's
    factories.make_sale(product, affiliate=affiliate)
    copies = {d.owner: d for d in Delivery.objects.all()}
    assert {owner: d.audience for owner, d in copies.items()} == {
        producer: Audience.PRODUCER,
        affiliate: Audience.AFFILIATE,
    }
    assert json.loads(body_of(copies[producer]))["data"]["buyer"] != {}
    assert json.loads(body_of(copies[affiliate]))["data"]["buyer"] == {}


def test_an_affiliate_gets_the_carts_they_brought(product, affiliate):
    factories.make_config(affiliate)
    factories.make_cart(product, affiliate=affiliate)
    factories.make_cart(product)
    assert Delivery.objects.get().audience == Audience.AFFILIATE


def test_an_affiliate_gets_no_sale_of_others(product, affiliate):
    factories.make_config(affiliate)
    factories.make_sale(product)
    factories.make_sale(product, affiliate=factories.make_seller())
    assert not Delivery.objects.exists()


def test_who_sells_their_own_product_gets_one_post_and_the_whole_of_it(producer, product):
    factories.make_config(producer)
    factories.make_sale(product, affiliate=producer)
    assert Delivery.objects.get().audience == Audience.PRODUCER


# --- How ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "priority"),
    [
        (SaleStatus.APPROVED, Priority.GRANTS_ACCESS),
        (SaleStatus.REFUNDED, Priority.TAKES_ACCESS_AWAY),
        (SaleStatus.COMPLETED, Priority.THE_REST),
    ],
)
def test_a_delivery_is_as_urgent_as_its_event(product, status, priority):
    factories.make_config(product.owner)
    factories.make_sale(product, status=status)
    assert Delivery.objects.get().priority == priority


def test_what_is_posted_is_the_sale_of_that_moment(product):
    """Also when it is posted, or posted again, long after the sale went on."""
    factories.make_config(product.owner)
    sale = factories.make_sale(product, buyer_city="Recife")
    body = body_of(Delivery.objects.get())
    sale.buyer_city, sale.price = "Olinda", Decimal("1.00")
    change(sale, SaleStatus.REFUNDED)
    product.name = "Another name"
    product.save()
    assert body_of(Delivery.objects.select_related("event").order_by("pk").first()) == body
    assert b'"APPROVED"' in body
    assert b'"Recife"' in body


def test_the_worker_is_woken_once_for_a_batch(product, django_capture_on_commit_callbacks):
    factories.make_config(product.owner)
    with django_capture_on_commit_callbacks() as callbacks:
        record_status_changes([factories.sale(product) for _ in range(3)])
    assert callbacks == [wake.wake]


def test_the_worker_is_not_woken_where_nothing_is_to_be_sent(product, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks() as callbacks:
        factories.make_sale(product)
        factories.make_sale(product, status=SaleStatus.STARTED)
    assert callbacks == []


def test_a_batch_is_of_one_moment_and_each_post_has_an_id_of_its_own(product):
    factories.make_config(product.owner)
    record_status_changes([factories.sale(product) for _ in range(20)])
    assert len(set(Event.objects.values_list("occurred_at", flat=True))) == 1
    ids = set(Delivery.objects.values_list("webhook_id", flat=True))
    assert len(ids) == 20
    assert not any("." in webhook_id for webhook_id in ids)


def test_a_row_read_in_part_is_posted_whole(product, affiliate):
    factories.make_config(product.owner)
    sale = factories.make_sale(product, affiliate=affiliate, buyer_city="Recife")
    part = Transaction.objects.only("status").get(pk=sale.pk)
    change(part, SaleStatus.REFUNDED)
    data = json.loads(body_of(Delivery.objects.get(event__type=EventType.REFUNDED)))["data"]
    assert data["buyer"]["address"]["city"] == "Recife"
    assert data["affiliates"] == [{"affiliate_code": affiliate.code, "name": affiliate.name}]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite takes texts of any length.")
def test_a_text_that_is_too_long_is_refused_and_not_cut(product):
    sales = [factories.sale(product), factories.sale(product, currency="BRLS")]
    with pytest.raises(DataError):
        record_status_changes(sales)


# --- How fast -----------------------------------------------------------------------------------------


def queries(work) -> list[str]:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        work()
    return [q["sql"] for q in captured if "SAVEPOINT" not in q["sql"] and q["sql"] not in ("BEGIN", "COMMIT")]


@pytest.mark.parametrize("configs", [1, 10, 100])
def test_a_change_costs_five_queries_whatever_the_number_of_configurations(product, configs):
    for _ in range(configs):
        factories.make_config(product.owner)
    made = factories.make_sale(product, affiliate=factories.make_seller())
    sale = Transaction.objects.with_facts().get(pk=made.pk)
    asked = queries(lambda: change(sale, SaleStatus.REFUNDED))
    assert len(asked) <= 5, asked
    inserts = [sql.split('"')[1] for sql in asked if sql.startswith("INSERT")]
    assert inserts == ["deliveries_event", "deliveries_delivery"]
    assert Delivery.objects.filter(event__type=EventType.REFUNDED).count() == configs


def test_a_change_asks_once_whether_the_worker_is_woken_already(clean_queue, product):
    """After its commit; where the queue is in Redis, that is no query."""
    factories.make_config(product.owner)
    factories.make_sale(product)  # wakes it
    with CaptureQueriesContext(connection) as captured:
        factories.make_sale(product)
    asked = [query["sql"] for query in captured]
    after = asked[asked.index("COMMIT") + 1 :]
    assert len(after) == (0 if settings.ON_REDIS else 1), after


@pytest.mark.parametrize("count", [2, 500])
def test_a_batch_costs_as_many_queries_as_two_sales_do(count):
    """Of several producers, each row read without its relations: one query loads what is missing."""
    products = [factories.make_product() for _ in range(5)]
    for product in products:
        factories.make_config(product.owner)
    affiliate = factories.make_seller(login=False)
    sales = [factories.sale(products[n % 5], affiliate=affiliate) for n in range(count)]
    record_status_changes(sales, notify=False)
    changes = [StatusChange(sale, None) for sale in Transaction.objects.all()]
    assert len(asked := queries(lambda: record_events(changes))) == 4, asked
    assert Delivery.objects.count() == count


def test_rows_read_without_some_columns_are_read_again_together(product):
    record_status_changes([factories.sale(product) for _ in range(30)], notify=False)
    rows = Transaction.objects.with_facts().defer("buyer_city", "product__support_email")
    changes = [StatusChange(sale, None) for sale in rows]
    assert len(asked := queries(lambda: record_events(changes))) == 3, asked


@pytest.mark.parametrize("count", [2, 200])
def test_a_batch_of_carts_costs_as_many_queries_as_two_do(product, count):
    factories.make_config(product.owner)
    now = timezone.now()
    AbandonedCart.objects.bulk_create(
        AbandonedCart(product=product, buyer_email=f"a{n}@example.com", abandoned_at=now - timedelta(hours=n))
        for n in range(count)
    )
    carts = list(AbandonedCart.objects.all())
    assert len(asked := queries(lambda: record_carts(carts))) == 4, asked
    assert Delivery.objects.count() == count


def test_no_secret_is_decrypted_on_the_way_of_a_sale(product):
    factories.make_config(product.owner)
    asked = queries(lambda: factories.make_sale(product))
    assert any('FROM "configurations_webhookconfig"' in sql for sql in asked)
    assert not any('"secret"' in sql for sql in asked)
