"""docs/security.md and SECURITY.md name code and tests that are there."""

import re
from pathlib import Path

import pytest

from tests.commands import ROOT

PAGE = ROOT / "docs" / "security.md"
PARTS = ("Outbound", "Inbound", "Data", "Supply chain", "In front of it")
# `folder/file.py`, and perhaps `::name` of a function, class or constant in it.
REFERENCE = re.compile(r"`([\w./-]+\.(?:py|md|html|toml|txt|conf|service|tsv)|Makefile)(?:::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def rows() -> list[tuple[str, str, str]]:
    """(promise, what it rests on, what proves it), of all tables."""
    lines = [
        line.strip().strip("|").split(" | ")
        for line in PAGE.read_text().splitlines()
        if line.startswith("| ")
    ]
    return [tuple(cell.strip() for cell in cells) for cells in lines if cells[0].strip() != "promise"]


def test_each_promise_has_code_and_a_test():
    for cells in rows():
        assert len(cells) == 3, cells
        promise, rests_on, proof = cells
        assert REFERENCE.search(rests_on), promise
        proved_by = [path for path, _name in REFERENCE.findall(proof)]
        assert proved_by, promise
        assert all(path.startswith("tests/") for path in proved_by), promise


@pytest.mark.parametrize("page", [PAGE, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_what_is_named_is_there(page: Path):
    named = REFERENCE.findall(page.read_text())
    for path, name in named:
        file = ROOT / path
        assert file.is_file(), path
        if name:
            is_there = re.search(
                rf"^\s*(?:def|class) {name}\b|^\s*{name}\b[^=\n]*=", file.read_text(), re.MULTILINE
            )
            assert is_there, f"{path}::{name}"
    assert named or page.name == "SECURITY.md"


@pytest.mark.parametrize("page", [PAGE, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path):
    links = LINK.findall(page.read_text())
    assert links
    for link in links:
        assert (page.parent / link).exists(), link


def test_each_part_of_the_promise_is_there():
    assert tuple(re.findall(r"^## (.+)$", PAGE.read_text(), re.MULTILINE))[: len(PARTS)] == PARTS
