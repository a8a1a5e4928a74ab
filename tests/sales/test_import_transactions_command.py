"""`import_transactions`, as operators run it: processes on the test's database."""

import io
import time

import pytest

from configurations.models import WebhookConfig
from deliveries.models import Delivery, Event
from sales.models import Transaction
from tests import factories
from tests.commands import Running, manage

from .imports import csv_of, row

pytestmark = pytest.mark.django_db(transaction=True)

MANY = 4000  # several batches


@pytest.fixture
def config(db) -> WebhookConfig:
    """Of the producer that the rows name, for every event."""
    return factories.make_config(factories.make_seller(code="S0001"))


@pytest.fixture
def file(tmp_path):
    """`file(rows or bytes)`: its path."""

    def write(content, name="sales.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else csv_of(*content).encode())
        return path

    return write


@pytest.fixture
def many(file):
    header, line, _ = csv_of(row("HP@")).split("\n")
    text = io.StringIO()
    text.write(header + "\n")
    text.writelines(line.replace("HP@", f"HP{n}") + "\n" for n in range(MANY))
    return file(text.getvalue().encode())


def nothing_is_there_twice() -> bool:
    """One event and one post of each sale; the codes of sales are unique by themselves."""
    sales = Transaction.objects.count()
    return (
        sales
        == Event.objects.count()
        == Event.objects.values("sale").distinct().count()
        == Delivery.objects.count()
    )


def test_a_good_file_is_written_and_posted(file, config):
    ran = manage("import_transactions", file([row("HP1"), row("HP2")]))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Created 2, changed 0, updated 0, unchanged 0, bad 0; 0 new sellers, 1 new product.\n"
    assert Delivery.objects.count() == 2


def test_bad_rows_are_in_the_object_and_the_good_ones_are_written(file):
    path = file([row("HP1"), row("HP2", price="much"), row("HP3", status="GONE")])
    ran = manage("import_transactions", path, "--json")
    assert ran.code == 1
    assert [bad["line"] for bad in ran.json["bad"]] == [3, 4]
    assert "“much” is no amount" in ran.json["bad"][0]["reason"]
    assert (ran.json["created"], ran.json["last_line"], ran.json["dry_run"]) == (1, 4, False)
    assert [line.split(":")[0] for line in ran.err.splitlines()] == ["Line 3", "Line 4"]


def test_a_dry_run_writes_nothing_and_says_so(file):
    ran = manage("import_transactions", file([row()]), "--dry-run", "--json")
    assert (ran.code, ran.json["dry_run"], ran.json["created"]) == (0, True, 1)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "The file is empty"),
        (b"code,buyer_name\nHP1,Jo\xe3o\n", "Line 2 is not UTF-8"),
        ("code\nHP1\n".encode("utf-16"), "Line 1 is not UTF-8"),
        (b"code,statsu\nHP1,x\n", "did you mean “status”?"),
    ],
)
def test_a_file_that_cannot_be_used_is_exit_code_2(file, content, reason):
    ran = manage("import_transactions", file(content), "--json")
    assert ran.code == 2
    assert reason in ran.json["error"]
    assert not Transaction.objects.exists()


def test_verbosity_0_says_only_what_is_wrong(file):
    good = manage("import_transactions", file([row("HP1")]), "--verbosity", 0)
    assert (good.code, good.out, good.err) == (0, "", "")
    bad = manage("import_transactions", file([row("HP1", price="much")]), "-v0")
    assert (bad.code, bad.out, len(bad.err.splitlines())) == (1, "", 1)


def test_standard_input_is_read(file):
    path = file([row()])
    ran = manage("import_transactions", "-", "--format", "csv", stdin=path.read_bytes())
    assert (ran.code, Transaction.objects.count()) == (0, 1)


def test_ctrl_c_in_the_middle_leaves_whole_batches_and_the_next_run_goes_on(many, config):
    with Running("import_transactions", many, "--json") as running:
        until = time.monotonic() + 60
        while not Transaction.objects.exists():
            assert time.monotonic() < until
            time.sleep(0.01)  # between two looks
        running.press_ctrl_c()
        stopped = running.ended()
    assert (stopped.code, stopped.json["stopped"]) == (130, True)
    written = Transaction.objects.count()
    assert 0 < written == stopped.json["created"] < MANY
    assert nothing_is_there_twice()
    assert stopped.err.startswith(f"Stopped. All rows up to line {stopped.json['last_line']} ")
    again = manage("import_transactions", many, "--json")
    assert again.code == 0
    assert (again.json["created"], again.json["unchanged"]) == (MANY - written, written)
    assert Transaction.objects.count() == MANY
    assert nothing_is_there_twice()


def test_two_at_once_write_and_post_nothing_twice(many, config):
    with (
        Running("import_transactions", many, "--json") as one,
        Running("import_transactions", many, "--json") as other,
    ):
        ran = [one.ended(), other.ended()]
    assert [each.code for each in ran] == [0, 0]
    assert sum(each.json["created"] for each in ran) == MANY
    assert sum(each.json["unchanged"] for each in ran) == MANY
    assert Transaction.objects.count() == MANY
    assert nothing_is_there_twice()
