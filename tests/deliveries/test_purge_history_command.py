"""`manage.py purge_history` as operators run it: a process of its own."""

import csv
import json
import os
import pty
import stat
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from deliveries.models import Delivery, DeliveryAttempt, Event, State, Tally
from sales import privacy
from sales.models import Transaction
from tests import factories
from tests.commands import Running, manage

pytestmark = pytest.mark.django_db(transaction=True)

EMAIL = "joao.souza@example.com"


@pytest.fixture
def old(config, product):
    """`old(n, days)`: n posts with an attempt each, that were delivered so many days ago."""

    def old(count, days=100):
        sales = factories.make_sales(product, count)
        at = timezone.now() - timedelta(days=days)
        posts = Delivery.objects.filter(event__sale__in=sales)
        attempts = [
            DeliveryAttempt(
                delivery=post, number=1, started_at=at, duration_ms=5, url="https://x.example.com",
                request_headers=[], status=200, delivered=True, response_body=b"x" * 500,
            )
            for post in posts
        ]  # fmt: skip
        DeliveryAttempt.objects.bulk_create(attempts)
        Event.objects.filter(sale__in=sales).update(occurred_at=at)
        posts.update(state=State.DELIVERED, created_at=at, finished_at=at, attempts_made=1, body="{}" * 500)

    return old


def left():
    return Delivery.objects.count(), DeliveryAttempt.objects.count(), Event.objects.count()


def test_it_deletes_what_is_older_than_the_setting_and_says_how_much(old):
    old(3)
    old(1, days=10)
    ran = manage("purge_history")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Deleted what was older than 90 days: 3 posts, 3 attempts, 3 events.\n"
    assert left() == (1, 1, 1)
    assert Tally.objects.get().posts == 3


def test_run_again_there_is_nothing_to_do(old):
    old(1, days=10)
    ran = manage("purge_history")
    assert (ran.code, ran.out) == (0, "Nothing is older than 90 days and finished.\n")
    assert left() == (1, 1, 1)


def test_the_days_may_be_given_and_the_counts_read_by_a_script(old):
    old(1, days=10)
    ran = manage("purge_history", "--older-than", 7, "--json")
    assert ran.json == {"dry_run": False, "days": 7, "posts": 1, "attempts": 1, "events": 1}
    assert left() == (0, 0, 0)


def test_a_dry_run_says_what_would_go_by_month_and_deletes_nothing(old):
    old(2, days=100)
    old(1, days=140)
    ran = manage("purge_history", "--dry-run")
    *months, last = ran.out.splitlines()
    assert len(months) == 2
    assert months[1].endswith(": 2 posts, 2 attempts, 2 events")
    assert last == "Nothing was deleted. Older than 90 days, and would be: 3 posts, 3 attempts, 3 events."
    assert left() == (3, 3, 3)
    facts = manage("purge_history", "--dry-run", "--json").json
    assert (facts["dry_run"], facts["posts"]) == (True, 3)
    assert sum(month["posts"] for month in facts["months"].values()) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--older-than", "0"], "no number of days"),
        (["--older-than", "soon"], "no number of days"),
        (["--yes"], "go with --buyer"),
        (["--report", "x.json"], "go with --buyer"),
        (["--buyer", EMAIL, "--older-than", "3"], "two different tasks"),
        (["--buyer", "joao"], "no e-mail address"),
        (["--buyer", "x@redacted.invalid", "--yes"], "erased already"),
        (["--buyer", EMAIL, "--report", "x.xls"], "has to end in .json or .csv"),
        (["--buyer", EMAIL, "--report", "/no/such/folder/x.json"], "No such file"),
        (["--buyer", EMAIL, "--report", "--json"], "leave --json out"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(product, arguments, said):
    factories.make_sale(product, buyer_email=EMAIL)
    ran = manage("purge_history", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert Transaction.objects.get().buyer_email == EMAIL


def test_where_the_history_is_kept_for_ever_it_wants_to_be_told_what_to_delete(old):
    old(1, days=1000)
    ran = manage("purge_history", HISTORY_RETENTION_DAYS="0")
    assert ran.code == 2
    assert "--older-than" in ran.err
    assert left() == (1, 1, 1)
    assert manage("purge_history", "--older-than", 90, HISTORY_RETENTION_DAYS="0").code == 0
    assert left() == (0, 0, 0)


def test_its_help_explains_with_an_example():
    ran = manage("purge_history", "--help")
    assert ran.code == 0
    assert "manage.py purge_history --older-than 30" in ran.out


def wait_for(condition, timeout=60):
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_stopped_by_ctrl_c_it_keeps_what_is_done_and_goes_on_the_next_time(old):
    old(6000)
    with Running("purge_history", "--json") as command:
        wait_for(lambda: 0 < Delivery.objects.count() < 6000)
        command.press_ctrl_c()
        ran = command.ended()
    assert ran.code == 130
    assert "Run the same command again" in ran.err
    posts, attempts, _events = left()
    assert 0 < posts < 6000
    assert posts == attempts
    assert ran.json == {"posts": 6000 - posts, "attempts": 6000 - posts, "events": 0, "stopped": True}
    assert Tally.objects.get().posts == 6000 - posts
    again = manage("purge_history", "--json").json
    assert (again["posts"], again["events"]) == (posts, 6000)
    assert left() == (0, 0, 0)
    assert Tally.objects.get().posts == 6000


def test_two_at_once_delete_and_count_each_post_once(old):
    old(4000)
    with Running("purge_history", "--json") as one, Running("purge_history", "--json") as other:
        first, second = one.ended(), other.ended()
    assert (first.code, second.code) == (0, 0)
    assert first.json["posts"] + second.json["posts"] == 4000
    assert first.json["events"] + second.json["events"] == 4000
    assert left() == (0, 0, 0)
    assert (Tally.objects.get().posts, Tally.objects.get().attempts) == (4000, 4000)


# --- one buyer


@pytest.fixture
def buyer(config, product):
    factories.make_sale(product, buyer_email=EMAIL, buyer_name="João Souza", buyer_document="52998224725")
    factories.make_sale(product)


def test_a_buyer_is_erased_on_the_word_yes(buyer):
    ran = manage("purge_history", "--buyer", EMAIL.upper(), "--yes")
    assert ran.code == 0
    assert "sales.transaction: 1 erased" in ran.out
    assert "deliveries.event: 1 erased" in ran.out
    assert privacy.hold_on(EMAIL) == []
    assert Transaction.objects.filter(buyer_email__endswith="redacted.invalid").count() == 1
    again = manage("purge_history", "--buyer", EMAIL, "--yes", "--json")
    assert again.json == {"buyer": EMAIL, "held": {}, "redacted": {}}


def test_where_nobody_can_be_asked_nothing_is_erased(buyer):
    for more in ([], ["--json"]):
        ran = manage("purge_history", "--buyer", EMAIL, *more)
        assert ran.code == 2
        assert "add --yes" in ran.err
    assert privacy.hold_on(EMAIL)


@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("\n", 2), ("no\n", 2)])
def test_on_a_terminal_it_says_what_is_held_and_asks(buyer, answer, code):
    ours, theirs = pty.openpty()
    with Running("purge_history", "--buyer", EMAIL, stdin=theirs) as command:
        os.write(ours, answer.encode())
        ran = command.ended()
    os.close(theirs)
    os.close(ours)
    assert ran.code == code
    assert "deliveries.delivery: 1. 1 of them has not arrived yet: it is not tried any more." in ran.out
    assert bool(privacy.hold_on(EMAIL)) == bool(code)


def test_a_dry_run_says_what_is_held_and_erases_nothing(buyer):
    ran = manage("purge_history", "--buyer", EMAIL, "--dry-run", "--json")
    assert ran.json["held"] == {"sales.transaction": 1, "deliveries.event": 1, "deliveries.delivery": 1}
    assert privacy.hold_on(EMAIL)


def test_of_a_stranger_it_says_that_nothing_is_held():
    ran = manage("purge_history", "--buyer", "nobody@example.com", "--yes")
    assert (ran.code, ran.out) == (0, "Nothing is held on nobody@example.com.\n")


def test_a_report_holds_all_that_is_held_and_nobody_else_may_read_it(buyer, tmp_path):
    path = tmp_path / "joao.json"
    ran = manage("purge_history", "--buyer", EMAIL, "--report", path, "--json")
    assert ran.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    report = json.loads(path.read_text())
    assert report["buyer"] == EMAIL
    assert {table: len(rows) for table, rows in report["held"].items()} == ran.json["held"]
    assert report["held"]["sales.transaction"][0]["buyer_document"] == "52998224725"
    assert report["held"]["deliveries.event"][0]["snapshot"]["buyer_name"] == "João Souza"
    assert privacy.hold_on(EMAIL)


def test_a_report_may_be_a_table_or_go_to_standard_output(buyer, tmp_path):
    path = tmp_path / "joao.csv"
    manage("purge_history", "--buyer", EMAIL, "--report", path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert {"table": "sales.transaction", "row": "1", "fact": "buyer_name", "value": "João Souza"} in rows
    printed = manage("purge_history", "--buyer", EMAIL, "--report").json
    assert printed["held"]["sales.transaction"][0]["buyer_email"] == EMAIL
