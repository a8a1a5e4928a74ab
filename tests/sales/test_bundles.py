"""What `Product.content` may hold: what every post can be made from."""

import pytest
from django.core.exceptions import ValidationError

from sales.bundles import validate_content

PART = {
    "code": 4100007,
    "ucode": "cd613e30-d8f1-4adf-91b7-584a2265b1f5",
    "name": "Caderno",
    "is_physical": True,
}


@pytest.mark.parametrize("content", [[], [PART], [PART, PART | {"code": "4100008"}]])
def test_a_list_of_products_is_taken(content):
    validate_content(content)


@pytest.mark.parametrize(
    "content",
    [
        PART,
        "Caderno",
        [1],
        [{}],
        [PART | {"price": 1}],
        [PART | {"code": "HP1"}],
        [PART | {"code": True}],
        [PART | {"code": "9" * 19}],
        [PART | {"ucode": "cd613e30"}],
        [PART | {"ucode": None}],
        [PART | {"name": ""}],
        [PART | {"name": "x" * 256}],
        [PART | {"is_physical": "yes"}],
    ],
)
def test_anything_else_is_refused_with_an_example(content):
    with pytest.raises(ValidationError, match="Write a list such as"):
        validate_content(content)
