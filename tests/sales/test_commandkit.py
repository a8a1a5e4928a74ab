"""What all operators' commands promise, seen from outside: processes on the test's database."""

import subprocess

import pytest
from django.apps import apps
from django.core.management import get_commands, load_command_class

from sales.commandkit import OperatorCommand
from tests.commands import ROOT, Running, manage

from .imports import csv_of, row

OURS = {
    name: load_command_class(app, name)
    for name, app in get_commands().items()
    if isinstance(app, str) and apps.is_installed(app) and (ROOT / app).is_dir()
}
OPERATORS = sorted(name for name, command in OURS.items() if isinstance(command, OperatorCommand))


@pytest.mark.parametrize("name", sorted(OURS))
def test_help_explains_and_gives_an_example(name):
    ran = manage(name, "--help")
    assert ran.code == 0
    _options, _last_option, below = ran.out.partition("--skip-checks")
    assert f"  manage.py {name}" in below
    assert len(OURS[name].help) > 40


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operators_command_offers_json_and_names_its_exit_codes(name):
    ran = manage(name, "--help")
    assert "--json" in ran.out
    assert "Exit code" in ran.out


@pytest.mark.django_db(transaction=True)
class TestAnyCommand:
    def test_a_refusal_is_an_object_with_json_and_keeps_its_exit_code(self):
        ran = manage("import_transactions", "missing.csv", "--json")
        assert ran.code == 2
        assert "missing.csv" in ran.json["error"]
        assert ran.err.startswith("CommandError: ")

    def test_a_refusal_leaves_standard_output_empty_without_json(self):
        ran = manage("import_transactions", "missing.csv")
        assert (ran.code, ran.out) == (2, "")
        assert "missing.csv" in ran.err

    def test_a_database_that_cannot_be_used_is_a_refusal_that_says_so(self, tmp_path):
        path = tmp_path / "sales.csv"
        path.write_text(csv_of(row()))
        ran = manage("import_transactions", path, "--json", DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
        assert ran.code == 2
        assert ran.json["error"].startswith("The database cannot be used: ")
        assert "Traceback" not in ran.err

    def test_a_reader_that_leaves_ends_it_quietly(self, tmp_path):
        path = tmp_path / "sales.csv"
        path.write_text(csv_of(row()))
        with Running("import_transactions", path, "--json") as running:
            running.process.stdout.close()
            assert running.process.wait(60) == 141
            assert running.process.stderr.read() == b""
            running.process.stdout = None

    def test_ctrl_c_ends_it_with_130_and_says_what_stands(self):
        with Running(
            "import_transactions", "-", "--format", "csv", "--json", stdin=subprocess.PIPE
        ) as running:
            running.process.stdin.write(b"code\n" * 1_000_000)  # by now it reads
            running.press_ctrl_c()
            ran = running.ended()
        assert ran.code == 130
        assert ran.json["stopped"] is True
        assert ran.json["created"] == 0
        assert ran.err.startswith("Stopped. ")
        assert "Traceback" not in ran.err
