"""Hold a host, so that nothing more is posted there, and release it again. Both are kept in the audit log.

Of what is on its way at that moment, it ends as it began.
"""

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy as _

from configurations.models import WebhookConfig
from sales import audit

from . import wake
from .held import EVERY
from .models import Delivery, DeliveryQuerySet, HeldHost, State

BATCH = 1000  # rows made due at once

audit.track_facts(HeldHost)
audit.FACTS |= {
    "host_held": _("The host was held: %(reason)s"),
    "host_released": _("The host was released. %(note)s"),
}


class NotPossible(Exception):
    """Somebody else was quicker."""


def hold(host: str, reason: str, by: AbstractBaseUser) -> HeldHost:
    """Raises NotPossible if it is held already."""
    try:
        with transaction.atomic():
            held = HeldHost.objects.create(host=host, reason=reason, by=by)
            audit.note(held, "host_held", reason=reason)
    except IntegrityError:
        raise NotPossible(host) from None
    return held


def release(host: str, note: str = "") -> int:
    """What waits is due at once, its tries as they stand. Returns how many there are; raises NotPossible."""
    with transaction.atomic():
        held = HeldHost.objects.select_for_update().filter(host=host).first()
        if held is None:
            raise NotPossible(host)
        audit.note(held, "host_released", note=note)
        held.delete()
    released = _make_due(waiting_for(host))
    transaction.on_commit(wake.wake)
    return released


def waiting_for(host: str) -> DeliveryQuerySet:
    """By the index of what waits: by that of the configurations, all that was ever posted there would be read."""
    there = WebhookConfig.objects.filter(pk=OuterRef("config"), host=host)
    return Delivery.objects.filter(Exists(there), state=State.WAITING)


def _make_due(waiting: DeliveryQuerySet) -> int:
    """A batch in each statement, so that nobody waits long for his turn to write."""
    pks = list(waiting.values_list("pk", flat=True))
    for start in range(0, len(pks), BATCH):
        batch = Delivery.objects.filter(pk__in=pks[start : start + BATCH], state=State.WAITING)
        batch.exclude(next_try_at=None).update(next_try_at=None)
    return len(pks)


def held_hosts_of(configs: Iterable[WebhookConfig]) -> dict[str, HeldHost]:
    """{host: its hold} of these configurations' hosts, in one query; where all sending is held, of each of them that."""
    hosts = {config.host for config in configs} - {""}
    if not settings.SEND_POSTS:
        return dict.fromkeys(hosts, HeldHost.everything())
    found = {held.host: held for held in HeldHost.objects.filter(host__in={EVERY, *hosts})}
    return dict.fromkeys(hosts, found[EVERY]) if EVERY in found else found
