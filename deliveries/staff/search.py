"""One search for whatever staff hold in their hands: a code, an id, an e-mail address, a host or a URL.

What it may be is told by how it is spelt; then it is looked up whole, by an index.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from configurations.addresses import host_of
from configurations.models import WebhookConfig
from deliveries.models import CONFIG_SECRETS, Delivery, Event
from deliveries.words import Words
from sales.models import AbandonedCart, Seller, Transaction

from .kit import SEES_CONFIGS, SEES_POSTS, list_url

MOST = 20  # hits shown of a kind
_HOST = re.compile(r"[^\s@/]+\.[^\s@/]+|\[?[0-9a-f:]*:[0-9a-f:]+\]?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    label: Words
    url: str
    note: Words = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Hits of one kind. `all_url` is the list of them all, empty where the hits are all there are."""

    title: Words
    hits: Sequence[Hit]
    all_url: str = ""

    @property
    def opens(self) -> str:
        """Where one goes who found nothing else."""
        return self.hits[0].url if len(self.hits) == 1 else self.all_url


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that can be searched for: how it is spelt, which right its pages ask for, how it is found."""

    name: Words
    example: str
    permission: str
    reads: Callable[[str], bool]
    find: Callable[[str, Any], Iterator[Group]]


@dataclass(frozen=True, slots=True)
class Found:
    text: str
    groups: list[Group]
    looked_for: list[Kind]  # what it may have been
    not_allowed: list[Kind]  # what it may be too, and the right is missing for


def find(text: str, user: Any) -> Found:
    text = text.replace("\0", "").strip()
    kinds = [kind for kind in KINDS if text and kind.reads(text)]
    allowed = [kind for kind in kinds if user.has_perm(kind.permission)]
    groups = [group for kind in allowed for group in kind.find(text, user) if group.hits]
    return Found(text, groups, allowed, [kind for kind in kinds if kind not in allowed])


# --- How each is spelt ---------------------------------------------------------------------------------


def _is_code(text: str) -> bool:
    return len(text) <= 20 and text.isascii() and text.isalnum()


def _is_webhook_id(text: str) -> bool:
    return text.lower().startswith("msg_") and len(text) <= 40


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _is_email(text: str) -> bool:
    return "@" in text and "://" not in text and len(text) <= 254


def _is_host(text: str) -> bool:
    return bool(_host(text))


def _host(text: str) -> str:
    """Of a URL, with or without its scheme, or of a bare host; empty where it is none."""
    if "://" in text:
        return host_of(text)
    authority = text.partition("/")[0]
    if not _HOST.fullmatch(authority):
        return ""
    bare_ipv6 = authority.count(":") > 1 and not authority.startswith("[")
    return host_of(f"https://[{authority}]/" if bare_ipv6 else f"https://{authority}/")


def _spellings(text: str) -> list[str]:
    return list(dict.fromkeys((text, text.lower())))


# --- How each is found ---------------------------------------------------------------------------------


def _sales(text: str, user: Any) -> Iterator[Group]:
    code = text.upper()
    codes = [text, code, f"HP{code}"] if code.isdigit() else [text, code]
    sales = Transaction.objects.filter(code__in=codes).select_related("product").only(*_SALE)
    yield Group(_("Sales"), [_sale(sale) for sale in sales])


_SALE = ("code", "status", "buyer_name", "product__name")


def _sale(sale: Transaction) -> Hit:
    note = f"{sale.get_status_display()} · {sale.product.name} · {sale.buyer_name}"
    return Hit(sale.code, reverse("staff:timeline", args=[sale.code]), note)


def _sellers_by_code(text: str, user: Any) -> Iterator[Group]:
    yield from _sellers(Q(code__in=(text, text.upper())))


def _sellers_by_email(text: str, user: Any) -> Iterator[Group]:
    yield from _sellers(Q(email__in=_spellings(text)))


def _sellers(which: Q) -> Iterator[Group]:
    sellers = Seller.objects.filter(which)[:MOST]
    url = "admin:sales_seller_change"
    yield Group(
        _("Sellers"),
        [
            Hit(seller.name, reverse(url, args=[seller.pk]), f"{seller.code} · {seller.email}")
            for seller in sellers
        ],
    )


def _posts_by_id(text: str, user: Any) -> Iterator[Group]:
    yield Group(_("Posts"), [_post(post) for post in _posts().filter(webhook_id=text.lower())])


def _posts() -> Any:
    posts = Delivery.objects.select_related("event", "config")
    return posts.defer("body", "event__snapshot", "event__mismatches", *CONFIG_SECRETS)


def _post(post: Delivery) -> Hit:
    note = f"{post.get_state_display()} · {post.config.name} · {post.created_at:%Y-%m-%d %H:%M} UTC"
    return Hit(str(post.event), reverse("admin:deliveries_delivery_change", args=[post.pk]), note)


def _events(text: str, user: Any) -> Iterator[Group]:
    events = Event.objects.filter(pk=UUID(text)).defer("snapshot", "mismatches")
    url = "admin:deliveries_event_change"
    yield Group(
        _("Events"), [Hit(str(event), reverse(url, args=[event.pk]), event.buyer_email) for event in events]
    )


def _carts(text: str, user: Any) -> Iterator[Group]:
    carts = AbandonedCart.objects.filter(code=UUID(text)).select_related("product")
    url = "admin:sales_abandonedcart_change"
    yield Group(
        _("Abandoned carts"),
        [Hit(cart.buyer_email, reverse(url, args=[cart.pk]), cart.product.name) for cart in carts],
    )


def _posts_of_buyer(text: str, user: Any) -> Iterator[Group]:
    """The newest; where nothing was posted about the buyer's sales, those themselves."""
    spelt = _spellings(text)
    events = Event.objects.filter(buyer_email__in=spelt)
    posts = list(_posts().filter(event__in=events.values("pk")).newest_first()[:MOST])
    if posts:
        url = list_url(user, "deliveries_delivery", event__buyer_email__exact=posts[0].event.buyer_email)
        yield Group(_("Posts about this buyer"), [_post(post) for post in posts], url)
        return
    sales = Transaction.objects.filter(buyer_email__in=spelt).select_related("product").only(*_SALE)
    hits = [_sale(sale) for sale in sales.order_by("-ordered_at", "-pk")[:MOST]]
    yield Group(_("Sales to this buyer"), hits, list_url(user, "sales_transaction", buyer_email__exact=text))


def _hosts(text: str, user: Any) -> Iterator[Group]:
    host = _host(text)
    if WebhookConfig.objects.filter(host=host).exists():
        yield Group(_("Hosts"), [Hit(host, reverse("staff:host", args=[host]))])


KINDS = (
    Kind(_("the code of a transaction"), "HP1121336654", SEES_POSTS, _is_code, _sales),
    Kind(_("the code of a seller"), "P10000001", "sales.view_seller", _is_code, _sellers_by_code),
    Kind(_("the id of a post (webhook-id)"), "msg_…", SEES_POSTS, _is_webhook_id, _posts_by_id),
    Kind(_("the id of an event"), "6f9619ff-…", "deliveries.view_event", _is_uuid, _events),
    Kind(_("the id of an abandoned cart"), "1b4e28ba-…", "sales.view_abandonedcart", _is_uuid, _carts),
    Kind(_("the e-mail address of a buyer"), "ana@example.com", SEES_POSTS, _is_email, _posts_of_buyer),
    Kind(_("the e-mail address of a seller"), "ana@example.com", "sales.view_seller", _is_email, _sellers_by_email),
    Kind(_("a host or a URL that is posted to"), "hooks.example.com", SEES_CONFIGS, _is_host, _hosts),
)  # fmt: skip
