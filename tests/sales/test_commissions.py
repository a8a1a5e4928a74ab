from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from sales.import_rows import BadRow, Cleaner
from tests import factories

SHARE = {"source": "AFFILIATE", "value": "58.80", "currency": "BRL"}
CONVERSION = {"value": "10.47", "currency": "EUR", "rate": "0.178"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "shares",
    [
        [],
        [SHARE, SHARE | {"source": "MARKETPLACE"}],
        [SHARE | {"value": 58.8}],
        [SHARE | {"conversion": CONVERSION}],
    ],
)
def test_commissions_that_posts_can_be_made_from_are_taken(product, shares):
    factories.sale(product, commissions=shares).full_clean()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "shares",
    [
        SHARE,
        ["AFFILIATE"],
        [{"source": "AFFILIATE", "value": "58.80"}],
        [SHARE | {"note": "x"}],
        [SHARE | {"source": "ME"}],
        [SHARE | {"currency": "R$"}],
        [SHARE | {"value": "NaN"}],
        [SHARE | {"value": "much"}],
        [SHARE | {"value": True}],
        [SHARE | {"value": None}],
        [SHARE | {"value": "1e400"}],
        [SHARE | {"value": "1234567890.1234567"}],  # more than a double holds
        [SHARE | {"conversion": None}],
        [SHARE | {"conversion": {"value": "10.47", "currency": "EUR"}}],
        [SHARE | {"conversion": CONVERSION | {"rate": "fast"}}],
    ],
)
def test_other_commissions_are_refused_before_anything_is_posted(product, shares):
    with pytest.raises(ValidationError, match="Write a list such as"):
        factories.sale(product, commissions=shares).full_clean()


def test_a_conversion_can_be_imported():
    numbers = {"value": Decimal("10.47"), "currency": "EUR", "rate": Decimal("0.178")}
    row = Cleaner().clean(1, {"code": "HP1", "commissions": [SHARE | {"conversion": numbers}]})
    assert row.own["commissions"] == [SHARE | {"conversion": CONVERSION}]


def test_an_import_refuses_half_a_conversion():
    with pytest.raises(BadRow, match="commissions: Write a list such as"):
        Cleaner().clean(1, {"code": "HP1", "commissions": [SHARE | {"conversion": {"rate": "0.1"}}]})
