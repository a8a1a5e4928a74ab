"""Rows for tests: `make_sale()` and the like fill in whatever a test does not care about."""

from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from configurations.events import BY_TYPE
from configurations.models import WebhookConfig
from legacy_posts.models import LegacyImport, LegacyPost
from sales.models import (
    AbandonedCart,
    Plan,
    Product,
    Seller,
    Subscription,
    Transaction,
    record_status_changes,
)
from sales.statuses import SaleStatus, SubscriptionStatus

_numbers = count(1)
PASSWORD = "a-long-enough-one"


def make_seller(*, login: bool = True, **facts: Any) -> Seller:
    n = next(_numbers)
    facts = {
        "code": f"S{n:07}",
        "name": f"Seller {n}",
        "email": f"seller{n}@example.com",
        "language": "en",
    } | facts
    if login:
        facts.setdefault(
            "user", get_user_model().objects.create_user(facts["email"], facts["email"], PASSWORD)
        )
    return Seller.objects.create(**facts)


def make_staff(group: str = "", **facts: Any) -> Any:
    """A superuser; with a group, a member of it with no further right."""
    n = next(_numbers)
    email = f"staff{n}@example.com"
    if not group:
        return get_user_model().objects.create_superuser(email, email, PASSWORD, **facts)
    user = get_user_model().objects.create_user(email, email, PASSWORD, is_staff=True, **facts)
    user.groups.add(Group.objects.get(name=group))
    return user


def make_product(owner: Seller | None = None, **facts: Any) -> Product:
    n = next(_numbers)
    return Product.objects.create(
        **{"code": 4_100_000 + n, "name": f"Course {n}", "owner": owner or make_seller()} | facts
    )


def sale(product: Product, **facts: Any) -> Transaction:
    """Not saved yet."""
    n = next(_numbers)
    now = timezone.now()
    return Transaction(
        **{
            "code": f"HP{1_000_000_000 + n}",
            "product": product,
            "status": SaleStatus.APPROVED,
            "ordered_at": now,
            "approved_at": now,
            "warranty_until": now + timedelta(days=7),
            "buyer_name": "João Nuñes 漢字 🎓",
            "buyer_email": f"buyer{n}@example.com",
            "price": Decimal("147.00"),
            "offer_code": "ab12cd34",
        }
        | facts
    )


def make_sale(product: Product | None = None, **facts: Any) -> Transaction:
    made = sale(product or make_product(), **facts)
    made.save()
    return made


def make_sales(product: Product, count: int, **facts: Any) -> list[Transaction]:
    """Many at once, as an import writes them."""
    return record_status_changes([sale(product, **facts) for _ in range(count)]).created


def make_cart(product: Product | None = None, **facts: Any) -> AbandonedCart:
    n = next(_numbers)
    return AbandonedCart.objects.create(
        **{
            "product": product or make_product(),
            "buyer_name": "Ana Lima",
            "buyer_email": f"cart{n}@example.com",
        }
        | facts
    )


def make_plan(product: Product | None = None, **facts: Any) -> Plan:
    n = next(_numbers)
    return Plan.objects.create(
        **{
            "code": 700_000 + n,
            "product": product or make_product(),
            "name": "Plano Mensal",
            "price": Decimal("49.90"),
            "offer_code": "pl7mens1",
        }
        | facts
    )


def subscription(plan: Plan, **facts: Any) -> Subscription:
    """Not saved yet."""
    n = next(_numbers)
    return Subscription(
        **{
            "subscriber_code": f"QX{n:06}",
            "product": plan.product,
            "plan": plan,
            "status": SubscriptionStatus.ACTIVE,
            "name": "Marina Peixoto",
            "email": f"subscriber{n}@example.com",
            "next_charge_at": timezone.now() + timedelta(days=30),
            "charge_day": 8,
            "last_recurrence_number": 2,
        }
        | facts
    )


def make_subscription(plan: Plan | None = None, **facts: Any) -> Subscription:
    made = subscription(plan or make_plan(), **facts)
    made.save()
    return made


def make_config(owner: Seller | None = None, **facts: Any) -> WebhookConfig:
    n = next(_numbers)
    return WebhookConfig.objects.create(
        **{
            "owner": owner or make_seller(),
            "name": f"Configuration {n}",
            "url": "https://example.com/hook",
            "events": [str(type_) for type_ in BY_TYPE],
        }
        | facts
    )


def legacy_post(owner: Seller, **facts: Any) -> LegacyPost:
    """Not saved yet; pending with `kind="pending"`."""
    n = next(_numbers)
    return LegacyPost(
        **{
            "owner": owner,
            "kind": "sent",
            "identity": f"id:{n}",
            "occurred_at": timezone.now() - timedelta(days=400, minutes=n),
            "event": "PURCHASE_APPROVED",
            "transaction_code": f"HP{2_000_000_000 + n}",
            "product_name": "Pottery at home",
            "buyer_email": f"old{n}@example.com",
            "url": "https://old.example.com/hook",
            "host": "old.example.com",
            "payload": f'{{"n":  {n}, "name": "João 漢字 🎓"}}',
            "format": "json",
            "version": "2.0.0",
            "tries": 1,
        }
        | facts
    )


def make_legacy_posts(owner: Seller, count: int = 1, **facts: Any) -> list[LegacyPost]:
    source = LegacyImport.objects.create(file_name="old.csv", encoding="utf-8", finished_at=timezone.now())
    return LegacyPost.objects.bulk_create([legacy_post(owner, source=source, **facts) for _ in range(count)])


def make_legacy_post(owner: Seller, **facts: Any) -> LegacyPost:
    return make_legacy_posts(owner, **facts)[0]
