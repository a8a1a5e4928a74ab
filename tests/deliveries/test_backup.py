"""A backup that is made while sales are made and posted, and restored elsewhere as docs/backup.md says."""

import os
import shutil
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from django.db import connection

from deliveries import engine
from deliveries.models import Delivery, State
from tests import factories
from tests.commands import database_url, manage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_queue")]

GROWING = {"sales_transaction", "deliveries_event", "deliveries_delivery"}  # one row of each with every sale
# The worker's, the queue's and the migrations'; what the copy itself is told apart by.
OF_THE_MOMENT = {"deliveries_wakeflag", "django_q_ormq", "deliveries_heldhost", "deliveries_home"}


@pytest.fixture
def on_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("On PostgreSQL only.")


@pytest.fixture
def restored(tmp_path):
    """`restored(path)`: the URL of a fresh database that the backup was put into."""
    if connection.vendor == "sqlite":

        def restored(path):
            return f"sqlite:///{shutil.copy(path, tmp_path / 'restored.sqlite3')}"

        yield restored
        return
    name, admin = f"restored_{uuid4().hex[:12]}", psycopg.connect(database_url(), autocommit=True)

    def restored(path):
        admin.execute(f"CREATE DATABASE {name}")
        url = database_url().rpartition("/")[0] + f"/{name}"
        subprocess.run(
            ["pg_restore", "--no-owner", "--exit-on-error", f"--dbname={url}", str(path)],
            check=True,
            timeout=120,
        )
        return url

    with closing(admin):
        yield restored
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def rows(url, query):
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as there:
            return there.execute(query).fetchall()
    with psycopg.connect(url) as there:
        return there.execute(query).fetchall()


def counts(url):
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True)]
    return {
        table: rows(url, f"SELECT count(*) FROM {table}")[0][0]
        for table in tables
        if table not in OF_THE_MOMENT
    }


@pytest.fixture
def writing(product, config):
    """Sales are made, one after the other, until the test ends; `writing.done` counts those that are committed."""

    class Writing(threading.Thread):
        done = 0
        enough, told = threading.Event(), threading.Event()

        def run(self):
            try:
                while not self.enough.is_set():
                    factories.make_sale(product)
                    self.done += 1
                    if self.done == 5:
                        self.told.set()
            finally:
                connection.close()

    thread = Writing()
    yield thread
    thread.enough.set()
    if thread.is_alive():
        thread.join(60)


def test_nothing_is_lost_and_nothing_is_sent_until_a_person_says_so(
    receiver, sell_many, writing, restored, tmp_path
):
    sell_many(3)
    engine.drain()
    writing.start()
    assert writing.told.wait(60)
    before, path = writing.done, tmp_path / "a.backup"
    made = manage("backup", path, "--json")
    after = writing.done
    writing.enough.set()
    writing.join(60)
    assert made.code == 0, made.err
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["a.backup"]

    url = restored(path)
    there, here = counts(url), counts(database_url())
    copied = there["sales_transaction"]
    assert 3 + before <= copied <= 3 + after + 1
    assert {there[table] for table in GROWING} == {copied}, "each sale with its event and its post"
    # Those of the first sales, with no gap: no later one was taken along while an earlier one was not.
    first = sorted(rows(database_url(), "SELECT id, code FROM sales_transaction"))[:copied]
    assert sorted(rows(url, "SELECT id, code FROM sales_transaction")) == first
    assert {t: n for t, n in there.items() if t not in GROWING} == {
        t: n for t, n in here.items() if t not in GROWING
    }
    assert there["deliveries_deliveryattempt"] == len(receiver.posts) == 3

    refused = manage("deliver", DATABASE_URL=url)
    assert refused.code == 2
    assert "A backup was restored" in refused.err
    assert len(receiver.posts) == 3
    assert manage("release", DATABASE_URL=url).code == 0
    assert manage("deliver", DATABASE_URL=url).code == 0  # with the secrets in it
    assert len(receiver.posts) == copied
    assert {state for (state,) in rows(url, "SELECT DISTINCT state FROM deliveries_delivery")} == {
        State.DELIVERED
    }
    assert Delivery.objects.filter(state=State.WAITING).exists(), "the one that was copied goes its own way"
    assert manage("deliver", "--dry-run").out.startswith(
        f"{Delivery.objects.sendable().count()} posts are due"
    )


def test_restored_into_the_same_database_nothing_is_sent_either(on_postgresql, sell, receiver, tmp_path):
    sell()
    assert manage("deliver", "--seconds", "0.01").code in (0, 1)  # it is at home
    path = tmp_path / "a.backup"
    assert manage("backup", path).code == 0
    url = database_url()
    connection.close()
    subprocess.run(
        ["pg_restore", "--clean", "--no-owner", f"--dbname={url}", str(path)], check=True, timeout=120
    )
    posts = len(receiver.posts)
    assert manage("deliver").code == 2
    assert len(receiver.posts) == posts


def test_what_makes_it_impossible_is_one_line_and_leaves_the_file_of_before(tmp_path):
    refused = manage("backup", tmp_path / "no" / "such" / "folder" / "a.backup")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "The backup could not be made" in refused.err
    assert "Traceback" not in refused.err


def test_without_pg_dump_it_says_what_to_install(on_postgresql, tmp_path):
    path = tmp_path / "a.backup"
    path.write_text("of yesterday")
    refused = manage("backup", path, PATH=str(tmp_path))
    assert refused.code == 2
    assert "pg_dump is not installed here" in refused.err
    assert (path.read_text(), os.listdir(tmp_path)) == ("of yesterday", ["a.backup"])


def test_a_password_is_in_no_argument_of_pg_dump(on_postgresql, tmp_path):
    """In its place stands a program that notes what it is called with."""
    program = tmp_path / "bin" / "pg_dump"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@ / $PGPASSWORD" > "$(dirname "$0")/called"\nexit 1\n')
    program.chmod(0o755)
    url = database_url().replace("postgres@", "postgres:geheim-7@").replace("://:", "://postgres:")
    refused = manage(
        "backup", tmp_path / "a.backup", DATABASE_URL=url, PATH=f"{program.parent}:{os.environ['PATH']}"
    )
    assert refused.code == 2
    assert "pg_dump ended with exit code 1" in refused.err
    arguments, _, password = (program.parent / "called").read_text().strip().partition(" / ")
    assert ("geheim-7" in arguments, password) == (False, "geheim-7")
