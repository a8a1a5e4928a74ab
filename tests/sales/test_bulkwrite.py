"""Many rows in one statement: what bulk_create() writes, and the keys."""

from datetime import UTC, datetime, timedelta
from datetime import timezone as zone
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError
from django.db.models import F
from django.utils import timezone

from configurations.events import EventType
from deliveries.models import Delivery, Event
from sales import bulkwrite
from sales.bulkwrite import insert, new
from sales.models import AbandonedCart, Seller, Transaction
from sales.statuses import SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db


def odd_sales(product):
    """Values as they come from everywhere: texts for numbers, choices, other zones."""
    brazil = zone(timedelta(hours=-3))
    return [
        factories.sale(
            product,
            code="HP1",
            status=SaleStatus.REFUNDED,
            ordered_at=datetime(2026, 1, 2, 3, 4, 5, 678901, brazil),
            warranty_until=None,
            price=Decimal("1.5"),
            full_price=Decimal("1.50"),
            commissions=[{"source": "PRODUCER", "value": "1.50", "currency": "BRL"}],
        ),
        factories.sale(
            product,
            code="HP2",
            status="APPROVED",
            ordered_at=datetime(2026, 1, 2, 6, 4, 5, 678901, UTC),
            price="147.00",
            tickets="3",
            installments=2,
            is_funnel=1,
            buyer_name="O'Neill %s ? \\ 漢字 🎓",
            affiliate=factories.make_seller(login=False),
        ),
    ]


def values_of(sales):
    by_code = {sale["code"]: sale for sale in sales.values()}
    for sale in by_code.values():
        del sale["id"], sale["updated_at"]
    return by_code


@pytest.mark.parametrize("model", [Transaction, AbandonedCart, Event, Delivery])
def test_a_new_row_is_as_its_model_makes_it(model, product):
    facts = {"product": product} if model in (Transaction, AbandonedCart) else {"type": "X", "snapshot": {}}
    facts = {"webhook_id": "msg_1", "state": "held"} if model is Delivery else facts
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    one, other = new(model, **facts), model(**facts)
    for row in (one, other):
        for f in model._meta.concrete_fields:  # what differs from row to row
            if isinstance(getattr(row, f.attname), UUID | datetime):
                setattr(row, f.attname, moment)
    assert vars(one).keys() == vars(other).keys()
    assert {f.attname: getattr(one, f.attname) for f in model._meta.fields} == {
        f.attname: getattr(other, f.attname) for f in model._meta.fields
    }


def test_a_fact_that_is_no_field_is_refused():
    with pytest.raises(TypeError, match=r"^Delivery has no field sate, webhook_idd\.$"):
        new(Delivery, sate="held", webhook_idd="msg_1", owner_id=1)


def test_new_rows_share_nothing_that_can_change():
    one, other = new(Transaction), new(Transaction)
    one.commissions.append({"source": "PRODUCER"})
    assert other.commissions == [] == new(Transaction).commissions
    assert new(Event).pk != new(Event).pk


def test_json_is_kept_as_it_was(product):
    """Whole numbers that orjson cannot write, too."""
    facts = {"big": 2**70, "text": "ß 漢字 🎓 \\ %s ?", "parts": [None, True, 1.5, {}]}
    event = new(
        Event, type="X", snapshot=facts, product=product, producer=product.owner, occurred_at=timezone.now()
    )
    insert([event])
    assert Event.objects.values_list("snapshot", flat=True).get() == facts
    event.snapshot, event.pk = {"a": Decimal(1)}, None
    with pytest.raises(TypeError, match="Decimal"):
        insert([event])


def test_the_rows_are_those_that_bulk_create_writes(product):
    sales = odd_sales(product)
    Transaction.objects.bulk_create(sales)
    expected = values_of(Transaction.objects)
    Transaction.objects.all().delete()
    for sale in sales:
        sale.pk, sale.updated_at = None, None
    assert insert(sales) == sales
    assert values_of(Transaction.objects) == expected
    assert all(sale.updated_at for sale in Transaction.objects.all())


def test_equal_rows_are_found_by_equal_values(product):
    """As the database compares them: a Decimal or a time that is written otherwise would not be found."""
    insert(odd_sales(product))
    moment = datetime(2026, 1, 2, 6, 4, 5, 678901, UTC)
    assert Transaction.objects.filter(ordered_at=moment).count() == 2
    assert Transaction.objects.filter(price=F("full_price"), status="REFUNDED").count() == 1


def test_each_row_gets_its_own_key(product, django_assert_num_queries):
    sales = [factories.sale(product) for _ in range(300)]
    with django_assert_num_queries(1):
        insert(sales)
    assert {sale.pk: sale.code for sale in sales} == dict(Transaction.objects.values_list("pk", "code"))
    assert not any(sale._state.adding for sale in sales)
    sales[0].buyer_name = "Ana"
    sales[0].save()
    assert Transaction.objects.count() == 300


def test_more_rows_than_a_statement_takes_go_in_several(product, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(bulkwrite.connections["default"].ops, "bulk_batch_size", lambda fields, rows: 4)
    sales = [factories.sale(product) for _ in range(10)]
    with django_assert_num_queries(3):
        insert(sales)
    assert {sale.pk: sale.code for sale in sales} == dict(Transaction.objects.values_list("pk", "code"))


def test_rows_that_bring_their_keys_keep_them(product):
    event = Event(
        type=EventType.APPROVED,
        snapshot={"a": [None, "ß"]},
        product=product,
        producer=product.owner,
        occurred_at=timezone.now(),
    )
    insert([event])
    assert Event.objects.get(pk=event.pk).snapshot == {"a": [None, "ß"]}
    event.pk = None
    insert([event])
    assert Event.objects.count() == 2
    sales = odd_sales(product)
    sales[0].pk = 4711
    insert(sales)
    assert Transaction.objects.get(code="HP1").pk == sales[0].pk == 4711
    assert Transaction.objects.get(code="HP2").pk == sales[1].pk


def test_choices_are_stored_as_their_values(product):
    factories.make_config(product.owner)
    factories.make_sale(product)
    delivery = Delivery.objects.get(lane=0, priority=0, state="waiting", audience="producer")
    assert delivery.event.type == "PURCHASE_APPROVED"


def test_a_row_that_breaks_a_rule_undoes_them_all(product, transactional_db):
    sales = [factories.sale(product, code="HP1"), factories.sale(product, code="HP1")]
    with pytest.raises(IntegrityError):
        insert(sales)
    assert not Transaction.objects.exists()


def test_a_relation_that_is_not_saved_is_refused(product):
    affiliate = Seller(code="S9", name="Ana")
    with pytest.raises(ValueError, match="unsaved related object 'affiliate'"):
        insert([factories.sale(product, affiliate=affiliate)])


def test_no_rows_are_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert insert([]) == []


def test_a_cart_is_written_with_its_default_code(product):
    carts = insert([AbandonedCart(product=product, buyer_name="Ana", buyer_email="a@example.com")])
    assert AbandonedCart.objects.get().code == carts[0].code
