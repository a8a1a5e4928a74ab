import logging
from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def nobody_tried_too_often() -> None:
    """The limits on logins and passwords count in the cache; each test begins without such a past."""
    cache.clear()


@pytest.fixture
def unlogged() -> Iterator[None]:
    """Thousands of refusals: a log with a traceback for each takes longer than the requests."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
