"""How long the texts of a sale may be: as long as the fields that they come from.

The snapshot names its facts as the models do, so the path of a fact leads to its field. The models are asked for
by name: nothing here imports them, and nothing asks the database.
"""

from functools import cache

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist

_ROOTS = ("Transaction", "AbandonedCart", "Subscription", "Seller")  # whose facts the paths begin with


@cache
def of(path: str, first: str = _ROOTS[0]) -> int | None:
    """The most characters of the fact at `path`, such as "product.owner.name"; None where its field sets no limit.

    `first`: the model that the path most likely begins with. A cart's phone is longer than a sale's.
    """
    for root in (first, *_ROOTS):
        model = apps.get_model("sales", root)
        *relations, name = path.split(".")
        try:
            for relation in relations:
                model = model._meta.get_field(relation).related_model
            return model._meta.get_field(name).max_length
        except (FieldDoesNotExist, AttributeError):
            continue
    return None
