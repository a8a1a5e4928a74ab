"""`manage.py export_history` as operators run it: a process of its own."""

import csv
import gzip
import io
import json
import stat
import time
from datetime import UTC, datetime

import pytest

from configurations.models import Token
from deliveries import engine
from deliveries.models import Delivery
from sales.statuses import SaleStatus
from tests import factories
from tests.commands import Running, manage
from tests.receiver import Answer

pytestmark = pytest.mark.django_db(transaction=True)


def table(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture
def sent(receiver, config, product):
    """`sent(answer, …)`: a post that was answered like that."""

    def sent(answer=200, **facts):
        receiver.answers(answer)
        sale = factories.make_sale(product, **facts)
        engine.drain()
        return config.deliveries.get(event__sale=sale)

    return sent


def test_csv_to_a_file_has_a_row_a_post(sent, config, tmp_path):
    post = sent(buyer_email="joao@example.com", buyer_name="=João")
    path = tmp_path / "posts.csv"
    ran = manage("export_history", path)
    assert (ran.code, ran.out, ran.err) == (0, "1 post was exported.\n", "")
    (row,) = table(path.read_text())
    assert row["webhook_id"] == post.webhook_id
    assert (row["status"], row["event"], row["http_status"]) == ("delivered", "PURCHASE_APPROVED", "200")
    assert datetime.fromisoformat(row["created_at"]) == post.created_at
    assert (row["buyer_name"], row["buyer_email"]) == ("'=João", "joao@example.com")
    assert (row["owner_code"], row["configuration_id"]) == (config.owner.code, str(config.pk))
    assert "payload" not in row
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["posts.csv"]


def test_json_lines_with_payloads_compressed(sent, tmp_path):
    post = sent(Answer(200, "está bem \udcff".encode("utf-8", "surrogateescape")), buyer_name="=João")
    path = tmp_path / "posts.jsonl.gz"
    ran = manage("export_history", path, "--payloads", "--json")
    assert ran.json == {"posts": 1, "file": str(path), "format": "jsonl"}
    (row,) = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    assert row["buyer_name"] == "=João"
    assert json.loads(row["payload"])["data"]["buyer"]["name"] == "=João"
    assert row["response"] == "está bem \\xff"
    assert (row["tries"], row["http_status"], row["amount"]) == (1, 200, "147.00")
    assert datetime.fromisoformat(row["created_at"]).replace(microsecond=0) == post.created_at.replace(
        microsecond=0
    )


def test_secrets_and_tokens_are_never_in_it(sent, config, tmp_path):
    token = Token.of(config.owner).value
    type(config).objects.filter(pk=config.pk).update(token_in_body=True, url=f"{config.url}?key=s3cr3t")
    sent(Answer(200, f"you sent {token}".encode()))
    for name in ("posts.csv", "posts.jsonl"):
        manage("export_history", tmp_path / name, "--payloads")
        text = (tmp_path / name).read_text()
        assert "you sent" in text
        assert "hottok" in text
        assert token not in text
        assert config.secret not in text
        assert "s3cr3t" not in text


def test_to_standard_output_nothing_else_is_printed(sent):
    sent()
    ran = manage("export_history")
    assert ran.code == 0
    assert len(table(ran.out)) == 1
    assert ran.err == "1 post was exported.\n"
    lines = manage("export_history", "-", "--format", "jsonl", "--verbosity", 0)
    assert json.loads(lines.out)["status"] == "delivered"
    assert lines.err == ""


def test_the_options_choose_as_the_history_does(sent, config, product, tmp_path):
    good = sent()
    bad = sent(404)
    refund = sent(status=SaleStatus.REFUNDED)
    other = factories.make_config(product.owner, events=["PURCHASE_APPROVED"])
    theirs = factories.make_sale().product.owner
    elsewhere = factories.make_config(theirs)
    foreign = factories.make_sale(factories.make_product(theirs))
    Delivery.objects.filter(pk=good.pk).update(created_at=datetime(2026, 3, 5, 12, tzinfo=UTC))

    def found(*options):
        ran = manage("export_history", "--format", "jsonl", *options)
        assert ran.code == 0, ran.err
        return {json.loads(line)["webhook_id"] for line in ran.out.splitlines()}

    everything = {good.webhook_id, bad.webhook_id, refund.webhook_id, elsewhere.deliveries.get().webhook_id}
    assert found() == everything
    assert found("--owner", theirs.code) == found("--owner", theirs.email.upper())
    assert found("--owner", theirs.code) == {elsewhere.deliveries.get().webhook_id}
    assert found("--configuration", other.pk) == set()
    assert found("--configuration", config.pk, "--status", "delivered") == {
        good.webhook_id,
        refund.webhook_id,
    }
    assert found("--response", "4xx") == {bad.webhook_id}
    assert found(
        "--http-code", "404", "--response", "200", "--owner", config.owner.code
    ) == everything - found("--owner", theirs.code)
    assert found("--event", "PURCHASE_REFUNDED") == {refund.webhook_id}
    assert found("--transaction", bad.event.transaction_code, "--transaction", foreign.code) == {
        bad.webhook_id,
        elsewhere.deliveries.get().webhook_id,
    }
    assert found("--until", "2026-03-06") == {good.webhook_id}
    assert found("--since", "2026-03-05T12:00", "--until", "2026-03-05T12:01") == {good.webhook_id}
    assert found("--since", "2026-03-05T12:01") == everything - {good.webhook_id}


def test_a_dry_run_counts_and_writes_nothing(sent, tmp_path):
    sent(), sent(500)
    path = tmp_path / "posts.csv"
    ran = manage("export_history", path, "--response", "5xx", "--dry-run", "--json")
    assert ran.json == {"posts": 1, "file": str(path), "format": "csv", "dry_run": True}
    said = manage("export_history", "--dry-run").out
    assert said == "2 posts would be exported. Nothing was written.\n"
    assert not path.exists()


def test_where_no_post_is_like_that_the_table_is_empty(tmp_path):
    path = tmp_path / "posts.csv"
    ran = manage("export_history", path)
    assert (ran.code, ran.out) == (0, "0 posts were exported.\n")
    assert path.read_text().startswith("webhook_id,")
    assert table(path.read_text()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["posts.xls"], "The ending does not tell the format"),
        (["posts"], "The ending does not tell the format"),
        (
            ["/no/such/folder/posts.csv"],
            "/no/such/folder/posts.csv cannot be written: No such file or directory",
        ),
        (["--json"], "--json needs a file"),
        (["--owner", "nobody"], "There is no seller nobody."),
        (["--configuration", "99999"], "There is no configuration 99999."),
        (["--configuration", "99999999999999999999999"], "no configuration"),
        (["--status", "lost"], "invalid choice"),
        (["--transaction", "HP1"], "Nothing was posted for a transaction HP1."),
        (["--response", "4x"], "“4x” is none"),
        (["--since", "yesterday"], "“yesterday” is no time"),
        (["--since", "2026-02-30"], "“2026-02-30” is no time"),
        (["--since", "2026-02-02", "--until", "2026-02-02"], "--since must be before --until."),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(options, said):
    ran = manage("export_history", *options)
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == "" or ran.json["error"]


def test_stopped_by_ctrl_c_it_leaves_the_file_that_was_there(config, product, tmp_path):
    factories.make_sales(product, 3000)
    path = tmp_path / "posts.csv"
    path.write_text("of yesterday")
    with Running("export_history", path, "--payloads", "--json") as command:
        until = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < until
            time.sleep(0.005)
        command.press_ctrl_c()
        ran = command.ended()
    assert ran.code == 130
    assert "no file was written" in ran.err
    assert ran.json["stopped"]
    assert path.read_text() == "of yesterday"
    assert [file.name for file in tmp_path.iterdir()] == ["posts.csv"]
    assert manage("export_history", path).code == 0
    assert len(table(path.read_text())) == 3000


def test_two_at_once_write_one_whole_file(config, product, tmp_path):
    factories.make_sales(product, 500)
    path = tmp_path / "posts.csv"
    with Running("export_history", path) as one, Running("export_history", path) as other:
        assert one.ended().code == other.ended().code == 0
    assert len(table(path.read_text())) == 500
    assert len(list(tmp_path.iterdir())) == 1


def test_a_reader_that_leaves_is_no_error(config, product):
    factories.make_sales(product, 2000)
    with Running("export_history") as command:
        command.process.stdout.readline()
        command.process.stdout.close()
        assert command.process.wait(60) == 141
        assert b"Traceback" not in command.process.stderr.read()


def test_its_help_explains_with_an_example():
    ran = manage("export_history", "--help")
    assert ran.code == 0
    assert "manage.py export_history failed.jsonl.gz --status failed" in ran.out
