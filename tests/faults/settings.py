"""Of the web process of the fault tests: the tests' settings, and a page that sells."""

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.faults.shop"
