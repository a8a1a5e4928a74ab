"""`manage.py reprocess` as operators run it: a process of its own."""

import subprocess
import sys
import time
from copy import copy
from datetime import timedelta
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from configurations.events import EventType
from deliveries import bulk, engine
from deliveries.choices import BulkState, Lane
from deliveries.models import BulkReprocess, Delivery, DeliveryAttempt, Event, State, new_webhook_id
from sales.statuses import SaleStatus
from tests import factories
from tests.commands import ROOT, Running, environment, manage

from .cluster_process import ClusterProcess, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
FINISHED_AT = timezone.now() - timedelta(hours=3)


@pytest.fixture
def failed(config, product):
    """`failed(n)`: n posts that failed with 404, all of one sale."""

    def failed(count):
        sale = factories.make_sale(product)
        first = config.deliveries.get(event__sale=sale)
        event, facts = first.event, {"config": config, "owner": config.owner, "version": first.version}
        facts |= {"state": State.FAILED, "tries": 5, "last_status": 404}
        events = [event]
        for _ in range(count - 1):
            events.append(copy(event))
            events[-1].pk = uuid4()
        Event.objects.bulk_create(events[1:])
        first.delete()
        Delivery.objects.bulk_create(
            Delivery(
                event=e, webhook_id=new_webhook_id(), created_at=FINISHED_AT, finished_at=FINISHED_AT, **facts
            )
            for e in events
        )

    return failed


def put(delivery, **facts):
    Delivery.objects.filter(pk=delivery.pk).update(**{"created_at": FINISHED_AT} | facts)
    delivery.refresh_from_db()
    return delivery


def refusal(*arguments: object) -> str:
    """Why it does not begin; in this process, since a refusal seen from outside has tests of its own."""
    with pytest.raises(CommandError) as refused:
        call_command("reprocess", *map(str, arguments))
    return str(refused.value)


def queued() -> set[int]:
    return set(Delivery.objects.filter(lane=Lane.BULK, state=State.WAITING).values_list("pk", flat=True))


# --- what it says and does


def test_it_says_what_it_does_and_queues_it(failed, config, sell):
    failed(3)
    for _ in range(2):
        put(sell(), state=State.DELIVERED, finished_at=FINISHED_AT)
    ran = manage("reprocess", "--configuration", config.pk)
    started = BulkReprocess.objects.get()
    assert ran.code == 0
    assert "5 posts to send again, to 1 host:" in ran.out
    assert f"5 to 127.0.0.1 (configuration {config.pk}, “{config.name}”, of {config.owner.code})" in ran.out
    assert "Arrived already, so that their receivers get them a second time: 2." in ran.out
    assert f"5 posts are queued, as bulk reprocess {started.pk}." in ran.out
    assert (started.asked_for, started.by, started.owner) == (f"--configuration {config.pk}", None, None)
    assert len(queued()) == 5


def test_it_warns_of_accesses_that_it_would_open_again(sell):
    sale = sell().event.sale
    sale.status = SaleStatus.REFUNDED
    sale.save()
    engine.drain()
    ran = manage("reprocess", "--all", "--dry-run")
    assert "so that they would open an access that was closed: 1." in ran.out
    assert manage("reprocess", "--all", "--dry-run", "--json").json["undone_since"] == 1


def test_a_dry_run_changes_nothing(failed):
    failed(2)
    ran = manage("reprocess", "--status", "failed", "--dry-run")
    assert ran.code == 0
    assert "2 posts to send again" in ran.out
    assert ran.out.endswith("Nothing was done: this was a dry run.\n")
    assert not BulkReprocess.objects.exists()
    assert not queued()


def test_json_is_one_object(failed, config, sell):
    failed(2)
    put(sell(), state=State.SENDING)
    waiting = put(sell(), state=State.WAITING)
    ran = manage("reprocess", "--all", "--json")
    assert ran.code == 0
    assert ran.json == {
        "posts": 2,
        "hosts": {"127.0.0.1": 2},
        "configurations": [
            {
                "id": config.pk,
                "name": config.name,
                "owner": config.owner.code,
                "host": "127.0.0.1",
                "posts": 2,
            }
        ],
        "delivered_before": 0,
        "undone_since": 0,
        "skipped": {"waiting": 1, "sending": 1, "configuration_not_on": 0},
        "dry_run": False,
        "bulk": BulkReprocess.objects.get().pk,
        "queued": 2,
    }
    assert waiting.pk not in queued()


def test_where_nothing_matches_nothing_is_done(failed, config):
    failed(2)
    config.switch_off()
    ran = manage("reprocess", "--status", "failed")
    assert ran.code == 0
    assert "No post that can be sent matches." in ran.out
    assert "Left out, since their configuration is not on: 2." in ran.out
    assert not BulkReprocess.objects.exists()


def test_verbosity_0_is_silent(failed):
    failed(2)
    ran = manage("reprocess", "--all", "--verbosity", "0")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert len(queued()) == 2


# --- which posts


@pytest.mark.parametrize("case", range(9))
def test_each_option_narrows(config, product, sell, case):
    wanted = put(
        sell(status=SaleStatus.REFUNDED), state=State.DELIVERED, last_status=204, finished_at=FINISHED_AT
    )
    other = factories.make_config(url=config.url)
    sale = factories.make_sale(factories.make_product(other.owner))
    put(
        other.deliveries.get(event__sale=sale), state=State.FAILED, last_status=404, created_at=timezone.now()
    )
    owner = config.owner
    arguments = [
        ("--configuration", config.pk),
        ("--owner", owner.code),
        ("--owner", owner.user.email.upper()),
        ("--status", "delivered"),
        ("--http-code", "2xx"),
        ("--http-code", "204", "--http-code", "timeout"),
        ("--event", EventType.REFUNDED),
        ("--transaction", wanted.event.transaction_code),
        ("--until", (timezone.now() - timedelta(hours=1)).isoformat(), "--since", "2020-01-01"),
    ][case]
    call_command("reprocess", *map(str, arguments), stdout=StringIO())
    assert queued() == {wanted.pk}


def test_several_of_one_kind_widen_and_of_different_kinds_narrow(failed, sell):
    failed(1)
    put(sell(), state=State.DELIVERED, finished_at=FINISHED_AT)
    put(sell(), state=State.DISCARDED, finished_at=FINISHED_AT)
    ran = manage("reprocess", "--status", "failed", "--status", "discarded", "--http-code", "404", "--json")
    assert ran.json["posts"] == 1
    assert manage("reprocess", "--status", "delivered", "--status", "discarded", "--json").json["posts"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Nothing was chosen"),
        (["--configuration", "4711"], "There is no configuration 4711."),
        (["--owner", "nobody@example.com"], "There is no seller nobody@example.com."),
        (["--transaction", "HP404"], "Nothing was posted for a transaction HP404."),
        (["--since", "2026-02-01", "--until", "2026-01-01"], "--since must be before --until."),
        (["--http-code", "40x"], "“40x” is none"),
        (["--since", "yesterday"], "“yesterday” is no time"),
        (["--status", "waiting"], "invalid choice"),
        (["--stop", "4711"], "There is no bulk reprocess 4711."),
        (["--stop", "1", "--status", "failed"], "not both"),
        (["--stop", "1", "--pause", "1"], "not allowed with"),
    ],
)
def test_what_makes_no_sense_is_refused(failed, arguments, says):
    failed(1)
    assert says in refusal(*arguments)
    assert not queued()


def test_a_refusal_seen_from_outside(failed):
    failed(1)
    ran = manage("reprocess")
    assert (ran.code, ran.out) == (2, "")
    assert "Nothing was chosen" in ran.err


# --- many


def test_above_1000_it_refuses_without_a_terminal_and_takes_yes(failed):
    failed(1001)
    ran = manage("reprocess", "--all", "--json")
    assert ran.code == 2
    assert "These are more than 1,000 posts. Add --yes" in ran.json["error"]
    assert not queued()
    assert manage("reprocess", "--all", "--yes").code == 0
    assert len(queued()) == 1001


@pytest.mark.parametrize(("answer", "code"), [("yes", 0), ("no", 2), ("", 2)])
def test_on_a_terminal_it_asks(failed, answer, code):
    failed(1001)
    ran = on_a_terminal(f"{answer}\n", "reprocess", "--all")
    assert "Send 1,001 posts? [yes/no]" in ran.stdout
    assert ran.returncode == code
    assert len(queued()) == (1001 if code == 0 else 0)


def on_a_terminal(typed: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a standard input that is a terminal, where `typed` is the answer."""
    program = (
        "import os, pty, sys, time\n"
        "pid, fd = pty.fork()\n"
        "if pid == 0: os.execv(sys.argv[2], sys.argv[2:])\n"
        "seen = b''\n"
        "while b'[yes/no]' not in seen: seen += os.read(fd, 4096)\n"
        "os.write(fd, sys.argv[1].encode())\n"
        "try:\n"
        "    while chunk := os.read(fd, 4096): seen += chunk\n"
        "except OSError: pass\n"
        "sys.stdout.buffer.write(seen)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    command = [sys.executable, "-c", program, typed, sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=90)


def test_ctrl_c_in_the_middle_leaves_what_is_queued_and_resume_queues_the_rest(failed):
    failed(8000)
    with Running("reprocess", "--status", "failed", "--yes", "--json") as running:
        wait_until(lambda: BulkReprocess.objects.filter(queued__gte=500).exists(), "nothing is queued")
        running.press_ctrl_c()
        ran = running.ended()
    started = BulkReprocess.objects.get()
    assert ran.code == 130
    assert 500 <= started.queued < 8000
    assert (ran.json["stopped"], ran.json["bulk"], ran.json["queued"]) == (True, started.pk, started.queued)
    assert f"manage.py reprocess --resume {started.pk}" in ran.err
    assert "Traceback" not in ran.err
    assert len(queued()) == started.queued

    ran = manage("reprocess", "--resume", started.pk, "--json")
    assert (ran.code, ran.json["queued"], ran.json["all_queued"]) == (0, 8000, True)
    assert len(queued()) == 8000
    assert BulkReprocess.objects.count() == 1


def test_two_at_once_queue_each_post_once(failed):
    failed(3000)
    with (
        Running("reprocess", "--status", "failed", "--yes", "--json") as first,
        Running("reprocess", "--status", "failed", "--yes", "--json") as second,
    ):
        ran = [first.ended(), second.ended()]
    assert [one.code for one in ran] == [0, 0]
    assert sum(one.json["queued"] for one in ran) == 3000 == len(queued())


# --- one that was started


def test_it_is_listed_paused_gone_on_with_and_stopped(failed):
    failed(3)
    assert "No bulk reprocess is under way." in manage("reprocess", "--list").out
    pk = manage("reprocess", "--all", "--json").json["bulk"]
    assert f"{pk}  Running  0 of 3 sent" in manage("reprocess", "--list").out
    ran = manage("reprocess", "--pause", pk)
    assert (ran.code, Delivery.objects.filter(state=State.FAILED).count()) == (0, 3)
    assert "Paused: 0 of 3 sent" in ran.out
    [listed] = manage("reprocess", "--list", "--json").json["bulks"]
    assert (listed["bulk"], listed["state"], listed["progress"]["to_go"]) == (pk, "paused", 3)
    assert manage("reprocess", "--resume", pk).code == 0
    assert len(queued()) == 3
    assert "Stopped: 0 of 3 sent" in manage("reprocess", "--stop", pk).out
    assert Delivery.objects.filter(state=State.FAILED, bulk=None).count() == 3
    for action in ("--resume", "--pause"):
        assert "was stopped" in refusal(action, pk)
    assert BulkReprocess.objects.get().state == BulkState.STOPPED


def test_it_waits_until_all_is_sent(receiver, failed, clean_queue):
    failed(5)
    with ClusterProcess():
        ran = manage("reprocess", "--all", "--wait", "--json")
    assert ran.code == 0
    assert ran.json["progress"]["delivered"] == 5
    assert len(receiver.posts) == 5 == DeliveryAttempt.objects.count()


def test_having_waited_it_exits_with_1_where_some_did_not_arrive(receiver, failed):
    receiver.answers(200, 500)
    failed(2)
    with Running("reprocess", "--all", "--wait") as running:
        wait_until(lambda: len(queued()) == 2, "nothing is queued")
        engine.drain()
        ran = running.ended()
    assert ran.code == 1
    assert "2 of 2 sent, 1 arrived, 0 failed, 1 tried again later, 0 held." in ran.out


def test_ctrl_c_while_it_waits_leaves_it_running(failed):
    failed(2)
    with Running("reprocess", "--all", "--wait") as running:
        wait_until(lambda: len(queued()) == 2, "nothing is queued")
        wait_until(lambda: BulkReprocess.objects.filter(queued_to=None).exists(), "it does not wait yet")
        time.sleep(0.2)  # until it looks how far it is
        running.press_ctrl_c()
        ran = running.ended()
    assert ran.code == 130
    assert "Stopped waiting; the posts go on being sent." in ran.err
    assert len(queued()) == 2


def test_it_ends_when_somebody_stops_it(failed):
    failed(2)
    with Running("reprocess", "--all", "--wait") as running:
        wait_until(lambda: BulkReprocess.objects.filter(queued_to=None).exists(), "it does not wait yet")
        bulk.stop(BulkReprocess.objects.get())
        ran = running.ended()
    assert ran.code == 1
    assert "0 of 2 sent" in ran.out
