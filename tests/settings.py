"""The product's settings, with every variable that a test relies on set here and not in `.env`.

DATABASE_URL and BROKER_URL may be set from outside: the delivery tests run on PostgreSQL and Redis too.
"""

import os
import tempfile
from pathlib import Path

_RUN = os.environ.setdefault(
    "WEBHOOKHUB_TEST_RUN", str(os.getpid())
)  # workers and clusters of a run share it
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
_DIR = Path(tempfile.gettempdir()) / f"webhookhub-tests-{_RUN}"
_STATIC = _DIR / "static"  # apart from the cache, whose files come and go while these are listed
_STATIC.mkdir(parents=True, exist_ok=True)

os.environ |= {
    "DEBUG": "False",
    "SECRET_KEY": "only-for-the-tests",
    "FIELD_ENCRYPTION_KEY": "b25seS1mb3ItZGVidWdnaW5nLW9uLXRoaXMtcGMtMDA=",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "CSRF_TRUSTED_ORIGINS": "",
    "SECURE_COOKIES": "False",
    "STAFF_NEEDS_SECOND_FACTOR": "False",  # tests/security/test_second_factor.py sets it
    "EMAIL_URL": os.environ.get("TEST_EMAIL_URL", "memorymail://"),
    "DELIVERY_ALLOWED_NETWORKS": os.environ.get("TEST_ALLOWED_NETWORKS", "127.0.0.0/8,::1/128"),
    # A queue and a cache of each pytest process's own, also where they share one Redis.
    "CLUSTER_NAME": f"test-{_RUN}-{_WORKER}",
    "CACHE_DIR": str(_DIR / f"cache-{_WORKER}"),
    "SQLITE_SYNCHRONOUS": os.environ.get("TEST_SQLITE_SYNCHRONOUS", "OFF"),
    "LOG_POSTS": "False",  # thousands of lines, which a test that fails would show
    "STATIC_ROOT": str(_STATIC),
}
os.environ.setdefault("DATABASE_URL", f"sqlite:///{_DIR / 'db.sqlite3'}")
os.environ.setdefault("BROKER_URL", "orm")

from webhookhub.settings import *  # noqa: E402, F403
from webhookhub.settings import DATABASES, ON_SQLITE  # noqa: E402

TEST_FOLDER = _DIR
# A file, also where Django would take memory: a qcluster of its own process must see the rows.
DATABASES["default"]["TEST"] = {
    "NAME": str(_DIR / "test.sqlite3") if ON_SQLITE else f"test_webhookhub_{_RUN}"
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = STORAGES | {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}  # noqa: F405
WHITENOISE_USE_FINDERS = True  # the browser tests' server has run no collectstatic
WHITENOISE_AUTOREFRESH = (
    True  # a file is looked up when it is asked for, not all of them by each test's client
)


class _AnyPort:
    """The receivers of the tests take whatever port is free; the test of the ports sets the product's own list."""

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and 0 < port < 65536

    def __iter__(self):
        return iter(DEFAULT_PORTS)


DEFAULT_PORTS = DELIVERY_ALLOWED_PORTS  # noqa: F405
DELIVERY_ALLOWED_PORTS = _AnyPort()
# The limits count over a whole run, in which users come back under the same ids: tests/security/test_limits.py sets them.
LIMITS = dict.fromkeys(LIMITS, (0, 0))  # noqa: F405
