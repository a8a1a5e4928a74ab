import json
from decimal import Decimal

import pytest

from sales.models import Seller, Transaction

from .imports import csv_of, row

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("cell", "price"),
    [("147", "147"), ("147,5", "147.50"), ("1.234,56", "1234.56"), ("1,234.56", "1234.56"), (147.5, "147.50"),
     ("1.234.567,89", "1234567.89"), (10, "10"), ("0", "0")],
)  # fmt: skip
def test_amounts_are_read_with_dot_or_comma(imports, cell, price):
    assert imports([row(price=cell)]).err == ""
    assert Transaction.objects.get().price == Decimal(price)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"price": "1.234"}, "price: “1.234” is no amount"),
        ({"price": "R$ 10"}, "price: “R$ 10” is no amount"),
        ({"price": "-1"}, "price: Ensure this value is greater than or equal to 0"),
        ({"price": 1e300}, "price: The amount is too large"),
        ({"price": 12345678901}, "price: Ensure that there are no more than"),
        ({"price": 1.005}, "price: Ensure that there are no more than 2 decimal places"),
        ({"price": ""}, "needs: price"),
        ({"status": "PAID"}, "status: “PAID” is not known here: write one of STARTED"),
        ({"ordered_at": "2026-11-23 15:52"}, "ordered_at: “2026-11-23 15:52” has no time zone"),
        ({"ordered_at": "23/11/2026 15:52"}, "ordered_at: “23/11/2026 15:52” is no time"),
        ({"ordered_at": "2026-02-30T10:00:00Z"}, "ordered_at: “2026-02-30T10:00:00Z” is no time"),
        ({"ordered_at": "0001-01-01T00:00:00+14:00"}, "ordered_at: The time is out of range"),
        ({"buyer_email": "joao"}, "buyer_email: Enter a valid email address"),
        ({"buyer_name": "x" * 201}, "buyer_name: Ensure this value has at most 200 characters"),
        ({"buyer_name": "a\0b"}, "buyer_name: It holds a character that cannot be stored"),
        ({"buyer_name": "\ud800"}, "buyer_name: It holds a character that cannot be stored"),
        ({"buyer_name": ["x"]}, "buyer_name: Write a text"),
        ({"buyer_phone": "call me"}, "buyer_phone: Write digits only"),
        ({"currency": "R$"}, "currency: Write the three capital letters"),
        ({"installments": "0"}, "installments: Ensure this value is greater than or equal to 1"),
        ({"is_funnel": "maybe"}, "is_funnel: Write true or false"),
        ({"billet_due_on": "soon"}, "billet_due_on: “soon” is no day"),
        ({"billet_url": "javascript:alert(1)"}, "billet_url: Enter a valid URL"),
        ({"commissions": [{"source": "ME", "value": 1, "currency": "BRL"}]}, "commissions: Write a list such as"),
        ({"commissions": "{"}, "commissions: Write a list such as"),
        ({"product_code": "x"}, "product_code: “x” is no whole number"),
        ({"product_name": ""}, "The product 4102118 is new here, so it needs: product_name, producer_code."),
        ({"producer_name": ""}, "The seller S0001 is new here, so it needs: producer_name."),
        ({"affiliate_name": "Bia"}, "affiliate_code is missing."),
        ({"subscriber_code": "X"}, "The subscription X is new here, so it needs: plan_code, plan_name."),
        ({"code": ""}, "code: Every row needs one."),
        ({"kind": "gift"}, "kind: “gift” is none: write sale, cart or subscription."),
        ({"buyer_mail": "x"}, "“buyer_mail” is no column; did you mean “buyer_email”?"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_by_line_and_reason_and_the_others_are_written(imports, facts, reason):
    ran = imports([row("HP3", product_code=9, producer_code="S9"), row("HP2") | facts])
    assert ran.code == 1
    assert ran.err.startswith("Line 2: ")
    assert reason in ran.err
    assert [sale.code for sale in Transaction.objects.all()] == ["HP3"]
    assert [seller.code for seller in Seller.objects.all()] == ["S9"]


def test_all_that_is_wrong_with_a_row_is_said_at_once(imports):
    ran = imports([row(price="x", status="y", buyer_email="z")])
    assert all(name in ran.err for name in ("price:", "status:", "buyer_email:"))


def test_times_without_a_zone_are_read_in_the_zone_that_is_given(imports):
    assert imports([row(ordered_at="2026-11-23 12:00")], "--time-zone", "America/Sao_Paulo").code == 0
    assert Transaction.objects.get().ordered_at.isoformat() == "2026-11-23T15:00:00+00:00"


def test_a_zone_that_does_not_exist_is_refused(imports):
    ran = imports([row()], "--time-zone", "Mars/Olympus")
    assert "is no time zone" in ran.err
    assert not Transaction.objects.exists()


def test_a_product_of_another_seller_is_refused(imports, product):
    ran = imports([row(product_code=product.code, producer_code="S7")])
    assert f"The product {product.code} belongs to the seller {product.owner.code}." in ran.err
    assert not Seller.objects.filter(code="S7").exists()


def test_an_email_is_one_sellers_only(imports, producer):
    ran = imports(
        [
            row("HP1", producer_email=producer.email.upper()),
            row("HP2", producer_email="new@example.com"),
            row("HP3", affiliate_code="S3", affiliate_name="C", affiliate_email="New@example.com"),
        ]
    )
    assert ran.err.splitlines() == [
        f"Line 1: The e-mail {producer.email.upper()} is the seller {producer.code}'s.",
        "Line 3: The e-mail New@example.com is the seller S0001's.",
    ]


def test_commissions_phones_and_codes_are_brought_into_the_form_of_the_posts(imports):
    shares = [{"source": "PRODUCER", "value": 131.5, "currency": "BRL"}]
    imports(csv_of(row(commissions=json.dumps(shares), buyer_phone="98765-4321", checkout_country_iso="pt")))
    sale = Transaction.objects.get()
    assert sale.commissions == [{"source": "PRODUCER", "value": "131.5", "currency": "BRL"}]
    assert (sale.buyer_phone, sale.checkout_country_iso) == ("987654321", "PT")
