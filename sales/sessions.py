"""Sessions that know whose they are, so that all of a user's can be ended at once. SESSION_ENGINE names this module.

As Django's documentation extends its sessions in the database.
"""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.utils import timezone


class SessionStore(DatabaseStore):
    @classmethod
    def get_model_class(cls) -> type["Session"]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> "Session":
        session = super().create_model_instance(data)
        user = data.get(SESSION_KEY)
        session.user_id = int(user) if user else None
        return session


class Session(AbstractBaseSession):
    # No foreign key: a session is written before and after its user is.
    user_id = models.BigIntegerField(null=True, db_index=True)

    @classmethod
    def get_session_store_class(cls) -> type[SessionStore]:
        return SessionStore

    class Meta(AbstractBaseSession.Meta):
        app_label = "sales"
        db_table = "sales_session"
        default_permissions = ()  # nobody reads them


def forget_expired() -> None:
    """Delete what nobody can use any more."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()


def end_all(user: Any, *, but: str | None = None) -> int:
    """Sign the user out everywhere, but in the session with this key; returns how many sessions were ended."""
    sessions = Session.objects.filter(user_id=user.pk).exclude(session_key=but or "")
    return sessions.delete()[0]
