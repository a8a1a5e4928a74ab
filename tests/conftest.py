from collections.abc import Iterator

import pytest

from sales.models import Product, Seller

from . import factories
from .receiver import Receiver


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
