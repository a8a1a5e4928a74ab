import json

import pytest

from sales.signals import cart_abandoned, transaction_status_changed

from .imports import Run


@pytest.fixture
def told():
    """What the listeners were told: (code, previous status, status) of sales, the codes of carts."""
    heard = []

    def of_sales(changes, **_):
        heard.extend((change.sale.code, change.previous, change.sale.status) for change in changes)

    def of_carts(carts, **_):
        heard.extend(cart.code for cart in carts)

    transaction_status_changed.connect(of_sales)
    cart_abandoned.connect(of_carts)
    yield heard
    transaction_status_changed.disconnect(of_sales)
    cart_abandoned.disconnect(of_carts)


@pytest.fixture
def imports(tmp_path):
    """imports("text" or rows, *arguments): writes a file and imports it."""

    def run(content, *arguments, name=None):
        if isinstance(content, list):
            content, name = "".join(json.dumps(row) + "\n" for row in content), name or "sales.jsonl"
        path = tmp_path / (name or "sales.csv")
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Run(path, *arguments)

    return run
