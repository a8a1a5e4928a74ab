"""Transactions in and out of the admin: in by the way of the command, so that posts arise; out with the same columns."""

import csv
import io

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries.models import Event
from sales import audit
from sales.models import Seller, Transaction
from tests import factories
from tests.admin_forms import HiddenFields
from tests.sales.imports import csv_of, row

pytestmark = pytest.mark.django_db
EXPORT, IMPORT = reverse("admin:sales_transaction_export"), reverse("admin:sales_transaction_import")


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff("operations"))
    return client


def upload(client, text, name="sales.csv", **choices):
    file = SimpleUploadedFile(name, text.encode())
    return client.post(IMPORT, {"file": file, "time_zone": "", "notify": "on"} | choices)


def press(client, preview):
    fields = {name: values[0] for name, values in HiddenFields(preview.content.decode(), "sure").data.items()}
    return client.post(reverse("admin:sales_transaction_process_import"), fields, follow=True)


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


def test_a_file_is_shown_first_and_imported_on_a_press(staff):
    preview = upload(staff, csv_of(row("HP1"), row("HP2", status="nonsense"), row("HP3", status="REFUNDED")))
    text = preview.content.decode()
    for words in ("2 rows are new.", "1 seller becomes known.", "1 row is bad", "Line 3"):
        assert words in text
    assert not Transaction.objects.exists()
    answer = press(staff, preview)
    assert messages_of(answer) == ["2 rows were imported. 1 bad row was left out."]
    assert {sale.code for sale in Transaction.objects.all()} == {"HP1", "HP3"}
    assert {event.type for event in Event.objects.all()} == {"PURCHASE_APPROVED", "PURCHASE_REFUNDED"}
    entry = LogEntry.objects.get(additional_data__fact="sales_imported")
    assert audit.fact_of(entry).startswith("A file was imported: 2 new, 0 with another status")
    assert entry.actor.email.startswith("staff")


def test_history_is_imported_without_telling_anybody(staff):
    preview = upload(staff, csv_of(row("HP1")), notify="")
    assert "posted to nobody" in preview.content.decode()
    press(staff, preview)
    assert Transaction.objects.count() == 1
    assert not Event.objects.exists()
    assert LogEntry.objects.filter(additional_data__fact="sales_imported_silently").exists()


def test_pressing_twice_imports_once(staff):
    preview = upload(staff, csv_of(row("HP1")))
    press(staff, preview)
    assert messages_of(press(staff, preview)) == [
        "Nothing was imported: the file waited for too long. Choose it again."
    ]
    assert LogEntry.objects.filter(additional_data__fact="sales_imported").count() == 1


def test_times_without_a_zone_take_the_chosen_one(staff):
    text = csv_of(row("HP1", ordered_at="2026-11-23T12:00:00"))
    assert "has no time zone" in upload(staff, text).content.decode()
    press(staff, upload(staff, text, time_zone="America/Sao_Paulo"))
    assert Transaction.objects.get().ordered_at.isoformat() == "2026-11-23T15:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("code,colour\nHP1,red\n", "a.csv", "is no column"),
        ("", "a.csv", "empty"),
        ("code\nHP1\n", "a.txt", "ending does not tell"),
        ("code\n" + "HP1\n" * 30, "a.csv", "31 lines, more than the 20"),
        ("code\r" + "HP1\r" * 30, "a.csv", "31 lines, more than the 20"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(staff, settings, text, name, reason):
    settings.IMPORT_MOST_ROWS = 20
    page = upload(staff, text, name).content.decode()
    assert reason in page
    assert 'class="sure"' not in page


def test_a_file_that_brings_nothing_new_has_no_button(staff):
    press(staff, upload(staff, csv_of(row("HP1"))))
    text = upload(staff, csv_of(row("HP1"))).content.decode()
    assert "There is nothing to import in this file." in text
    assert 'class="sure"' not in text


def test_what_was_exported_can_be_imported(staff, product):
    factories.make_sale(product, buyer_name="=1+1", affiliate=factories.make_seller(name="Bruno"))
    answer = staff.post(EXPORT, {"format": "0", "resource": "0"})
    text = answer.content.decode("utf-8-sig")
    [line] = csv.DictReader(io.StringIO(text))
    assert line["buyer_name"] == "'=1+1"
    assert (line["producer_code"], line["product_code"]) == (product.owner.code, str(product.code))
    text = text.replace("'=1+1", "Ana").replace("APPROVED", "REFUNDED")
    preview = upload(staff, text)
    assert "1 row has another status than here." in preview.content.decode()
    press(staff, preview)
    sale = Transaction.objects.get()
    assert (sale.status, sale.buyer_name) == ("REFUNDED", "Ana")
    assert Event.objects.filter(sale=sale, type="PURCHASE_REFUNDED").count() == 1
    assert (
        audit.fact_of(LogEntry.objects.get(additional_data__fact="exported"))
        == "1 rows were exported as CSV."
    )


def test_the_export_takes_as_many_queries_for_many_rows_as_for_few(staff):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            staff.post(EXPORT, {"format": "0", "resource": "0"})
        return len(captured)

    for _ in range(2):
        factories.make_sale(affiliate=factories.make_seller(login=False))
    queries()
    few = queries()
    for _ in range(20):
        factories.make_sale(affiliate=factories.make_seller(login=False))
    assert queries() == few


def test_support_neither_imports_nor_exports_buyers(client):
    client.force_login(factories.make_staff("support"))
    for url in (EXPORT, IMPORT, reverse("admin:sales_transaction_process_import")):
        assert client.get(url).status_code == 403
        assert client.post(url, {}).status_code == 403
    assert Seller.objects.count() == 0
