import os
import random
from collections.abc import Callable, Iterator
from dataclasses import astuple

import pytest
from django.db import connection

from tests.deliveries.conftest import clean_queue, redis_queue  # noqa: F401  fixtures
from tests.postgres_server import PostgresServer
from tests.receiver import Receiver

from . import table
from .kit import Figures, Shop, Watch, on_database

SEED = os.environ.get("SEED", "")


@pytest.fixture
def shop(clean_queue: None, receiver: Receiver) -> Shop:  # noqa: F811
    """One configuration; the long tests make their own."""
    return Shop(receiver)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def chance() -> random.Random:
    """`make faults SEED=…` repeats a run; without one each is another, and says its seed if it fails."""
    seed = SEED or str(random.SystemRandom().randrange(10**6))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str, Figures], None]:
    """`tell(fault, figures)`: a line of the table that `make faults` prints."""

    def tell(fault: str, figures: Figures) -> None:
        print(f"{fault}: {figures}")
        record_property("fault", (fault, *astuple(figures)[1:]))

    return tell


@pytest.fixture
def postgres(transactional_db: None) -> Iterator[PostgresServer]:
    """A server of the test's own, which is the database meanwhile."""
    with PostgresServer() as server, on_database(server.url):
        yield server


@pytest.fixture(params=["SQLite", "PostgreSQL and Redis"])
def storage(request: pytest.FixtureRequest, clean_queue: None) -> str:  # noqa: F811
    """The test runs on each; servers of its own. Which it is."""
    if request.param == "SQLite":
        if connection.vendor != "sqlite":
            pytest.skip("It is about SQLite.")
    else:
        request.getfixturevalue("redis_queue")
        request.getfixturevalue("postgres")
    return request.param


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `make faults` prints: the figures of the run, as Markdown."""
    reports = terminalreporter.getreports("passed")
    rows = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if rows and not hasattr(terminalreporter.config, "workerinput"):
        terminalreporter.write_line(f"\n{table.figures(sorted(rows))}\n")
