"""`manage.py import_legacy_posts` as a process of its own."""

import gzip
import json

import pytest
from django.db import connection

from legacy_posts.models import LegacyImport, LegacyPost
from tests import factories
from tests.commands import Running
from tests.deliveries.cluster_process import wait_until

from .conftest import COMMAND, csv_of, jsonl_of, row

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ana(transactional_db):
    return factories.make_seller(code="P10000001", email="ana@example.com")


def posts():
    return list(LegacyPost.objects.order_by("pk"))


def test_a_good_file_is_read_as_it_stands(run, ana, rejects):
    payload = '{"a":  1,\n "name": "João"}'
    done = run(csv_of([row(1, payload=payload), row(2, kind="pending", status="", response="")]))
    assert (done.code, done.err) == (0, "")
    assert done.out == "2 posts added, 0 were there already, 0 rows are bad.\n"
    first, second = posts()
    assert (first.owner, first.kind, second.kind) == (ana, "sent", "pending")
    assert first.occurred_at.isoformat() == "2024-05-12T14:21:38+00:00"
    assert (first.event, first.status, first.tries) == ("PURCHASE_APPROVED", 200, 1)
    assert first.payload == payload
    assert second.buyer_email == "joao2@example.com"
    assert first.host == "old.example.com"
    assert (first.source.file_name, first.source.added, first.source.finished_at is not None) == (
        "old.csv", 2, True,
    )  # fmt: skip
    assert not rejects.exists()


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("write", [csv_of, jsonl_of])
def test_csv_and_json_lines_plain_or_packed_give_the_same(run, write, pack):
    content = write([row(1), row(2)]).encode()
    done = run(gzip.compress(content) if pack else content, name="old.dat", stdin=None)
    assert (done.code, done.err) == (0, "")
    assert [post.transaction_code for post in posts()] == ["HP1001", "HP1002"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_separate_as_they_like(run, delimiter):
    assert run(csv_of([row(1, response='a "quoted"; b, c\td')], delimiter)).code == 0
    assert posts()[0].response == 'a "quoted"; b, c\td'


def test_the_standard_input_is_read(run):
    done = run(None, "-", "--json", stdin=gzip.compress(csv_of([row()]).encode()))
    assert done.code == 0
    assert done.json["added"] == 1
    assert LegacyImport.objects.get().file_name == "-"


def test_headers_of_an_old_portuguese_spreadsheet(run, ana):
    content = (
        "Código;Data;Evento;Transação;Código do produto;Produto;URL;Código HTTP;Payload;Resposta;Tentativas;E-mail do produtor;Situação\r\n"
        "7;02/01/2024 10:00;Order approved;HP1;41;Olaria;https://a.example/x;504 Gateway timeout;a=1;nada;5;P10000001;enviado\r\n"
    ).replace("E-mail do produtor", "Email do produtor")
    done = run(content, "--time-zone", "America/Sao_Paulo", "--dates", "day-first")
    assert (done.code, done.err) == (0, "")
    [post] = posts()
    assert post.occurred_at.isoformat() == "2024-01-02T13:00:00+00:00"
    assert (post.product_code, post.product_name, post.status, post.tries) == ("41", "Olaria", 504, 5)
    assert (post.owner, post.identity, post.format, post.version) == (ana, "id:7", "form", "1.0.0")


def test_bad_rows_are_named_and_go_to_a_file_that_can_be_mended_and_read(run, rejects):
    bad = row(2, owner="nobody@example.com", event="sold", occurred_at="yesterday")
    content = csv_of([row(1, response="two\nlines"), bad, row(3)])
    done = run(content)
    assert done.code == 1
    assert done.err.startswith("Line 4: ")  # the first row takes two lines
    for reason in (
        "No account has the e-mail or code “nobody@example.com”",
        "“sold” is not known: write one of PURCHASE_APPROVED",
        "“yesterday” is no time",
    ):
        assert reason in done.err
    assert "The bad rows are in" in done.out
    assert len(posts()) == 2
    text = rejects.read_text()
    assert text.splitlines()[0] == "line,reason," + content.splitlines()[0]
    mended = (
        text.replace("nobody@", "ana@").replace("sold", "approved").replace("yesterday", "2024-05-01T00:00Z")
    )
    again = run(mended, name="mended.csv")
    assert (again.code, again.err) == (0, "")
    assert sorted(post.identity for post in posts()) == ["id:1", "id:2", "id:3"]


def test_a_second_run_does_not_write_over_rejects_that_are_being_mended(run, rejects):
    content = csv_of([row(1, owner="x")])
    run(content)
    rejects.write_text("half mended")
    run(content)
    assert rejects.read_text() == "half mended"
    assert rejects.with_name("old.rejects-2.csv").exists()


def test_rejects_that_cannot_be_written_are_said_with_what_to_do(run, tmp_path):
    done = run(csv_of([row(1, owner="x")]), "--rejects", tmp_path / "no such folder" / "bad.csv")
    assert done.code == 2
    assert "bad.csv (No such file or directory): name another file with --rejects." in done.err


def test_rejects_are_not_written_over_a_file_that_is_there(run, tmp_path):
    (tmp_path / "bad.csv").write_text("mine")
    done = run(csv_of([row(1, owner="x")]), "--rejects", tmp_path / "bad.csv")
    assert done.code == 2
    assert "There is a file" in done.err
    assert (tmp_path / "bad.csv").read_text() == "mine"
    assert not LegacyPost.objects.exists()


def test_rejects_of_json_lines_can_be_read_again(run, tmp_path):
    done = run(jsonl_of([row(1, tries="many")]) + "{broken\n", name="old.jsonl")
    assert done.code == 1
    lines = [json.loads(line) for line in (tmp_path / "old.rejects.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == [1, 2]
    assert lines[1]["text"] == "{broken"
    lines[0]["tries"] = 3
    assert run(jsonl_of(lines[:1]), name="mended.jsonl").code == 0
    assert posts()[0].tries == 3


def test_a_dry_run_says_what_would_be_and_writes_nothing(run, tmp_path, rejects):
    run(csv_of([row(1)]))
    done = run(csv_of([row(1), row(2), row(2), row(3, owner="x")]), "--dry-run")
    assert done.code == 1
    assert done.out == (
        "Nothing was written. It would be: 1 post added, 2 were there already, 1 row is bad.\n"
    )
    assert len(posts()) == LegacyImport.objects.count() == 1
    assert not rejects.exists()


def test_json_says_all_in_one_object(run, rejects):
    done = run(csv_of([row(1), row(2, status="1000")]), "--json")
    assert done.code == 1
    assert done.json == {
        "rows": 2, "added": 1, "known": 0, "bad": 1, "line": 3, "dry_run": False, "encoding": "utf-8",
        "rejects": str(rejects), "bad_rows": [{"line": 3, "reason": "status: “1000” is no HTTP status."}],
    }  # fmt: skip


def test_running_it_twice_adds_nothing(run):
    without_ids = [{name: cell for name, cell in row(n).items() if name != "id"} for n in range(3)]
    content = csv_of(without_ids)
    assert run(content, "--json").json["added"] == 3
    again = run(jsonl_of(without_ids), "--json", name="same.jsonl")
    assert (again.code, again.json["added"], again.json["known"]) == (0, 0, 3)
    assert len(posts()) == 3


@pytest.mark.parametrize("content", ["", "\n \n", b"\xef\xbb\xbf", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(run, content):
    done = run(content)
    assert done.code == 2
    assert "The file is empty: its first line must name the columns." in done.err


def test_a_file_of_a_header_alone_holds_nothing(run):
    done = run(csv_of([]))
    assert (done.code, done.out) == (0, "0 posts added, 0 were there already, 0 rows are bad.\n")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("owner,date,evnt", "“evnt” is no column; did you mean “event”? The columns are: kind, id, owner,"),
        ("owner,date,data,event", "“data” and “date” are the same column."),
        ("owner,date,status", "These columns are missing: event."),
    ],
)
def test_a_header_that_is_not_understood_is_refused(run, header, reason):
    done = run(f"{header}\na,b,c\n")
    assert done.code == 2
    assert reason in done.err


def test_a_file_that_is_not_there_is_refused(run, tmp_path):
    done = run(None, tmp_path / "none.csv")
    assert done.code == 2
    assert "none.csv" in done.err


def test_a_packed_file_that_is_cut_keeps_what_came_before(run):
    rows = [row(n, payload=json.dumps({"n": n, "x": "%030x" % (n * 7919**8)})) for n in range(20_000)]
    packed = gzip.compress(csv_of(rows).encode())
    done = run(packed[: len(packed) * 3 // 4])
    assert done.code == 2
    assert "the file cannot be read" in done.err
    assert "All rows up to line" in done.err
    assert LegacyPost.objects.count() % 2000 == 0
    assert 0 < LegacyPost.objects.count() < 20_000


def test_ctrl_c_keeps_what_is_done_and_the_next_run_completes_it(run, tmp_path):
    total = 20_000
    path = tmp_path / "big.csv"
    path.write_text(csv_of([row(n) for n in range(total)]))
    with Running(COMMAND, path, "--json") as command:
        wait_until(LegacyPost.objects.exists, "nothing was written", 60)
        command.press_ctrl_c()
        stopped = command.ended()
    assert stopped.code == 130
    assert "Stopped. All rows up to line" in stopped.err
    done = LegacyPost.objects.count()
    assert 0 < done < total
    assert f"line {done + 1} " in stopped.err
    assert (stopped.json["stopped"], stopped.json["added"], stopped.json["line"]) == (True, done, done + 1)
    assert LegacyImport.objects.get().finished_at is None
    again = run(None, path, "--json")
    assert (again.code, again.json["added"], again.json["known"]) == (0, total - done, done)
    assert LegacyPost.objects.count() == total


def test_two_at_once_add_nothing_twice(run, tmp_path):
    path = tmp_path / "both.csv"
    path.write_text(csv_of([row(n) for n in range(8000)]))
    with Running(COMMAND, path, "--json") as first, Running(COMMAND, path, "--json") as second:
        both = [command.ended() for command in (first, second)]
    assert [ran.code for ran in both] == [0, 0]
    facts = [ran.json for ran in both]
    assert sum(fact["added"] for fact in facts) == sum(fact["known"] for fact in facts) == 8000
    assert LegacyPost.objects.count() == 8000
    assert [made.added for made in LegacyImport.objects.order_by("pk")] == [
        made.posts.count() for made in LegacyImport.objects.order_by("pk")
    ]


def test_progress_is_silent_when_it_is_told_to_be(run):
    done = run(csv_of([row(1), row(2, owner="x")]), "--verbosity", "0")
    assert (done.code, done.out) == (1, "")


def test_help_explains_and_shows_an_example(run):
    done = run(None, "--help")
    assert done.code == 0
    assert "manage.py import_legacy_posts old.csv --dry-run" in done.out
    assert "Exit code: 0 all rows are good" in done.out


# --- Encodings


OLD = csv_of([row(1, product_name="Fotografía e edição: ação, não", response="coração")])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_told_by_its_mark_or_because_it_is_utf_8(run, encoding):
    done = run(OLD.encode(encoding))
    assert (done.code, done.err) == (0, "")
    assert posts()[0].product_name == "Fotografía e edição: ação, não"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp850", "mac-roman"])
def test_what_spreadsheets_write_is_detected_and_said(run, encoding):
    done = run(OLD.encode(encoding))
    assert done.code == 0
    assert "The file is not UTF-8: it is read as" in done.err
    assert posts()[0].product_name == "Fotografía e edição: ação, não"
    assert posts()[0].response == "coração"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Курс фотографии", "cp1251"),
        ("Příliš žluťoučký", "cp1250"),
        ("PREÇO", "latin-1"),
        ("写真", "shift-jis"),
    ],
)
def test_an_encoding_that_is_not_sure_is_refused_and_can_be_chosen(run, text, encoding):
    content = csv_of([row(1, product_name=text)]).encode(encoding)
    refused = run(content)
    assert refused.code == 2
    assert "its encoding cannot be told for sure: add --encoding" in refused.err
    assert not LegacyPost.objects.exists()
    chosen = run(content, "--encoding", encoding)
    assert (chosen.code, chosen.err) == (0, "")
    assert posts()[0].product_name == text


def test_utf_16_without_its_mark_is_refused_with_what_to_do(run):
    done = run(OLD.encode("utf-16-le"))
    assert done.code == 2
    assert "add --encoding utf-16-le" in done.err
    assert run(OLD.encode("utf-16-le"), "--encoding", "utf-16-le").code == 0


def test_a_line_that_does_not_decode_is_a_bad_row_kept_byte_for_byte(run, rejects):
    good = [csv_of([row(n, response="ação")]).split("\n", 1)[1].encode() for n in range(20)]
    bad = csv_of([row(99, response="ação")]).split("\n", 1)[1].encode("latin-1")
    header = csv_of([row()]).split("\n", 1)[0].encode() + b"\n"
    done = run(header + b"".join(good) + bad)
    assert done.code == 1
    assert "Line 22: It cannot be decoded: byte 0xE2 is no character" in done.err
    assert len(posts()) == 20
    assert "ação".encode("latin-1") in rejects.read_bytes()
    again = run(rejects.read_bytes(), "--encoding", "latin-1", name="mended.csv")
    assert again.code == 0
    assert LegacyPost.objects.get(identity="id:99").response == "ação"


def test_an_encoding_that_does_not_exist_is_refused(run):
    done = run(OLD, "--encoding", "latin-99")
    assert done.code == 2
    assert "“latin-99” is no encoding" in done.err


@pytest.mark.skipif(connection.vendor != "postgresql", reason="an enum of the database is PostgreSQL's")
def test_choices_are_written_as_texts(run):
    run(csv_of([row()]))
    assert posts()[0].format == "json"
