"""/healthz and /readyz, as a load balancer asks: without a session, in plain http, by address."""

import socket
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from deliveries import readiness, tasks, wake
from deliveries.models import WakeFlag
from tests.redis_server import RedisServer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _as_in_production(settings):
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["hooks.example.com"]


@pytest.fixture
def client() -> Client:
    return Client(headers={"host": "10.0.0.7:8000"})


@pytest.fixture
def database_at(monkeypatch):
    """`database_at(port)`: from now on a new connection goes to a PostgreSQL at that port."""

    def go_to(port: int) -> None:
        there = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": "127.0.0.1",
            "PORT": port,
            "NAME": "secret-name",
        }
        facts = (
            connections.settings["default"]
            | there
            | {"OPTIONS": {}, "USER": "secret-user", "PASSWORD": "hush"}
        )
        monkeypatch.setitem(connections.settings, "default", facts)

    return go_to


def passed(**ago: float) -> None:
    """The last wake-up went through the queue so long ago."""
    WakeFlag.objects.update_or_create(pk=1, defaults={"woken_at": timezone.now() - timedelta(**ago)})


def wrong(answer) -> dict[str, str]:
    return {name: check["says"] for name, check in answer.json()["checks"].items() if not check["ok"]}


def test_healthz_answers_without_the_database_and_the_queue(client, database_at, django_assert_num_queries):
    database_at(1)
    with django_assert_num_queries(0):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"alive": True})
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_readyz_is_200_where_all_is_well(client):
    passed(seconds=5)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
    assert list(answer.json()["checks"]) == ["database", "broker", "wake_up"]
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert not answer.cookies


def test_head_tells_the_status_alone_and_nothing_else_is_taken(client):
    passed(seconds=5)
    answer = client.head("/readyz")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.post("/readyz").status_code == 405
    assert client.post("/healthz").status_code == 405


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/healthz/x", "/readyzz"])
def test_an_address_beside_them_is_the_site_s(client, path):
    assert client.get(path).status_code == 400  # a host that is not ours


def test_before_the_first_wake_up_it_is_not_ready(client):
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert wrong(answer) == {"wake_up": "No wake-up has gone through the queue yet: is a worker running?"}


@pytest.mark.parametrize(("ago", "status"), [(100, 200), (140, 503)])
def test_a_wake_up_counts_for_two_minutes(client, ago, status):
    passed(seconds=ago)
    answer = client.get("/readyz")
    assert answer.status_code == status
    if status == 503:
        assert wrong(answer)["wake_up"].endswith("none since, for more than 120 s: is a worker running?")


@pytest.mark.parametrize("job", [tasks.deliver_due, tasks.sweep], ids=["a wake-up", "the sweep"])
def test_a_job_that_a_worker_does_makes_it_ready(client, job):
    passed(hours=1)
    job()
    assert client.get("/readyz").status_code == 200


def test_a_cluster_that_starts_is_not_taken_for_a_wake_up(client):
    WakeFlag.objects.create(pk=1, asked_at=Now())
    wake.taken()  # what the parent does before any worker has done anything
    assert client.get("/readyz").status_code == 503


def test_a_check_can_be_left_out_where_no_worker_runs_or_only_pages_are_asked_for(client):
    passed(hours=1)
    answer = client.get("/readyz?without=wake_up")
    assert (answer.status_code, list(answer.json()["checks"])) == (200, ["database", "broker"])
    assert client.get("/readyz?without=wake_up,broker").status_code == 200
    assert client.get("/readyz?without=everything").status_code == 400


def test_a_database_that_is_gone_is_said_so_without_its_name(client, database_at):
    passed(seconds=5)
    database_at(1)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert wrong(answer)["database"] == "The database cannot be used."
    assert "wake_up" in wrong(answer)
    assert b"secret" not in answer.content
    assert b"127.0.0.1" not in answer.content


def test_a_database_that_accepts_and_answers_nothing_is_said_so_in_time(client, database_at, monkeypatch):
    monkeypatch.setattr(readiness, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=8) as frozen:
        database_at(frozen.getsockname()[1])
        answers = [client.get("/readyz") for _ in range(3)]
        frozen.settimeout(10)
        with frozen.accept()[0]:
            frozen.settimeout(0.05)
            with pytest.raises(TimeoutError):  # three asked, and one looked
                frozen.accept()
    readiness.look._thread.join(10)
    assert {answer.status_code for answer in answers} == {503}
    assert wrong(answers[0])["database"] == "The database does not answer."


def test_tables_that_are_missing_are_said_so(client):
    passed(seconds=5)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE deliveries_wakeflag RENAME TO away")
    try:
        answer = client.get("/readyz")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO deliveries_wakeflag")
    assert wrong(answer)["database"] == "The database cannot be used."


def test_a_queue_that_is_gone_or_frozen_is_said_so_until_it_is_back(client, redis_queue: RedisServer):
    passed(seconds=5)
    assert client.get("/readyz").status_code == 200
    redis_queue.freeze()
    assert wrong(client.get("/readyz")) == {"broker": "The queue cannot be reached."}
    redis_queue.thaw()
    redis_queue.stop()
    answer = client.get("/readyz")
    assert (answer.status_code, wrong(answer)) == (503, {"broker": "The queue cannot be reached."})
    assert str(redis_queue.port).encode() not in answer.content
    redis_queue.start()
    assert client.get("/readyz").status_code == 200
