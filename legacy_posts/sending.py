"""A pending post of the former system goes out through the present engine: once, its payload as it was.

It becomes an Event without a snapshot and a Delivery that has its body from the start; from there on it is a post
like any other: tried again, signed, with the present token in its header, to be seen in the History.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from django.db import transaction
from django.db.models import Count
from django.db.models.functions import Now

from configurations import addresses
from configurations.events import Priority
from configurations.models import SECRETS, WebhookConfig
from configurations.models import State as ConfigState
from deliveries import wake
from deliveries.models import NOT_ON, Audience, Delivery, Event
from deliveries.recording import new_delivery
from sales.models import Product, Seller

from .models import Format, LegacyPost, LegacyPostQuerySet

MOST = 5000  # with one press: it is the browser that waits
BATCH = 500  # rows of one short transaction, so that sales go on being recorded meanwhile
URLS = 1000  # different ones that a question looks at


@lru_cache(maxsize=4096)
def canonical(url: str) -> str:
    """What two spellings of one URL have in common; of one that we may not post to, the URL itself."""
    try:
        return addresses.check(url)
    except addresses.Refused:
        return url.strip()


class Destinations:
    """Where a seller's pending posts can go: the configurations that are not removed, in one query."""

    def __init__(self, seller: Seller, chosen: Mapping[str, int] | None = None) -> None:
        """`chosen`: {URL of a post: configuration}, for those with no configuration of the same URL."""
        found = WebhookConfig.objects.not_removed().filter(owner=seller).defer(*SECRETS).in_order()
        self.configs = {config.pk: config for config in found}
        self._chosen = {url: pk for url, pk in (chosen or {}).items() if pk in self.configs}
        self._by_url: dict[str, WebhookConfig] = {}
        # Of several with one URL, the first that is on.
        for config in sorted(self.configs.values(), key=lambda c: (c.state != ConfigState.ON, c.pk)):
            self._by_url.setdefault(canonical(config.url), config)

    def of(self, url: str) -> WebhookConfig | None:
        """The one with the same URL, else the one that was chosen for it."""
        same = self._by_url.get(canonical(url)) if url else None
        return same or self.configs.get(self._chosen.get(url, 0))

    @property
    def choices(self) -> list[WebhookConfig]:
        """Those that can be chosen: they are on."""
        return [config for config in self.configs.values() if config.state == ConfigState.ON]


@dataclass(slots=True)
class Plan:
    """What sending would do: how many posts to which configuration, and for which URLs one must be chosen."""

    sends: Counter[WebhookConfig] = field(default_factory=Counter)
    skips: Counter[WebhookConfig] = field(default_factory=Counter)  # to configurations that are not on
    undecided: Counter[str] = field(default_factory=Counter)  # by URL
    empty: int = 0  # they hold nothing that can be sent any more

    @property
    def count(self) -> int:
        return self.sends.total()


def plan(posts: LegacyPostQuerySet, destinations: Destinations) -> Plan:
    """Of those of `posts` that are still to send; two queries."""
    made = Plan(empty=posts.to_send().filter(format=Format.OTHER).count())
    rows = _sendable(posts).order_by().values_list("url").annotate(n=Count("pk")).order_by("-n", "url")
    for url, count in rows[:URLS]:
        config = destinations.of(url)
        if config is None:
            made.undecided[url] += count
        else:
            (made.sends if config.state == ConfigState.ON else made.skips)[config] += count
    return made


def send_all(posts: LegacyPostQuerySet, destinations: Destinations) -> int:
    """Send up to MOST of `posts`, the oldest first, behind all that is fresh. Returns how many are on their way.

    Those without a configuration, and those whose configuration is not on, stay.
    """
    by_config: dict[int, list[int]] = defaultdict(list)
    for pk, url in _sendable(posts).order_by("occurred_at", "pk").values_list("pk", "url")[:MOST]:
        config = destinations.of(url)
        if config and config.state == ConfigState.ON:
            by_config[config.pk].append(pk)
    sent = 0
    for config_pk, pks in by_config.items():
        for start in range(0, len(pks), BATCH):
            batch = LegacyPost.objects.filter(pk__in=pks[start : start + BATCH])
            try:
                sent += len(send(batch, config_pk, Priority.BACKLOG))
            except Delivery.NotPossible:  # switched off since: what is left stays
                break
    return sent


def send(posts: LegacyPostQuerySet, config: int, priority: Priority | None = None) -> list[Delivery]:
    """Have those of `posts` that are still to send posted to `config`, an id, all in one transaction.

    Of two who do this at once, one finds nothing left to send. `priority`: by default that of each event. Raises
    Delivery.NotPossible if the configuration is not on.
    """
    with transaction.atomic():
        to = WebhookConfig.objects.defer(*SECRETS).get(pk=config)
        if to.state in NOT_ON:
            raise Delivery.NotPossible(NOT_ON[to.state])
        # Whoever is second waits here for the first, and then finds them sent. SQLite locked with the transaction.
        rows = list(
            _sendable(posts).filter(owner=to.owner_id).select_for_update().order_by("occurred_at", "pk")
        )
        if not rows:
            return []
        products = _products(to.owner_id, {post.product_code for post in rows})
        deliveries = [_delivery(post, to, products.get(post.product_code)) for post in rows]
        for post, delivery in zip(rows, deliveries, strict=True):
            if priority is None:
                delivery.next_try_at = (
                    Now()
                )  # due since now, and not since the time of its event: nothing is late
            else:
                delivery.priority = priority
            post.delivery, post.sent_at = delivery, Now()
        Event.objects.bulk_create([delivery.event for delivery in deliveries])
        Delivery.objects.bulk_create(deliveries)
        LegacyPost.objects.bulk_update(rows, ["delivery", "sent_at"])
        transaction.on_commit(wake.wake)
    return deliveries


def _sendable(posts: LegacyPostQuerySet) -> LegacyPostQuerySet:
    return posts.to_send().exclude(format=Format.OTHER)


def _delivery(post: LegacyPost, config: WebhookConfig, product: Product | None) -> Delivery:
    """With its event; neither is saved yet. The body is the payload to its last byte."""
    event = Event(
        type=post.event,
        occurred_at=post.occurred_at,
        snapshot={},
        producer_id=post.owner_id,
        product=product,
        product_name="" if product else post.about,
        transaction_code=post.transaction_code,
        buyer_email=post.buyer_email,
    )
    delivery = new_delivery(event, config, Audience.PRODUCER)
    delivery.version, delivery.body = post.version, post.payload
    return delivery


def _products(owner: int, codes: Iterable[str]) -> dict[str, Product]:
    """{code as the posts write it: the owner's product}"""
    numbers = {code: int(code) for code in codes if code.isascii() and code.isdigit() and len(code) < 19}
    found = Product.objects.filter(owner=owner, code__in=set(numbers.values())).in_bulk(field_name="code")
    return {code: found[number] for code, number in numbers.items() if number in found}
