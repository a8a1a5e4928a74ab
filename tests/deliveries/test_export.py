"""The History as a table to take away: the page's download."""

import csv
import io
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries import engine, export
from deliveries.models import Delivery, Event
from sales import privacy
from sales.statuses import SaleStatus
from tests import factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db
URL = reverse("deliveries:export")


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


def exported(client, **query):
    answer = client.get(URL, query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_it_holds_a_row_a_post_with_what_the_list_shows(client, receiver, config, sell):
    receiver.answers(Answer(503))
    sale = sell(buyer_email="joao@example.com", buyer_name="João").event.sale
    engine.drain()
    (row,) = exported(client)
    post = Delivery.objects.get()
    assert row["Status"] == "Waiting"
    assert row["Event"] == "Order approved"
    assert row["Transaction"] == sale.code
    assert (row["Buyer"], row["Buyer’s e-mail"]) == ("João", "joao@example.com")
    assert (row["Amount"], row["Currency"]) == ("147.00", "BRL")
    assert (row["Configuration"], row["Host"]) == (config.name, "127.0.0.1")
    assert (row["Response"], row["Tries"], row["Attempts"]) == ("503", "1", "1")
    assert row["webhook-id"] == post.webhook_id
    assert row["Finished"] == ""


def test_it_holds_what_the_filters_show_and_all_of_it(client, sell, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 2)
    posts = [sell().pk for _ in range(5)]
    sell(status=SaleStatus.REFUNDED)
    rows = exported(client, event="PURCHASE_APPROVED")
    ids = dict(Delivery.objects.values_list("pk", "webhook_id"))
    assert [row["webhook-id"] for row in rows] == [ids[pk] for pk in reversed(posts)]
    assert len(exported(client)) == 6
    assert exported(client, q="HP999999999999") == []


def test_it_holds_ones_own_posts_alone(client, sell):
    sell()
    stranger = factories.make_seller()
    client.force_login(stranger.user)
    assert exported(client) == []


def test_an_affiliate_gets_no_buyer_whom_the_posts_do_not_name(client, producer):
    affiliate = factories.make_seller()
    factories.make_config(affiliate)
    for shares in (False, True):
        product = factories.make_product(producer, shares_buyers=shares)
        factories.make_sale(product, affiliate=affiliate, buyer_email="joao@example.com")
    client.force_login(affiliate.user)
    rows = exported(client)
    assert [row["Buyer’s e-mail"] for row in rows] == ["joao@example.com", ""]
    assert {row["Whose copy"] for row in rows} == {"Affiliate"}


def test_language_and_zone_are_the_sellers_though_the_request_is_over(client, sell, producer):
    post = sell()
    at = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
    Delivery.objects.filter(pk=post.pk).update(created_at=at)
    type(producer).objects.filter(pk=producer.pk).update(language="pt-br", time_zone="America/Sao_Paulo")
    answer = client.get(URL)
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert "2026-11-22 22:30:00" in lines[1]
    assert "Comprador" in lines[0]
    assert "Aguardando" in lines[1]


def test_a_cell_that_a_spreadsheet_would_run_is_harmless(client, sell):
    sell(buyer_name="=HYPERLINK(1)")
    (row,) = exported(client)
    assert row["Buyer"] == "'=HYPERLINK(1)"


def test_of_an_erased_buyer_it_holds_nothing(client, sell):
    sell(buyer_name="João Souza", buyer_email="joao@example.com")
    privacy.redact("joao@example.com", by="a test")
    (row,) = exported(client)
    assert "João" not in str(row)
    assert "joao" not in str(row)


def test_an_event_without_a_product_name_or_amount_is_exported_too(client, sell):
    post = sell()
    Event.objects.filter(pk=post.event_id).update(amount=None)
    assert exported(client)[0]["Amount"] == ""


def test_few_queries_whatever_the_number_of_posts(client, product, config):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            rows = exported(client)
        return len(rows), len(captured)

    factories.make_sales(product, 10)
    ten = queries()
    factories.make_sales(product, 90)
    hundred = queries()
    assert (ten[0], hundred[0]) == (10, 100)
    assert ten[1] == hundred[1] <= 15


def test_it_reads_some_at_a_time(client, sell, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 2)
    for _ in range(5):
        sell()
    answer = client.get(URL)
    lines = iter(answer.streaming_content)
    with CaptureQueriesContext(connection) as captured:
        for _ in range(4):  # the mark, the header, two rows
            next(lines)
    assert len(captured) == 1
    assert len(list(lines)) == 3


def test_the_history_offers_what_it_shows(client, sell):
    sell()
    page = client.get(reverse("deliveries:history"), {"status": "waiting"}).content.decode()
    assert f'href="{URL}?status=waiting" download' in page


def test_the_name_of_the_file_says_the_day(client, sell):
    disposition = client.get(URL)["Content-Disposition"]
    assert disposition.startswith('attachment; filename="history-20')
    assert disposition.endswith('.csv"')


def test_who_is_not_logged_in_gets_nothing(client):
    client.logout()
    assert client.get(URL).status_code == 302
    assert client.post(URL).status_code == 405


def test_posts_of_one_moment_are_exported_once_each(client, product, config, monkeypatch):
    monkeypatch.setattr(export, "CHUNK", 3)
    factories.make_sales(product, 10)
    Delivery.objects.update(created_at=datetime(2026, 11, 23, tzinfo=UTC))
    ids = [row["webhook-id"] for row in exported(client)]
    assert len(ids) == len(set(ids)) == 10
