"""The settings as a fresh server would have them: webhookhub/settings.py read anew, with DEBUG off and TLS in front."""

import runpy
from pathlib import Path
from typing import Any

SETTINGS = Path(__file__).resolve().parents[2] / "webhookhub" / "settings.py"
ENVIRONMENT = {
    "DEBUG": "False",
    "SECRET_KEY": "only-for-the-tests-0123456789-abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "testserver",
    "SITE_URL": "https://hooks.example.com",
}
# What the tests set otherwise, and what has no bearing on an answer.
_ABOUT_ANSWERS = (
    "SECURE_",
    "SESSION_",
    "CSRF_",
    "LANGUAGE_COOKIE",
    "X_FRAME",
    "CONTENT_SECURITY",
    "STAFF_",
    "SITE_URL",
)


def read(monkeypatch, **environment: str) -> dict[str, Any]:
    """All settings, by name."""
    for name in (
        "SECURE_COOKIES",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "BEHIND_PROXY",
        "STAFF_NEEDS_SECOND_FACTOR",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in (ENVIRONMENT | environment).items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(SETTINGS))


def put_on(settings, monkeypatch, **environment: str) -> None:
    """Let what is asked for from now on be answered as in production; ask with `secure=True`."""
    for name, value in read(monkeypatch, **environment).items():
        if name.startswith(_ABOUT_ANSWERS) and name not in ("CSRF_TRUSTED_ORIGINS",):
            setattr(settings, name, value)
