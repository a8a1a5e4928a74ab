"""All sending, held and released. After a restore nothing is sent until a person says so.

The hold is a row of HeldHost that stands for every host, so that whoever asks which hosts are held (each claim, the
tests, the pages) knows of it without another query. SEND_POSTS=False holds without a row, and nobody can release it.
What is on its way at that moment ends as it began.
"""

import logging
import sqlite3
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from sales import audit

from . import home, wake
from .held import EVERY, RESTORED
from .models import Delivery, HeldHost

logger = logging.getLogger(__name__)

audit.FACTS |= {
    "sending_held": _("All sending was held: %(reason)s"),
    "sending_restored": _("All sending was held: the database is a copy that was restored."),
    "sending_released": _("All sending was released. %(note)s"),
}


class NotPossible(Exception):
    """It is held already, or not held, or held by the setting. `str()` of it says which."""


def look() -> None:
    """Hold all sending where the database is not where we left it. At the start, and once a drain; see `home`."""
    if home.is_here():
        return
    with transaction.atomic():
        held, made = HeldHost.objects.get_or_create(host=EVERY, defaults={"reason": RESTORED})
        if made:
            audit.note(held, "sending_restored")
    if made:
        logger.error(
            "This database is a copy that was restored: nothing is sent until somebody releases it (manage.py release)."
        )


def hold(reason: str, by: AbstractBaseUser | None = None) -> HeldHost:
    """Raises NotPossible."""
    try:
        with transaction.atomic():
            held = HeldHost.objects.create(host=EVERY, reason=reason, by=by)
            audit.note(held, "sending_held", reason=reason)
    except IntegrityError:
        raise NotPossible(_("All sending is held already.")) from None
    return held


def release(note: str = "") -> int:
    """What waits is sent at once, what waits for its next try at its time. Returns how many go at once.

    Raises NotPossible.
    """
    if not settings.SEND_POSTS:
        raise NotPossible(
            _("SEND_POSTS is False in the settings of this copy: as long as it is, nothing is sent.")
        )
    with transaction.atomic():
        held = HeldHost.objects.select_for_update().filter(host=EVERY).first()
        if held is None:
            raise NotPossible(_("Sending is not held."))
        audit.note(held, "sending_released", note=note)
        held.delete()
        home.settle()
    transaction.on_commit(wake.wake)
    return waiting()


def waiting() -> int:
    """How many posts would go at once, were nothing held."""
    return Delivery.objects.ready().count()


def hold_copy(path: Path) -> None:
    """Of a copy that is an SQLite file: whoever puts it in place of another finds it held."""
    copy = sqlite3.connect(path)
    try:
        with copy:
            copy.execute(
                "INSERT OR REPLACE INTO deliveries_heldhost (host, reason, since) VALUES (?, ?, ?)",
                (EVERY, RESTORED, timezone.now().strftime("%Y-%m-%d %H:%M:%S.%f")),
            )
    finally:
        copy.close()
