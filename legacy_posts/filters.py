"""The query string of the lists of old posts, as deliveries.history has it for the History."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from configurations.events import EventType
from deliveries import history
from deliveries.history import RESPONSES as ALL_RESPONSES
from deliveries.words import Words
from sales.models import Seller

from .models import LegacyPost, LegacyPostQuerySet

RESPONSES: Mapping[str, Words] = {name: ALL_RESPONSES[name] for name in ("2xx", "3xx", "4xx", "5xx", "none")}
TO_SEND, SENT = "to_send", "sent"
STATES: Mapping[str, Words] = {TO_SEND: _("To send"), SENT: _("Sent from here")}
HOSTS = 30  # that can be chosen from


class Filters(history.Filters):
    """Of old posts. `notes` and `active` as in the History."""

    def of(self, posts: LegacyPostQuerySet) -> LegacyPostQuerySet:  # type: ignore[override]
        if self.since:
            posts = posts.filter(occurred_at__gte=self.since)
        if self.until:
            posts = posts.filter(occurred_at__lt=self.until)
        if state := self.active.get("state"):
            posts = posts.to_send() if state == TO_SEND else posts.filter(sent_at__isnull=False)
        if response := self.active.get("response"):
            posts = posts.filter(_answered(response))
        if event := self.active.get("event"):
            posts = posts.filter(event=event)
        if host := self.active.get("host"):
            posts = posts.filter(host=host)
        if search := self.active.get("q"):
            posts = posts.filter(_found(search))
        return posts


def read(params: Mapping[str, str], hosts: Iterable[str], now: datetime | None = None) -> Filters:
    """`hosts`: those that may be asked for."""
    filters = Filters(now or timezone.now())
    known = {"state": STATES, "event": EventType.values, "host": set(hosts)}
    history.fill(filters, params, known, _is_response)
    return filters


def _is_response(value: str) -> bool:
    return value in RESPONSES or (value.isascii() and value.isdigit() and len(value) == 3)


def _answered(response: str) -> Q:
    if response == "none":
        return Q(status=None)
    if response.endswith("xx"):
        first = int(response[0]) * 100
        return Q(status__gte=first, status__lt=first + 100)
    return Q(status=int(response))


def _found(search: str) -> Q:
    """A transaction's code or its beginning, the buyer's e-mail, or a part of it or of the product's name."""
    code = search.upper()
    if code.isascii() and code[:2] == "HP" and code[2:].isdigit():
        # Bounds keep to the index, which LIKE does not.
        return Q(transaction_code__gte=code, transaction_code__lte=f"{code}zzzz")
    if history.is_email(search):
        return Q(buyer_email=search.lower())
    return (
        Q(buyer_email__istartswith=search)
        | Q(product_name__icontains=search)
        | Q(product_code=search)
        | Q(transaction_code=search)
    )


def hosts_of(seller: Seller, kind: str) -> list[str]:
    """The hosts that the seller's posts went to, in order, at most HOSTS.

    It leaps from host to host along the index; DISTINCT would read each of a million rows.
    """
    table = connection.ops.quote_name(LegacyPost._meta.db_table)
    # ruff: noqa: S608  the only thing put into it is the table's own name
    # No MIN(): where PostgreSQL has no statistics yet it would read them all for that.
    of_seller = f"SELECT host FROM {table} WHERE owner_id = %s AND kind = %s AND host >"
    leap = f"""
        WITH RECURSIVE leap(host) AS (
            SELECT ({of_seller} '' ORDER BY host LIMIT 1)
            UNION ALL
            SELECT ({of_seller} leap.host ORDER BY host LIMIT 1) FROM leap WHERE leap.host IS NOT NULL
        )
        SELECT host FROM leap WHERE host IS NOT NULL LIMIT %s
    """
    with connection.cursor() as cursor:
        cursor.execute(leap, [seller.pk, kind, seller.pk, kind, HOSTS])
        return [host for (host,) in cursor.fetchall()]
