"""What deliveries hears: of sales, what is to be posted, or erased; of configurations, what becomes of that."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from configurations.models import WebhookConfig
from configurations.signals import configuration_disabled, configuration_enabled, configuration_removed
from sales.models import AbandonedCart, StatusChange
from sales.privacy import Buyer, Held
from sales.signals import (
    buyer_asked,
    buyer_redacted,
    cart_abandoned,
    subscription_changed,
    transaction_status_changed,
)
from sales.subscriptions import SubscriptionChange

from . import apart, disabling, privacy
from .models import Delivery
from .recording import record_carts, record_events, record_subscription_changes


@receiver(transaction_status_changed)
def post_status_changes(changes: list[StatusChange], **_: Any) -> None:
    record_events(changes)


@receiver(cart_abandoned)
def post_carts(carts: list[AbandonedCart], **_: Any) -> None:
    record_carts(carts)


@receiver(subscription_changed)
def post_subscription_changes(changes: list[SubscriptionChange], **_: Any) -> None:
    record_subscription_changes(changes)


@receiver(buyer_asked)
def tell_of_buyer(buyer: Buyer, **_: Any) -> list[Held]:
    return privacy.hold_on(buyer)


@receiver(buyer_redacted)
def erase_buyer(buyer: Buyer, **_: Any) -> dict[str, int]:
    return privacy.redact(buyer)


@receiver(post_save, sender=WebhookConfig)
def keep_to_its_rate(instance: WebhookConfig, **_: Any) -> None:
    """So that what arises from now on waits apart. Once the limit is gone, a drain ends the queue."""
    if "posts_per_second" not in instance.get_deferred_fields() and instance.posts_per_second:
        apart.begin([instance.pk])


@receiver(configuration_disabled)
def hold_what_waits(config: WebhookConfig, **_: Any) -> None:
    """It stays held until the owner says what becomes of it; what is in flight ends as it began."""
    Delivery.objects.filter(config=config).hold()
    disabling.config_disabled(config)


@receiver(configuration_enabled)
def start_with_a_clean_sheet(config: WebhookConfig, **_: Any) -> None:
    disabling.config_enabled(config)


@receiver(configuration_removed)
def discard_what_is_unsent(config: WebhookConfig, **_: Any) -> None:
    Delivery.objects.filter(config=config).discard()
