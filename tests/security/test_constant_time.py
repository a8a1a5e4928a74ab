"""What is secret is compared in a time that does not tell how much of a guess was right."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APPS = ("sales", "configurations", "deliveries", "legacy_posts", "docs_tab", "webhookhub")
SECRET = re.compile(r"secret|token|signature|digest|hmac|hottok|password")
# {file: names}: what sounds like a secret and is none, or is not guessed at by anybody outside.
HARMLESS = {
    "sales/audit.py": {"password"},  # two stored hashes: whether a save changed it
    "deliveries/posting.py": {"TOKEN_HEADER"},  # the name of a header
    "deliveries/showing.py": {"TOKEN_HEADER"},
    "docs_tab/openapi.py": {"TOKEN_HEADER"},
    "deliveries/contract/writing.py": {"hottok", "TOKEN_PLACEHOLDER"},  # a placeholder of the template
}


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Call):
        return name_of(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node, ast.Subscript):
        inner = node.slice
        return str(inner.value) if isinstance(inner, ast.Constant) else name_of(node.value)
    return getattr(node, "attr", getattr(node, "id", ""))


def suspicious(source: str) -> list[tuple[int, str]]:
    """(line, name) of each ==, != or `in` with something on either side whose name sounds like a secret."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Compare):
            continue
        if not all(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):  # nothing to guess
            continue
        found += [(node.lineno, name) for name in map(name_of, sides) if SECRET.search(name.lower())]
    return found


FILES = [
    path
    for app in APPS
    for path in sorted((ROOT / app).rglob("*.py"))
    if "migrations" not in path.parts and "receivers" not in path.parts
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_secret_is_compared_with_an_equals_sign(path):
    known = HARMLESS.get(str(path.relative_to(ROOT)), set())
    assert [found for found in suspicious(path.read_text()) if found[1] not in known] == []


@pytest.mark.parametrize(
    "source",
    [
        "if request.GET['token'] == config.token: pass",
        "if given != self.signing_secret: pass",
        "ok = signature == expected",
        "ok = settings.METRICS_TOKEN.encode() == given",
    ],
)
def test_the_test_sees_what_it_is_for(source):
    assert suspicious(source)


def test_what_we_give_our_sellers_to_check_signatures_with_does_so_too():
    receivers = [
        *(ROOT / "docs_tab/receivers").glob("receiver.*"),
        *(ROOT / "docs_tab/examples").glob("verify.*"),
    ]
    assert len(receivers) >= 7
    safe = re.compile(
        r"compare_digest|timingSafeEqual|hash_equals|secure_compare|standardwebhooks|StandardWebhooks"
    )
    assert [path.name for path in receivers if not safe.search(path.read_text())] == []
