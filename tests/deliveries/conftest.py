import sys
from datetime import timedelta

import pytest
from django.apps import apps
from django.db.models import DateTimeField, F

from configurations.models import WebhookConfig
from sales.models import Product, Seller
from tests import factories
from tests.receiver import Receiver


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


@pytest.fixture(autouse=True)
def _fresh_transport():
    """Connections and settings of one test are not the next one's."""
    yield
    if "deliveries.engine" in sys.modules:
        sys.modules["deliveries.engine"].forget_transport()
