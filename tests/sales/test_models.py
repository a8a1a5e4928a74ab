import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from sales.models import StatusChange, Transaction, record_status_changes
from sales.signals import transaction_status_changed
from sales.statuses import SaleStatus
from tests import factories


@pytest.fixture
def told():
    """What the listeners were told: a list of lists."""
    batches: list[list[StatusChange]] = []

    def listen(changes, **_):
        batches.append(changes)

    transaction_status_changed.connect(listen)
    yield batches
    transaction_status_changed.disconnect(listen)


def test_a_new_sale_is_told_once(told, product):
    sale = factories.make_sale(product)
    assert [[(change.sale, change.previous) for change in batch] for batch in told] == [[(sale, None)]]


def test_a_save_that_changes_the_status_is_told_once(told, product):
    sale = factories.make_sale(product)
    told.clear()
    sale.status = SaleStatus.REFUNDED
    sale.save()
    assert [change.previous for batch in told for change in batch] == [SaleStatus.APPROVED]


def test_a_save_that_changes_nothing_is_not_told(told, product):
    sale = factories.make_sale(product)
    told.clear()
    sale.save()
    sale.buyer_city = "Recife"
    sale.save(update_fields=["buyer_city"])
    assert told == []


def test_what_counts_is_the_row_and_not_the_instance(told, product):
    """After a rollback the instance says REFUNDED already; saving it again must still be told."""
    sale = factories.make_sale(product)
    told.clear()
    sale.status = SaleStatus.REFUNDED
    with pytest.raises(RuntimeError), transaction.atomic():
        sale.save()
        raise RuntimeError
    told.clear()
    sale.save()
    assert len(told) == 1


@pytest.mark.parametrize("way", ["update", "bulk_update"])
def test_the_ways_past_save_refuse_the_status(product, way):
    sale = factories.make_sale(product)
    with pytest.raises(ValueError, match="record_status_changes"):
        if way == "update":
            Transaction.objects.update(status=SaleStatus.REFUNDED)
        else:
            Transaction.objects.bulk_update([sale], ["status"])
    Transaction.objects.update(buyer_city="Recife")


def test_many_sales_are_recorded_with_one_signal(told, product):
    there = factories.make_sale(product)
    same = factories.make_sale(product)
    told.clear()
    again = {f.attname: getattr(same, f.attname) for f in Transaction._meta.concrete_fields if f.name != "id"}
    recorded = record_status_changes(
        [
            factories.sale(product, code=there.code, status=SaleStatus.REFUNDED),
            factories.sale(product, code="HP1"),
            Transaction(**again),
        ]
    )
    assert [len(batch) for batch in told] == [2]
    assert [sale.code for sale in recorded.created] == ["HP1"]
    assert [(change.sale.code, change.previous) for change in recorded.changed] == [(there.code, "APPROVED")]
    assert [sale.code for sale in recorded.unchanged] == [same.code]
    there.refresh_from_db()
    assert there.status == SaleStatus.REFUNDED


def test_rows_that_are_read_and_locked_are_not_read_again(told, product):
    factories.make_sale(product, code="HP1")
    told.clear()
    with transaction.atomic():
        standing = Transaction.objects.locked(["HP1", "HP2"])
        assert list(standing) == ["HP1"]
        refunded = factories.sale(product, code="HP1", status="REFUNDED")
        with CaptureQueriesContext(connection) as asked:
            recorded = record_status_changes(
                [refunded, factories.sale(product, code="HP2")], notify=False, standing=standing
            )
    assert not [query["sql"] for query in asked if query["sql"].startswith("SELECT")]
    assert [change.previous for change in recorded.changed] == ["APPROVED"]
    assert [sale.code for sale in recorded.created] == ["HP2"]
    assert standing["HP1"].status == "APPROVED"
    assert sorted(Transaction.objects.values_list("code", "status")) == [
        ("HP1", "REFUNDED"),
        ("HP2", "APPROVED"),
    ]


def test_history_can_be_recorded_without_telling(told, product):
    record_status_changes([factories.sale(product)], notify=False)
    assert told == []
    assert Transaction.objects.count() == 1


def test_the_same_sale_twice_in_a_batch_is_refused(product):
    with pytest.raises(ValueError, match="two calls"):
        record_status_changes([factories.sale(product, code="HP1"), factories.sale(product, code="HP1")])
    assert not Transaction.objects.exists()
