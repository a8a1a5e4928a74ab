from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.apps import apps
from django.db.models import DateTimeField, F
from django.test import override_settings
from django_q.conf import Conf

from configurations.models import WebhookConfig
from deliveries import engine, outcomes, wake
from sales.models import Product, Seller
from tests import factories
from tests.receiver import Receiver
from tests.redis_server import RedisServer


class Clock:
    """The clock that the rows are judged by. It moves by moving the rows: what they hold becomes longer ago."""

    def forward(self, **span: float) -> None:
        """By `timedelta(**span)`: forward(minutes=5)."""
        for app in ("configurations", "deliveries"):
            for model in apps.get_app_config(app).get_models():
                names = [
                    field.name for field in model._meta.concrete_fields if isinstance(field, DateTimeField)
                ]
                if names:
                    model._base_manager.update(**{name: F(name) - timedelta(**span) for name in names})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def config(receiver: Receiver, producer: Seller) -> WebhookConfig:
    """The producer's, for all events of all products, to the receiver."""
    return factories.make_config(producer, url=receiver.url)


@pytest.fixture
def sell(config: WebhookConfig, product: Product):
    """`sell()` makes a sale that `config` hears of, and returns its delivery."""

    def sell(**facts):
        sale = factories.make_sale(product, **facts)
        return config.deliveries.get(event__sale=sale)

    return sell


@pytest.fixture
def closed_circuits(settings):
    """However many posts fail in a row, each is tried by itself."""
    settings.DELIVERY_CIRCUIT_FAILURES = 10_000


@pytest.fixture(autouse=True)
def _fresh_transport():
    """Connections, settings and what is known of endpoints are one test's, and not the next one's."""
    yield
    engine.forget_transport()
    engine._answers.cache_clear()
    outcomes._owed.clear()


@pytest.fixture
def sell_many(config: WebhookConfig, product: Product) -> Callable[[int], None]:
    """`sell_many(n)` makes n sales that `config` hears of, each in a transaction of its own."""

    def sell_many(count: int) -> None:
        for _ in range(count):
            factories.make_sale(product)

    return sell_many


@pytest.fixture
def clean_queue(transactional_db: None) -> Iterator[None]:
    """The queue of the environment, with no job and no flag left over; at the end too."""

    def clean() -> None:
        wake._broker_of.cache_clear()
        wake._away_until = 0.0
        wake.broker().purge_queue()
        wake.taken()

    clean()
    yield
    clean()


@pytest.fixture
def redis_queue(clean_queue: None) -> Iterator[RedisServer]:
    """The queue in a Redis server of the test's own, which can be stopped and frozen."""
    with (
        RedisServer() as server,
        override_settings(ON_REDIS=True, BROKER_URL=server.url),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(Conf, "BROKER_CLASS", None)
        patch.setattr(Conf, "ORM", None)
        patch.setattr(Conf, "REDIS", server.url)
        wake._broker_of.cache_clear()
        yield server
