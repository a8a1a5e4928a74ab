"""Every address of the site, as the URL configuration has it, and rows to fill in its ids.

    for address in EVERY:
        client.get(rows.path(address))

An address that is added later is in `EVERY` by itself; where it has ids in it, `ARGUMENTS` must say which, and a test
that walks fails until it does.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success, Task

from configurations.models import Token, WebhookConfig
from deliveries.models import BulkReprocess, Delivery, DeliveryAttempt, EndpointHealth, SamplePost, Tally
from legacy_posts.models import LegacyPost
from sales.models import Seller, Transaction
from tests import factories


@dataclass(frozen=True, order=True)
class Address:
    """`name` is what `reverse()` takes ("deliveries:detail"), `parameters` the names of what stands in its path."""

    name: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        return self.name

    @property
    def is_admins(self) -> bool:
        return self.name.startswith(("admin:", "staff:"))

    @property
    def model(self) -> Any:
        """The model of an admin page ("admin:sales_seller_change"), and None for all others."""
        page = self.name.removeprefix("admin:")
        return next((m for m in admin.site._registry if page.startswith(_prefix(m))), None)

    @property
    def kind(self) -> str:
        """What an admin page does: changelist, add, change, delete, history, import, …"""
        return self.name.removeprefix("admin:").removeprefix(_prefix(self.model))


def _prefix(model: Any) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}_"


def _walk(patterns: list, namespace: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from _walk(pattern.url_patterns, namespace + inner)
        else:
            yield namespace, pattern


def _addresses() -> Iterator[Address]:
    for namespace, pattern in _walk(get_resolver().url_patterns):
        if pattern.name:
            # No converters in a regular expression; there its groups are the parameters.
            names = pattern.pattern.converters or pattern.pattern.regex.groupindex
            yield Address(namespace + pattern.name, tuple(names))


EVERY = sorted(set(_addresses()))
# Without a name, so they cannot be linked to: the admin's redirect of old links, and its "there is no such page".
NAMELESS = [(ns, str(p.pattern)) for ns, p in _walk(get_resolver().url_patterns) if not p.name]


@dataclass
class Rows:
    """Of everything that has an address one, all of them `producer`'s."""

    producer: Seller
    affiliate: Seller
    sale: Transaction
    config: WebhookConfig
    delivery: Delivery
    test: SamplePost
    bulk: BulkReprocess
    sent: LegacyPost
    pending: LegacyPost
    others: dict[type, Any] = field(default_factory=dict)  # {model of the admin: a row}

    @classmethod
    def make(cls, **facts: Any) -> "Rows":
        """`facts` are the configuration's."""
        producer, affiliate = factories.make_seller(), factories.make_seller()
        product = factories.make_product(producer)
        config = factories.make_config(producer, **facts)
        Token.objects.get_or_create(seller=producer)
        subscription = factories.make_subscription(factories.make_plan(product))
        sale = factories.make_sale(product, affiliate=affiliate, subscription=subscription)
        factories.make_cart(product)
        delivery = config.deliveries.get(event__sale=sale)
        attempt = DeliveryAttempt.objects.create(
            delivery=delivery, number=1, started_at=timezone.now(), duration_ms=12, url=config.url,
            request_headers=[["A", "b"]], delivered=False, status=500,
        )  # fmt: skip
        EndpointHealth.objects.update_or_create(config=config, defaults={"failures": 1})
        Tally.objects.create(
            config=config, day=timezone.localdate(), event=delivery.event.type, state="failed", posts=1, attempts=1
        )  # fmt: skip
        test = SamplePost.objects.create(
            config=config, owner=producer, url=config.url, body="{}", type=delivery.event.type,
            version=delivery.version, audience=delivery.audience,
        )  # fmt: skip
        bulk = BulkReprocess.objects.create(
            owner=producer,
            total=1,
            queued_to=None,
            asked_for="some",
            by=producer.user,
            asked_at=timezone.now(),
        )
        sent, pending = (factories.make_legacy_post(producer, kind=kind) for kind in ("sent", "pending"))
        Group.objects.get_or_create(name="readers")
        rows = cls(producer, affiliate, sale, config, delivery, test, bulk, sent, pending)
        rows.others = {type(row): row for row in (producer, sale, config, delivery, attempt, bulk, sent)}
        rows.others |= {model: make(producer) for model, make in OF_OTHER_APPS.items()}
        return rows

    def row_of(self, model: Any) -> Any:
        """A row of `model`: the one made here, or any."""
        return self.others.get(model) or model._default_manager.order_by("pk").first()

    def arguments(self, address: Address) -> list[Any]:
        if not address.parameters:
            return []
        if address.model is not None and address.name not in ARGUMENTS:
            row = self.row_of(address.model)
            assert row is not None, f"{address} is about a row: make one in tests/security/every_address.py."
            return [row.pk]
        make = ARGUMENTS.get(address.name)
        assert make, f"{address} has ids in it: say which in tests/security/every_address.py."
        return make(self)

    def path(self, address: Address) -> str:
        return reverse(address.name, args=self.arguments(address))


def _task(_producer: Seller, *, success: bool) -> Task:
    n = Task.objects.count()
    now = timezone.now()
    return Task.objects.create(
        id=f"task{n}", name=f"task{n}", func="math.sqrt", started=now, stopped=now, success=success
    )


OF_OTHER_APPS: dict[type, Callable[[Seller], Any]] = {
    Success: lambda producer: _task(producer, success=True),
    Failure: lambda producer: _task(producer, success=False),
    Schedule: lambda _producer: Schedule.objects.create(func="math.sqrt", args="4", name="elsewhere"),
    OrmQ: lambda _producer: OrmQ.objects.create(key="elsewhere", payload="x", lock=timezone.now()),
    EmailAddress: lambda producer: EmailAddress.objects.create(user=producer.user, email=producer.email),
}


def _of(*names: str) -> Callable[[Rows], list[Any]]:
    """The attribute at the end of a path of attributes: _of("config", "pk")."""

    def arguments(rows: Rows) -> list[Any]:
        value: Any = rows
        for name in names:
            value = getattr(value, name)
        return [value]

    return arguments


_OF_A_CONFIG = (
    *(f"configurations:{page}" for page in ("edit", "changes", "disable", "remove", "added")),
    *("configurations:secret", "configurations:rotate_secret"),
    *("deliveries:enable", "deliveries:test", "deliveries:backfill"),
)
_OF_A_POST = ("deliveries:detail", "deliveries:panel", "deliveries:curl", "deliveries:reprocess")
ARGUMENTS: dict[str, Callable[[Rows], list[Any]]] = {
    **dict.fromkeys(_OF_A_CONFIG, _of("config", "pk")),
    **dict.fromkeys(_OF_A_POST, _of("delivery", "pk")),
    **dict.fromkeys(("deliveries:test_result", "deliveries:test_part"), _of("test", "pk")),
    **dict.fromkeys(("deliveries:bulk", "deliveries:bulk_part"), _of("bulk", "pk")),
    **dict.fromkeys(("deliveries:timeline", "staff:timeline"), _of("sale", "code")),
    **dict.fromkeys(("legacy_posts:sent_post", "legacy_posts:sent_panel"), _of("sent", "pk")),
    **dict.fromkeys(
        ("legacy_posts:pending_post", "legacy_posts:pending_panel", "legacy_posts:send"), _of("pending", "pk")
    ),
    **dict.fromkeys(("staff:host", "staff:hold", "staff:release"), lambda rows: ["example.com"]),
    "view_as": _of("producer", "pk"),
    "deliveries:code": lambda rows: ["500"],
    "docs_tab:receiver": lambda rows: ["receiver.py"],
    **dict.fromkeys(
        ("docs_tab:signature", "docs_tab:success", "docs_tab:addresses"), lambda rows: [rows.config.version]
    ),
    "docs_tab:event": lambda rows: [rows.config.version, "PURCHASE_APPROVED"],
    **dict.fromkeys(
        ("docs_tab:schema", "docs_tab:sample"),
        lambda rows: [rows.config.version, "PURCHASE_APPROVED", "producer"],
    ),
    "account_reset_password_from_key": lambda rows: ["1", "abc-def"],
    "admin:auth_user_password_change": _of("producer", "user", "pk"),
    "admin:app_list": lambda rows: ["sales"],
    "admin:view_on_site": lambda rows: [ContentType.objects.get_for_model(Seller).pk, rows.producer.pk],
}
