"""Files made to hurt, at every door that takes one: refused in words, in bounded memory, and nothing half-written."""

import gzip
import io
import json
import resource
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from configurations.models import WebhookConfig
from legacy_posts.models import LegacyImport, LegacyPost
from sales.import_rows import MAX_LINE
from sales.models import AbandonedCart, Product, Seller, Transaction
from tests import factories
from webhookhub import uploads

pytestmark = pytest.mark.django_db

MB = 1_000_000
MEMORY = 150 * MB  # more than a file of the largest size costs, less than any of these unpacked
SALE = b"HP1121336654,APPROVED,2026-11-23T15:52:10Z,4102118,Pottery,S0001,Ana,Joao,joao@example.com,147.00\n"
HEADER = b"code,status,ordered_at,product_code,product_name,producer_code,producer_name,buyer_name,buyer_email,price\n"


@cache
def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("sales.csv", bytes(100 * MB))
    return target.getvalue()


@cache
def gzipped() -> bytes:
    """200 MB in 200 kB: one line without an end."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as packed:
        packed.write(HEADER)
        for _ in range(200):
            packed.write(b"x" * MB)
    return target.getvalue()


@cache
def gzipped_quote() -> bytes:
    """A row that never ends: its cell is closed and opened again in each line."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as packed:
        packed.write(b'owner,occurred_at,event,url,payload\n"')
        for _ in range(10):
            packed.write(b'a\n","' * 200_000)
    return target.getvalue()


def row(**facts: object) -> bytes:
    return json.dumps({"code": "HP1", "status": "APPROVED"} | facts).encode() + b"\n"


# {what it is: its bytes}
CSV: dict[str, Callable[[], bytes]] = {
    "zip bomb": zipped,
    "gzip bomb": gzipped,
    "gzip inside gzip": lambda: gzip.compress(gzipped()),
    "a line of 4 MB": lambda: HEADER + b"x" * (4 * MB) + b"\n",
    "a cell of 4 MB": lambda: HEADER + b'"' + b"x" * (4 * MB) + b'"' + b"," * 9 + b"\n",
    "a million columns": lambda: b",".join(b"c%d" % n for n in range(500_000)) + b"\n1\n",
    "a column a million times": lambda: b"code," * 900_000 + b"code\n1\n",
    "a column with a long name": lambda: b"x" * (4 * MB) + b"\n1\n",
    "a row of a million cells": lambda: HEADER + b"x" + b"," * (2 * MB) + b"\n",
    "a quote that is not closed": lambda: HEADER + b'"' + b"x\n" * 5_000,
    "UTF-16": lambda: (HEADER + SALE).decode().encode("utf-16"),
    "UTF-7 and bytes that are no text": lambda: HEADER + b"+AGE-\xff\xfe\x80\x81,\xc0\xaf\n",
    "NULs": lambda: HEADER + b"\0" * 1000 + b"\n",
    "nothing": lambda: b" \n\n",
    "only a mark": lambda: b"\xef\xbb\xbf",
    "too large": lambda: HEADER + b"\n" * settings.IMPORT_MOST_BYTES,
    "too many rows": lambda: HEADER + SALE * (settings.IMPORT_MOST_ROWS + 1),
}
JSON: dict[str, Callable[[], bytes]] = {
    "nested without end": lambda: b'{"code":' + b"[" * 1_000_000,
    "nested, and closed": lambda: b'[{"code":' + b"[" * 400_000 + b"]" * 400_000 + b"}]",
    "nested just so far that it can be read": lambda: row(commissions=json.loads("[" * 900 + "]" * 900)),
    "a number of a million digits": lambda: b'[{"code":' + b"9" * MB + b"}]",
    "a number that is huge": lambda: b'{"code":"HP1","price":1e999999999,"installments":1e999999999}\n',
    "no number": lambda: b'[{"code":NaN,"price":-Infinity}]',
    "a million keys": lambda: b"{" + b",".join(b'"k%d":1' % n for n in range(300_000)) + b"}\n",
    "half a character": lambda: b'{"code":"\\ud800","status":"APPROVED"}\n',
    "a list": lambda: b"[[],1,null]\n",
    "a text": lambda: b'"text"\n',
}


def rows_written() -> int:
    models = (Transaction, AbandonedCart, Product, Seller, WebhookConfig, LegacyPost, LegacyImport)
    return sum(model._default_manager.count() for model in models)


@pytest.fixture
def bounded():
    """Fails the test where it took more than MEMORY beyond what the process had at its highest."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grew < MEMORY


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


ALL = [("csv", name, make) for name, make in CSV.items()] + [("jsonl", n, make) for n, make in JSON.items()]
every_file = pytest.mark.parametrize(
    ("ending", "make"), [pytest.param(ending, make, id=name) for ending, name, make in ALL]
)


def says_no(page: str) -> bool:
    return any(sign in page for sign in ("errorlist", "errornote", "There is nothing to import in this file"))


@every_file
def test_sales_in_the_admin(staff, bounded, ending, make):
    there = rows_written()
    file = SimpleUploadedFile(f"sales.{ending}", make())
    answer = staff.post(reverse("admin:sales_transaction_import"), {"file": file, "notify": "on"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert says_no(page)
    assert len(page) < 200_000
    assert rows_written() == there


@every_file
def test_configurations_in_the_admin(staff, bounded, ending, make):
    there = rows_written()
    file = SimpleUploadedFile(f"configurations.{ending.rstrip('l')}", make())
    form = {"import_file": file, "format": "0" if ending == "csv" else "1"}
    answer = staff.post(reverse("admin:configurations_webhookconfig_import"), form)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert 'name="confirm"' not in page, "it may not be imported"
    assert says_no(page)
    assert len(page) < 1_000_000
    assert rows_written() == there


def refused(*command: str) -> str:
    """What the command said; it ends with a sentence and one of its own exit codes."""
    said, errors, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command(*command, stdout=said, stderr=errors)
    except CommandError as error:
        code = error.returncode
        errors.write(str(error))
    except SystemExit as ended:
        code = ended.code
    assert code in (1, 2)
    assert "Traceback" not in errors.getvalue()
    return errors.getvalue()


SMALL = {"too large", "too many rows", "a line of 4 MB"}  # for a command these are files like any other


@pytest.mark.parametrize(
    ("ending", "make"),
    [pytest.param(ending, make, id=name) for ending, name, make in ALL if name not in SMALL],
)
def test_sales_by_the_command(tmp_path: Path, bounded, ending, make):
    there = rows_written()
    file = tmp_path / f"sales.{ending}"
    file.write_bytes(make())
    said = refused("import_transactions", str(file))
    assert said
    assert len(said) < 2 * MB
    assert rows_written() == there


def test_a_line_that_never_ends_by_the_command(tmp_path: Path, bounded):
    file = tmp_path / "sales.jsonl"
    with file.open("wb") as out:
        out.truncate(50 * MAX_LINE)  # a hole: it takes no room
    assert "Line 1 is longer than 16 MB" in refused("import_transactions", str(file))


def test_a_row_that_never_ends_by_the_command(tmp_path: Path, bounded):
    file = tmp_path / "sales.csv"
    file.write_bytes(HEADER + b'"' + b'a\n","' * MB)
    assert "The row that begins in line 2 does not end" in refused("import_transactions", str(file))


@pytest.mark.parametrize(
    ("ending", "make"),
    [
        *(pytest.param(ending, make, id=name) for ending, name, make in ALL if name not in SMALL),
        pytest.param("csv", gzipped_quote, id="a row without an end in gzip"),
    ],
)
def test_old_posts_by_the_command(tmp_path: Path, bounded, ending, make):
    file = tmp_path / f"old.{ending}"
    file.write_bytes(make())
    said = refused("import_legacy_posts", str(file), "--kind", "sent", "--encoding", "utf-8")
    assert said
    assert len(said) < 2 * MB
    assert not LegacyPost.objects.exists()


# --- Whatever is uploaded, anywhere, by anybody


def test_a_larger_upload_than_any_page_takes_is_refused_unread(client, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "FILE_UPLOAD_TEMP_DIR", str(tmp_path))
    file = SimpleUploadedFile("x.csv", bytes(uploads.most() + 1))
    answer = client.post(reverse("account_login"), {"login": "a", "file": file})
    assert answer.status_code == 400
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "form",
    [
        {f"field{n}": "x" for n in range(2_000)},  # more fields than any page has
        {"login": "x" * (4 * MB)},
    ],
    ids=["fields", "a field"],
)
def test_a_form_larger_than_any_of_ours_is_refused(client, form):
    assert client.post(reverse("account_login"), form).status_code == 400


def test_many_files_are_refused(client):
    files = {f"f{n}": SimpleUploadedFile("x", b"x") for n in range(200)}
    assert client.post(reverse("account_login"), files).status_code == 400
