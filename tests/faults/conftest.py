import os
import random
from collections.abc import Callable, Iterator

import pytest

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
        record_property("fault", (fault, figures.posts, figures.faults, figures.longest, figures.repeats))

    return tell


@pytest.fixture
def postgres(transactional_db: None) -> Iterator[PostgresServer]:
    """A server of the test's own, which is the database meanwhile."""
    with PostgresServer() as server, on_database(server.url):
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What `make faults` prints: the figures of the run, as Markdown."""
    reports = terminalreporter.getreports("passed")
    rows = [value for report in reports for name, value in report.user_properties if name == "fault"]
    if rows and not hasattr(terminalreporter.config, "workerinput"):
        terminalreporter.write_line(f"\n{table.markdown()}\n\n{table.figures(rows)}\n")
