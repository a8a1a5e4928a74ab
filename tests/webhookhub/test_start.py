"""Processes that cannot begin say why in one line, and end: real ones, as an operator starts them."""

import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from configurations.models import Token
from tests import factories
from tests.commands import ROOT, environment, manage

pytestmark = pytest.mark.django_db(transaction=True)

RIGHT = "b25seS1mb3ItZGVidWdnaW5nLW9uLXRoaXMtcGMtMDA="  # what the tests encrypt with
WRONG = Fernet.generate_key().decode()
PAGES = ["-m", "gunicorn", "webhookhub.wsgi", "--bind", "127.0.0.1:0", "--workers", "1"]
WORKER = ["manage.py", "qcluster"]
COMMAND = ["manage.py", "deliver"]


def settings_of(**changes):
    """The product's own settings, on the test's database."""
    own = {"SECRET_KEY": "only-for-the-tests", "FIELD_ENCRYPTION_KEY": RIGHT, "ALLOWED_HOSTS": "testserver"}
    return {"DJANGO_SETTINGS_MODULE": "webhookhub.settings", "DEBUG": "False"} | own | changes


def start_all(**changes):
    """{what: (exit code, standard error)} of the pages, the worker and a command, started side by side."""
    started = {
        what: subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment(**settings_of(**changes)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for what, arguments in {"pages": PAGES, "worker": WORKER, "command": COMMAND}.items()
    }
    try:
        return {
            what: (process.communicate(timeout=120)[1], process.returncode)
            for what, process in started.items()
        }
    finally:
        for process in started.values():
            process.kill()
            process.communicate()


@pytest.fixture
def secrets():
    Token.of(factories.make_config().owner)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"FIELD_ENCRYPTION_KEY": ""}, "FIELD_ENCRYPTION_KEY, which encrypts the signing secrets and tokens"),
        ({"FIELD_ENCRYPTION_KEY": "rubbish"}, "FIELD_ENCRYPTION_KEY holds a value that is no key"),
        ({"FIELD_ENCRYPTION_KEY": WRONG}, "FIELD_ENCRYPTION_KEY does not read what this database holds"),
        ({"SECRET_KEY": ""}, "SECRET_KEY is not set"),
    ],
    ids=["no key", "no such key", "a wrong key", "no secret key"],
)
def test_the_pages_the_worker_and_a_command_say_it_in_one_line_and_end(secrets, changes, said):
    for what, (err, code) in start_all(**changes).items():
        lines = [line for line in err.splitlines() if said in line]
        assert lines, (what, err)
        assert "Traceback" not in err
        assert WRONG not in err
        if what == "pages":  # gunicorn says beside it that it ends
            assert code == 3
        else:
            assert (code, err.splitlines()) == (2, lines)


def test_with_the_older_key_behind_the_new_one_they_begin(secrets):
    ran = manage("deliver", **settings_of(FIELD_ENCRYPTION_KEY=f"{WRONG},{RIGHT}"))
    assert (ran.code, ran.err) == (0, "")


def test_rotate_keys_begins_with_a_wrong_key_and_names_every_value(secrets):
    ran = manage("rotate_keys", **settings_of(FIELD_ENCRYPTION_KEY=WRONG))
    assert ran.code == 1
    assert "WebhookConfig.secret" in ran.err
    assert "Token.value" in ran.err


def test_an_empty_database_takes_any_key():
    assert manage("deliver", **settings_of(FIELD_ENCRYPTION_KEY=WRONG)).code == 0


def test_a_database_that_is_away_is_said_by_who_needs_it(tmp_path):
    nowhere = f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'db.sqlite3'}"
    ran = manage("deliver", **settings_of(DATABASE_URL=nowhere))
    assert ran.code == 2
    assert "The database cannot be used" in ran.err
    assert "Traceback" not in ran.err
