"""Posts as a table to take away: what the columns are, and how they are read, for the page and the command.

They are read in the History's order by its key, some hundred at a time, so that a million costs no more memory than
ten, and nobody holds a transaction open while somebody downloads.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import urlsplit

from django.db.models import OuterRef, Subquery
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from . import history, pages, posting
from .models import CONFIG_SECRETS, Audience, Delivery, DeliveryAttempt, DeliveryQuerySet
from .words import Words

CHUNK = 1000  # posts of one query; those with payloads are some kB each
CHUNK_WITH_PAYLOADS = 100


@dataclass(frozen=True, slots=True)
class Column:
    """`get` gives what a program reads; `show`, where it differs, what a person reads."""

    name: str
    label: Words
    get: Callable[[Delivery], Any]
    show: Callable[[Delivery], Any] | None = None


def _local(get: Callable[[Delivery], datetime | None]) -> Callable[[Delivery], Any]:
    """In the page's zone, and as spreadsheets know times."""

    def show(post: Delivery) -> str | None:
        at = get(post)
        return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else None

    return show


def _moment(name: str, label: Words) -> Column:
    def get(post: Delivery) -> datetime | None:
        at = getattr(post, name)
        return at.astimezone(UTC) if at else None

    return Column(name, label, get, _local(get))


def _host(post: Delivery) -> str:
    """Not the whole URL: receivers put their keys into it."""
    return urlsplit(post.config.url).hostname or ""


def _payload(post: Delivery) -> str:
    return posting.without_token(post.body.encode()).decode()


def _response(post: Delivery) -> str | None:
    """Of the last attempt; None before the first. What cannot be decoded stands there as \\xNN."""
    body = post.last_response
    return None if body is None else bytes(body).decode("utf-8", "backslashreplace")


COLUMNS = (
    Column("webhook_id", "webhook-id", lambda p: p.webhook_id),
    _moment("created_at", _("Time")),
    Column("status", _("Status"), lambda p: p.state, lambda p: p.get_state_display()),
    Column("event", _("Event"), lambda p: p.event.type, lambda p: p.event.get_type_display()),
    Column("transaction", _("Transaction"), lambda p: p.event.transaction_code),
    Column("product_code", _("Product code"), lambda p: p.event.product and p.event.product.code),
    Column("product", _("Product"), lambda p: p.event.about),
    Column("buyer_name", _("Buyer"), lambda p: pages.buyer_of(p)[0]),
    Column("buyer_email", _("Buyer’s e-mail"), lambda p: pages.buyer_of(p)[1]),
    Column("amount", _("Amount"), lambda p: p.event.amount),
    Column("currency", _("Currency"), lambda p: p.event.currency),
    Column("configuration", _("Configuration"), lambda p: p.config.name),
    Column("host", _("Host"), _host),
    Column("copy", _("Whose copy"), lambda p: p.audience, lambda p: Audience(p.audience).label),
    Column("version", _("Version"), lambda p: p.version),
    Column("http_status", _("Response"), lambda p: p.last_status),
    Column("problem", _("Problem"), lambda p: p.last_problem, lambda p: p.get_last_problem_display()),
    Column("tries", _("Tries"), lambda p: p.tries),
    Column("attempts", _("Attempts"), lambda p: p.attempts_made),
    _moment("next_try_at", _("Next try")),
    _moment("finished_at", _("Finished")),
)
# Of whoever exports the posts of many.
OWNER = (
    Column("owner_code", _("Owner’s code"), lambda p: p.owner.code),
    Column("owner", _("Owner"), lambda p: p.owner.name),
    Column("configuration_id", _("Number of the configuration"), lambda p: p.config_id),
)
PAYLOADS = (
    Column("payload", _("Payload"), _payload),
    Column("response", _("Answer"), _response),
)


def facts(post: Delivery, columns: Sequence[Column]) -> dict[str, Any]:
    """The row as a program reads it."""
    return {column.name: column.get(post) for column in columns}


def table(posts: DeliveryQuerySet, columns: Sequence[Column]) -> tuple[list[str], Iterator[list[Any]]]:
    """Header and rows as a person reads them, in the language and the zone of now, whenever they are iterated."""
    header = [str(column.label) for column in columns]
    return header, _shown(posts, columns, translation.get_language(), timezone.get_current_timezone())


def _shown(
    posts: DeliveryQuerySet, columns: Sequence[Column], language: str | None, zone: tzinfo
) -> Iterator[list[Any]]:
    """A page is streamed when its request is over, and with it the request's language and zone."""
    for chunk in chunks(posts):
        with translation.override(language), timezone.override(zone):
            rows = [[str(_cell(post, column)) for column in columns] for post in chunk]
        yield from rows


def _cell(post: Delivery, column: Column) -> Any:
    value = (column.show or column.get)(post)
    return "" if value is None else value


def chunks(posts: DeliveryQuerySet, *, payloads: bool = False) -> Iterator[list[Delivery]]:
    """The posts, newest first, with all that the columns ask for; those with payloads are fewer at a time.

    What is written meanwhile is not among them.
    """
    posts, after = _with_facts(posts, payloads=payloads).newest_first(), None
    size = CHUNK_WITH_PAYLOADS if payloads else CHUNK
    while True:
        chunk = list((posts if after is None else history.older_than(posts, after))[:size])
        if chunk:
            yield chunk
        if len(chunk) < size:
            return
        after = chunk[-1].created_at, chunk[-1].pk


def _with_facts(posts: DeliveryQuerySet, *, payloads: bool) -> DeliveryQuerySet:
    posts = posts.select_related("event__product", "config", "owner")
    unread = ["event__snapshot", "event__mismatches", "config__events", *CONFIG_SECRETS]
    if not payloads:
        return posts.defer("body", *unread)
    last = DeliveryAttempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
    return posts.defer(*unread).annotate(last_response=Subquery(last.values("response_body")[:1]))
