import sqlite3
from typing import Any

from django.apps import AppConfig
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from . import groups


class SiteConfig(AppConfig):
    name = "webhookhub"

    def ready(self) -> None:
        from . import second_factor  # noqa: F401  its secrets are known to `rotate_keys`

        post_migrate.connect(groups.fill, dispatch_uid="groups_fill")
        connection_created.connect(_let_sqlite_take_whole_batches)


def _let_sqlite_take_whole_batches(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Django 5.2 splits bulk inserts at 999 values, the limit of old SQLites; 6.0 asks, and so do we."""
    if connection.vendor == "sqlite":
        limit = connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        connection.features.max_query_params = limit
