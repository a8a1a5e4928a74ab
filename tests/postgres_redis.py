"""The delivery and legacy posts tests once more, on PostgreSQL with the Redis broker: `python -m tests.postgres_redis`.

Where one of the two is missing it says so and ends well; a fresh machine has neither.
"""

import os
import sys
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from .run import run

DATABASE_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
BROKER_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/5")

# Of the commands, whose tests are a process each, those where two are at work at once: what else
# they ask the database is asked by other tests too.
CHOSEN = "not _command or two_at_once"
DATABASE = {"db", "transactional_db", "live_server"}  # the fixtures of those that ask the database


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A plugin of the run: what asks no database has been tested already, and would do the same here."""
    asking, others = [], []
    for item in items:
        asks = item.get_closest_marker("django_db") or DATABASE.intersection(item.fixturenames)
        (asking if asks else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = asking


def missing() -> str:
    """What cannot be reached, in words; empty if both can."""
    try:
        psycopg.connect(DATABASE_URL, connect_timeout=3).close()
    except psycopg.OperationalError as error:
        return f"PostgreSQL at {urlsplit(DATABASE_URL).hostname}: {error}"
    try:
        redis.Redis.from_url(BROKER_URL, socket_connect_timeout=3).ping()
    except redis.RedisError as error:
        return f"Redis at {urlsplit(BROKER_URL).hostname}: {error}"
    return ""


def main() -> int:
    if why := missing():
        print(f"Skipped: the delivery tests on PostgreSQL and Redis. {' '.join(why.split())}")
        return 0
    environment = os.environ | {"DATABASE_URL": DATABASE_URL, "BROKER_URL": BROKER_URL}
    environment.pop("WEBHOOKHUB_TEST_RUN", None)
    return run(["tests/deliveries", "tests/legacy_posts", "-k", CHOSEN, "-p", __spec__.name], environment)


if __name__ == "__main__":
    sys.exit(main())
