"""The table of the faults names tests that are there, and the docs hold that table."""

import ast
from pathlib import Path

import pytest
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField

from . import table

TESTS = Path(settings.BASE_DIR) / "tests"
# The last ones of before the first release, when no older version ran anywhere.
BEFORE = {"configurations": "0002", "deliveries": "0011", "sales": "0003", "legacy_posts": "0000"}


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", table.TABLE, ids=lambda row: str(row.number))
def test_each_fault_has_a_test(row):
    assert row.tests
    for test in row.tests:
        path, _, name = test.partition("::")
        assert name in functions_of(TESTS / path), test


def test_the_docs_hold_the_table():
    assert table.markdown() in (Path(settings.BASE_DIR) / "docs" / "faults.md").read_text()


def test_what_a_migration_adds_an_older_version_can_leave_out():
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        if name[:4] > BEFORE.get(app, "9999"):
            for added in (each for each in migration.operations if isinstance(each, AddField)):
                field = added.field
                assert field.null or field.many_to_many or field.has_db_default(), (
                    f"{app}.{name}: {added.name}"
                )
