import gc
from collections.abc import Iterator

import pytest
from django.utils import translation
from hypothesis import HealthCheck, settings
from pytest_django import DjangoDbBlocker

from sales.models import Product, Seller

from . import database, factories
from .receiver import Receiver

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """Thousands of tests are objects that stay; to look through them for garbage again and again takes a twentieth."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Instead of pytest-django's, for all tests that ask the database."""
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    with django_db_blocker.unblock():
        copy = database.copy_for(worker)
        copy.__enter__()
    yield
    with django_db_blocker.unblock():
        copy.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    """A request leaves its language to whatever runs after it in the same thread, here the next test."""
    with translation.override("en"):
        yield


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def producer(db: None) -> Seller:
    return factories.make_seller()


@pytest.fixture
def product(producer: Seller) -> Product:
    return factories.make_product(producer)
