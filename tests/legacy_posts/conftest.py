import csv
import io
import json
from pathlib import Path

import pytest

from tests.commands import Ran, manage

NAMES = (
    "id", "kind", "owner", "occurred_at", "event", "transaction", "product_name", "url", "status", "payload",
    "response", "tries",
)  # fmt: skip


def row(n: int = 1, **facts):
    return {
        "id": str(n),
        "kind": "sent",
        "owner": "ana@example.com",
        "occurred_at": "2024-05-12T14:21:38Z",
        "event": "approved",
        "transaction": f"HP{1000 + n}",
        "product_name": "Curso de cerâmica",
        "url": "https://old.example.com/hook",
        "status": "200",
        "payload": f'{{"data": {{"buyer": {{"email": "Joao{n}@Example.com"}}}}}}',
        "response": "ok",
        "tries": "1",
    } | facts


def csv_of(rows, delimiter=",") -> str:
    names = list(dict.fromkeys(name for each in rows for name in each)) or NAMES
    out = io.StringIO()
    writer = csv.DictWriter(out, names, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def jsonl_of(rows) -> str:
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows)


COMMAND = "import_legacy_posts"


@pytest.fixture
def run(transactional_db, tmp_path):
    """run(content, *arguments): writes the file and imports it; content None: the arguments name it."""

    def run(content, *arguments, name="old.csv", stdin=None) -> Ran:
        if content is not None:
            path = tmp_path / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            arguments = (path, *arguments)
        return manage(COMMAND, *arguments, stdin=stdin)

    return run


@pytest.fixture
def rejects(tmp_path) -> Path:
    return tmp_path / "old.rejects.csv"
