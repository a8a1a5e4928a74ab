"""The form of `Product.content`: a list of the products in a bundle, empty for a product that is none.

[{"code": 4100007, "ucode": "cd613e30-d8f1-4adf-91b7-584a2265b1f5", "name": "Caderno", "is_physical": true}, …]
"""

import re
import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _


def validate_content(content: Any) -> None:
    """Raises ValidationError where the posts could not be made from `content`."""
    if not isinstance(content, list) or not all(_is_product(part) for part in content):
        raise ValidationError(
            _(
                'Write a list such as [{"code": 4100007, "ucode": "cd613e30-d8f1-4adf-91b7-584a2265b1f5", '
                '"name": "Caderno", "is_physical": true}].'
            ),
            code="content",
        )


def _is_product(part: Any) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() == {"code", "ucode", "name", "is_physical"}
        and not isinstance(part["code"], bool)
        and bool(re.fullmatch(r"[0-9]{1,18}", str(part["code"])))
        and _is_uuid(part["ucode"])
        and isinstance(part["name"], str)
        and 0 < len(part["name"]) <= 255
        and isinstance(part["is_physical"], bool)
    )


def _is_uuid(text: Any) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except (ValueError, AttributeError, TypeError):
        return False
