import io
import json
from decimal import Decimal

import pytest
from django.core.management import call_command

from sales.models import AbandonedCart, Product, Seller, Subscription, Transaction
from sales.signals import transaction_status_changed
from sales.statuses import SaleStatus
from tests import factories

from .imports import Run, cart, csv_of, row

pytestmark = pytest.mark.django_db


# --- What is written ----------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [csv_of, lambda *rows: list(rows)], ids=["csv", "jsonl"])
def test_a_new_sale_brings_its_unknown_product_and_sellers(imports, told, write):
    ran = imports(write(row(affiliate_code="S0002", affiliate_name="Bia")))
    assert ran.code == 0
    sale = Transaction.objects.get()
    assert (sale.code, sale.status, sale.price) == ("HP1", SaleStatus.APPROVED, Decimal("147.00"))
    assert (sale.product.code, sale.product.owner.code, sale.affiliate.name) == (4102118, "S0001", "Bia")
    assert sale.product.owner.user is None
    assert told == [("HP1", None, "APPROVED")]
    assert ran.out == ("Created 1, changed 0, updated 0, unchanged 0, bad 0; 2 new sellers, 1 new product.\n")


def test_known_sellers_and_products_stay_as_they_are(imports, product):
    ran = imports(
        [
            row(
                product_code=product.code,
                product_name="Other",
                producer_code=product.owner.code,
                producer_name="X",
            )
        ]
    )
    assert ran.code == 0
    assert Transaction.objects.get().product == product
    assert {p.name for p in Product.objects.all()} == {product.name}
    assert {s.name for s in Seller.objects.all()} == {product.owner.name}


def test_a_second_run_changes_nothing_and_tells_nobody(imports, told):
    rows = [row("HP1"), row("HP2", src="a"), cart()]
    imports(rows)
    before = list(Transaction.objects.values()), list(AbandonedCart.objects.values())
    told.clear()
    ran = imports(rows)
    assert ran.out.startswith("Created 0, changed 0, updated 0, unchanged 3, bad 0;")
    assert told == []
    assert before == (list(Transaction.objects.values()), list(AbandonedCart.objects.values()))


def test_a_new_status_is_told_and_another_fact_is_only_written(imports, told):
    imports([row("HP1"), row("HP2")])
    told.clear()
    ran = imports([row("HP1", status="refunded"), row("HP2", buyer_city="Recife")])
    assert told == [("HP1", "APPROVED", "REFUNDED")]
    assert ran.out.startswith("Created 0, changed 1, updated 1, unchanged 0, bad 0;")
    assert Transaction.objects.get(code="HP2").buyer_city == "Recife"


def test_facts_that_a_file_does_not_name_stay(imports):
    imports([row(buyer_city="Recife", src="ad", affiliate_code="S2", affiliate_name="Bia")])
    assert imports("code,status\nHP1,REFUNDED\n").code == 0
    sale = Transaction.objects.get()
    assert (sale.status, sale.buyer_city, sale.src, sale.affiliate.code) == ("REFUNDED", "Recife", "ad", "S2")


def test_an_empty_cell_empties_the_fact_and_leaves_what_cannot_be_empty(imports):
    imports([row(buyer_city="Recife", currency="USD", affiliate_code="S2", affiliate_name="Bia")])
    assert imports("code,buyer_city,currency,affiliate_code\nHP1,,,\n").code == 0
    sale = Transaction.objects.get()
    assert (sale.buyer_city, sale.currency, sale.affiliate) == ("", "USD", None)


def test_a_code_that_stands_twice_is_two_changes_in_order(imports, told):
    rows = [row("HP1"), row("HP2"), row("HP1", status="COMPLETED")]
    ran = imports(rows)
    assert told == [("HP1", None, "APPROVED"), ("HP2", None, "APPROVED"), ("HP1", "APPROVED", "COMPLETED")]
    assert ran.out.startswith("Created 2, changed 1,")
    told.clear()
    assert imports(rows).out.startswith("Created 0, changed 0, updated 0, unchanged 3,")
    assert told == []


def test_a_file_that_was_imported_in_part_goes_on_where_it_stopped(imports, told):
    rows = [row(status="BILLET_PRINTED"), row(status="APPROVED"), row(status="COMPLETED")]
    imports(rows[:2])
    told.clear()
    imports(rows)
    assert told == [("HP1", "APPROVED", "COMPLETED")]


def test_no_notify_writes_and_tells_nobody(imports, told):
    imports([row(), cart()], "--no-notify")
    assert told == []
    assert (Transaction.objects.count(), AbandonedCart.objects.count()) == (1, 1)


def test_a_dry_run_writes_nothing_and_foresees_what_the_run_does(imports, told):
    factories.make_sale(factories.make_product(code=1), code="HP9")
    told.clear()
    rows = [
        row("HP1"), row("HP1", status="COMPLETED"), row("HP1", status="COMPLETED", src="x"), row("HP1", src="x", status="COMPLETED"),
        {"code": "HP9", "status": "REFUNDED"}, cart(), row("HP3", price="much"),
    ]  # fmt: skip
    dry = imports(rows, "--dry-run")
    assert (Transaction.objects.count(), Product.objects.count(), told) == (1, 1, [])
    real = imports(rows)
    assert dry.code == real.code == 1
    assert dry.out.lower() == f"nothing was written. it would be: {real.out.lower()}"
    assert real.out.startswith("Created 2, changed 2, updated 1, unchanged 1, bad 1;")


def test_subscriptions_are_made_and_each_sale_is_told_with_its_own_facts(imports):
    seen = []

    def listen(changes, **_):
        seen.extend((change.sale.code, change.sale.subscription.status) for change in changes)

    plan = {"subscriber_code": "SUB1", "plan_code": 7, "plan_name": "Monthly"}
    rows = [
        row("HP1", **plan, subscription_status="ACTIVE", recurrence_number=1),
        row("HP2", **plan, subscription_status="OVERDUE", recurrence_number=2, status="DELAYED"),
    ]
    transaction_status_changed.connect(listen)
    try:
        assert imports(rows).code == 0
    finally:
        transaction_status_changed.disconnect(listen)
    assert seen == [("HP1", "ACTIVE"), ("HP2", "OVERDUE")]
    assert Subscription.objects.get().status == "OVERDUE"
    assert imports(rows).out.startswith("Created 0, changed 0, updated 0, unchanged 2")
    assert Subscription.objects.get().status == "OVERDUE"


def test_a_cart_is_made_once_and_never_changes(imports, told):
    assert imports([cart()]).code == 0
    assert [str(code) for code in told] == [cart()["code"]]
    ran = imports([cart(buyer_name="Somebody else")])
    assert ran.code == 1
    assert "Line 1: This cart is there already" in ran.err
    assert AbandonedCart.objects.get().buyer_name == "João Souza"


# --- Files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_of_every_spreadsheet_is_read(imports, mark, delimiter):
    text = csv_of(row(buyer_name='João "J"\nSouza; Lima, 漢字 🎓'), row("HP2"), delimiter=delimiter)
    assert imports(mark + text.replace("\n", "\r\n").encode()).err == ""
    assert Transaction.objects.get(code="HP1").buyer_name == 'João "J"\r\nSouza; Lima, 漢字 🎓'


def test_lines_are_counted_as_an_editor_does(imports):
    ran = imports(csv_of(row("HP1", buyer_name="two\nlines")) + "\n\n" + "x,y\n")
    assert ran.err == "Line 6: It has 2 cells, the header has 10.\n"


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.csv", "The file is empty"),
        (b"status\nAPPROVED\n", "a.csv", "The column “code” is missing."),
        (
            b"code,statsu\n",
            "a.csv",
            "“statsu” is no column; did you mean “status”? The columns are: kind, code",
        ),
        (b"code,code\n", "a.csv", "These columns stand twice: code."),
        (b"code,buyer_name\nHP1,x\nHP2,Jo\xe3o\n", "a.csv", "Line 3 is not UTF-8"),
        (b'{"code": "HP1"}\n{"code": "\xe3"}\n', "a.jsonl", "Line 2 is not UTF-8"),
        ("code\nHP1\n".encode("utf-16"), "a.csv", "Line 1 is not UTF-8"),
        (b"code\n", "a.xlsx", "add --format csv or --format jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_writes_nothing_and_exits_with_2(imports, content, name, reason):
    ran = imports(content, name=name)
    assert ran.code == 2
    assert reason in ran.err
    assert ran.out == ""


def test_a_file_that_is_not_there_exits_with_2(tmp_path):
    ran = Run(tmp_path / "none.csv")
    assert ran.code == 2
    assert "none.csv" in ran.err


def test_lines_that_are_no_json_are_named_and_the_rest_is_read(imports):
    good = json.dumps(row())
    ran = imports(f'{good}\n{{"code"\n[1]\n{{"code": NaN}}\n{"[" * 100_000}\n\n', name="sales.ndjson")
    assert [line.split(":")[0] for line in ran.err.splitlines()] == ["Line 2", "Line 3", "Line 4", "Line 5"]
    assert Transaction.objects.count() == 1


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(csv_of(row()).encode())))
    assert Run("-", "--format", "csv").code == 0
    assert Transaction.objects.count() == 1


def test_verbosity_0_says_only_what_is_wrong(imports):
    ran = imports([row(), row("HP2", price="x")], "--verbosity", "0")
    assert ran.out == ""
    assert ran.err.splitlines() == ["Line 2: price: “x” is no amount: write it as 1234.56 or 1234,56."]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar_and_then_clears_it(tmp_path):
    path, screen = tmp_path / "sales.csv", Terminal()
    path.write_text(csv_of(row()))
    call_command("import_transactions", str(path), stdout=io.StringIO(), stderr=screen)
    assert "100%" in screen.getvalue()
    assert screen.getvalue().endswith("\r\x1b[K")


def test_a_log_gets_plain_lines_now_and_then(imports, monkeypatch):
    monkeypatch.setattr("sales.commandkit.LINE_EVERY", -1)
    assert imports([row("HP1"), row("HP2")]).err == "Line 2 of 2 (100 %)\n"


def test_ctrl_c_leaves_whole_batches_and_says_so(imports, monkeypatch, told):
    monkeypatch.setattr("sales.importing.BATCH", 2)

    def press(changes, **_):
        if any(change.sale.code == "HP4" for change in changes):
            raise KeyboardInterrupt

    transaction_status_changed.connect(press)
    try:
        ran = imports([row(f"HP{n}") for n in range(1, 7)])
    finally:
        transaction_status_changed.disconnect(press)
    assert ran.code == 130
    assert "All rows up to line 2 are dealt with, none after it" in ran.err
    assert Transaction.objects.count() == 2


def test_what_only_the_database_refuses_is_one_bad_row(imports, monkeypatch):
    """Another process creates the product between our look and our insert."""
    from sales.import_parties import Parties

    factories.make_product(code=77)
    load = Parties.load
    monkeypatch.setattr(Parties, "load", lambda self, rows: (load(self, rows), self.products.pop(77, None)))
    ran = imports([row("HP1"), row("HP2", product_code=77, producer_code="S77"), row("HP3")])
    assert [sale.code for sale in Transaction.objects.order_by("code")] == ["HP1", "HP3"]
    assert ran.err.startswith("Line 2: The database refuses it:")


def test_the_number_of_queries_does_not_grow_with_the_rows(imports, django_assert_max_num_queries):
    imports([row("HP0")])
    with django_assert_max_num_queries(16):
        imports([row(f"HP{n}") for n in range(1, 10)])
    with django_assert_max_num_queries(24):  # SQLite takes 999 values in a statement
        imports([row(f"HP{n}", status="REFUNDED") for n in range(100)])


def test_the_samples_can_be_imported():
    assert Run("examples/transactions.csv").err == ""
    assert Run("examples/transactions.jsonl").err == ""
    assert AbandonedCart.objects.exists()
