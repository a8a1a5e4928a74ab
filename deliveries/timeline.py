"""What was posted for a sale, and why, or why not: as it was decided when each event arose, and as it is today."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from configurations.events import BY_STATUS, BY_TYPE
from configurations.models import Mismatch, WebhookConfig
from configurations.models import State as ConfigState
from sales import privacy
from sales.models import Seller, Transaction

from . import contract, relevance, retention, wake
from .explain import explain
from .models import NOT_ON, REDACTED, Audience, Delivery, Event, State
from .recording import new_delivery, why_not
from .words import Explanation, Words


class Unlisted(models.TextChoices):
    """Why an event that says nothing of a configuration was not posted to it."""

    LATER = "later", _("The configuration was added later.")
    REMOVED = "removed", _("The configuration had been removed.")
    NOT_YOURS = "not_yours", _("The sale was not its owner's when this happened.")
    UNKNOWN = "unknown", _("It was not kept why.")


REASONS: dict[str, Words] = {**dict(Mismatch.choices), **dict(Unlisted.choices)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event for one configuration."""

    config: WebhookConfig
    delivery: Delivery | None
    reason: str  # of Mismatch or Unlisted; empty where it matched
    since: datetime | None  # when what the reason says came about, where that is known
    today: Words  # what is different by now; empty where nothing is
    can_send: bool

    @property
    def why(self) -> Words:
        return REASONS.get(self.reason, "")

    @property
    def outcome(self) -> Explanation | None:
        post = self.delivery
        if post is None:
            return None
        arrived = post.state == State.DELIVERED
        return explain(post.last_status, post.last_problem, page=post.answered_page, delivered=arrived)


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the sale. `gone` are the verdicts of configurations that had been removed by then."""

    event: Event
    verdicts: list[Verdict]
    gone: list[Verdict]

    @property
    def warning(self) -> Words:
        """Why it had better not be sent any more."""
        return relevance.words(self.event.relevance, self.event.type)

    @property
    def posted(self) -> int:
        return sum(verdict.delivery is not None for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Timeline:
    sale: Transaction
    happened: list[Happened]
    is_announced: bool  # whether any event announces the present status
    is_silent: bool  # its status is announced by an event, which there is none of: changed without posting
    may_lack: bool  # what happened to the sale first may have been deleted for its age
    whole: bool  # asked by staff: of everybody's configurations
    names_buyer: bool

    @property
    def buyer_is_erased(self) -> bool:
        return self.sale.buyer_email.endswith(f"@{privacy.DOMAIN}")

    @property
    def moves(self) -> bool:
        """Whether a post of it is on its way."""
        posts = [v.delivery for entry in self.happened for v in entry.verdicts if v.delivery]
        return any(post.state in (State.WAITING, State.SENDING) for post in posts)


def sees_all(user: Any) -> bool:
    """Staff who may see every post in the admin may ask of every sale."""
    return bool(user.is_staff and user.has_perm("deliveries.view_delivery"))


def find(code: str, user: Any) -> Transaction | None:
    """The sale with that code if `user` may ask about it: they sold it, brought it, or were told of it."""
    if "\0" in code:
        return None
    sales = Transaction.objects.filter(code=code).select_related("product__owner", "affiliate")
    if not sees_all(user):
        seller = Seller.objects.filter(user=user).values("pk")[:1]
        told = Delivery.objects.filter(event__sale=OuterRef("pk"), owner=seller)
        sales = sales.filter(Q(product__owner=seller) | Q(affiliate=seller) | Exists(told))
    return sales.first()


def of(sale: Transaction, user: Any) -> Timeline:
    """The sale's events in order, each with what became of it for every configuration that `user` may see."""
    whole = sees_all(user)
    events = list(events_of(sale))
    posts = Delivery.objects.filter(event__in=[event.pk for event in events]).defer("body")
    if not whole:
        posts = posts.visible_to(user)
    by_key = {(post.event_id, post.config_id): post for post in posts}
    configs = _configurations(sale, events, by_key.values(), user)
    last = next((event.type for event in reversed(events) if BY_TYPE[event.type].status), None)
    announced = BY_STATUS.get(sale.status)
    seller = None if whole else Seller.objects.filter(user=user).first()
    may_lack = bool(settings.HISTORY_RETENTION_DAYS) and sale.ordered_at < retention.limit()
    return Timeline(
        sale,
        [_happened(event, configs, by_key) for event in events],
        is_announced=announced is not None,
        is_silent=announced is not None and announced.type != last and not may_lack,
        may_lack=may_lack,
        whole=whole,
        names_buyer=whole or sale.product.owner_id == seller.pk or sale.product.shares_buyers,
    )


def send(event: Event, config: WebhookConfig) -> Delivery:
    """Post `event` to `config` after all, from its snapshot. Its reason why not stays with it as evidence.

    Raises Delivery.NotPossible where the configuration is not on, where its format has no such post for its
    owner, where the buyer's data were erased, or where the event was posted to it already: who asks twice sends
    once.
    """
    audience = event.audience_of(config.owner)
    if event.redacted_at:
        raise Delivery.NotPossible(REDACTED)
    if config.state in NOT_ON:
        raise Delivery.NotPossible(NOT_ON[config.state])
    if audience is None or not contract.sends(config.version, event.type, audience):
        raise Delivery.NotPossible(_("This configuration cannot be sent this event."))
    delivery = new_delivery(event, config, audience)
    with transaction.atomic():
        Delivery.objects.bulk_create([delivery], ignore_conflicts=True)
        sent = Delivery.objects.filter(webhook_id=delivery.webhook_id).first()
        if sent is None:
            raise Delivery.NotPossible(_("This event was sent to the configuration already."))
        transaction.on_commit(wake.wake)
    return sent


def config_for(pk: int, event: Event, user: Any) -> WebhookConfig | None:
    """The configuration that `user` may send `event` to: their own; for staff who may, any that it concerns."""
    configs = WebhookConfig.objects.select_related("owner")
    if sees_all(user) and user.has_perm("deliveries.reprocess_delivery"):
        config = configs.filter(pk=pk).first()
        return config if config and event.audience_of(config.owner) else None
    return configs.filter(pk=pk, owner__user=user).first()


def events_of(sale: Transaction) -> models.QuerySet[Event]:
    """The sale's, and those of the subscription that it is a charge of; oldest first."""
    its = Q(sale=sale)
    if sale.subscription_id:
        its |= Q(subscription=sale.subscription_id)
    events = Event.objects.filter(its).annotate(relevance=relevance.of_events(timezone.now()))
    return events.order_by("occurred_at", "pk")


def _configurations(
    sale: Transaction, events: list[Event], posts: Iterable[Delivery], user: Any
) -> list[WebhookConfig]:
    """All that are asked about, removed ones too; without their secrets."""
    owners = {sale.product.owner_id, sale.affiliate_id} | {event.producer_id for event in events}
    owners |= {post.owner_id for post in posts}
    configs = WebhookConfig.objects.filter(owner__in=owners - {None})
    if not sees_all(user):
        configs = configs.filter(owner__user=user)
    facts = ("name", "url", "events", "product", "version", "state", "state_changed_at", "created_at")
    owner = ("owner__code", "owner__name")
    return list(configs.select_related("owner").only(*facts, *owner).order_by("owner__name", "name", "pk"))


def _happened(event: Event, configs: list[WebhookConfig], posts: dict[tuple[Any, int], Delivery]) -> Happened:
    verdicts = [_verdict(event, config, posts.get((event.pk, config.pk))) for config in configs]
    gone = [verdict for verdict in verdicts if _says_nothing(verdict)]
    return Happened(event, [verdict for verdict in verdicts if verdict not in gone], gone)


def _says_nothing(verdict: Verdict) -> bool:
    """Removed before the event, or added and removed since: kept apart, since nobody asks for it first."""
    removed = verdict.config.state == ConfigState.REMOVED
    return removed and verdict.delivery is None and verdict.reason in (Unlisted.REMOVED, Unlisted.LATER)


def _verdict(event: Event, config: WebhookConfig, delivery: Delivery | None) -> Verdict:
    audience = event.audience_of(config.owner)
    reason, since = _reason(event, config, audience, delivery)
    can_send = (
        delivery is None
        and not event.redacted_at
        and audience is not None
        and config.state == ConfigState.ON
        and contract.sends(config.version, event.type, audience)
    )
    today = _today(event, config, audience, reason if delivery is None else None)
    return Verdict(config, delivery, reason, since, today, can_send)


def _reason(
    event: Event, config: WebhookConfig, audience: Audience | None, delivery: Delivery | None
) -> tuple[str, datetime | None]:
    """Why the event was not posted to the configuration when it arose, and since when that was so."""
    changed = config.state_changed_at if config.state_changed_at <= event.occurred_at else None
    if reason := event.mismatches.get(str(config.pk)):
        return reason, changed if reason == Mismatch.OFF and config.state == ConfigState.OFF else None
    if config.created_at > event.occurred_at:
        return Unlisted.LATER, config.created_at
    if delivery is not None:
        return "", None
    if audience is None:
        return (Mismatch.AFFILIATE if event.subscription_id else Unlisted.NOT_YOURS), None
    if config.state == ConfigState.REMOVED and changed:
        return Unlisted.REMOVED, changed
    return Unlisted.UNKNOWN, None


_STATE_NOW = {
    ConfigState.OFF: (Mismatch.OFF, _("It is switched off today.")),
    ConfigState.DISABLED: ("", _("It is disabled by us today.")),
    ConfigState.REMOVED: (Unlisted.REMOVED, _("It was removed since.")),
}


def _today(event: Event, config: WebhookConfig, audience: Audience | None, reason: str | None) -> Words:
    """What is different by now. `reason` is why it was not posted; None where it was."""
    if event.redacted_at:
        return _("The buyer's data were erased since, so it is not posted any more.")
    if config.state in _STATE_NOW:
        same, words = _STATE_NOW[config.state]
        return "" if reason == same else words
    if reason is None or audience is None:
        return ""
    now = why_not(event, config, audience)
    if now is None:
        return _("Today it would be posted.")
    return "" if now == reason else format_lazy(_("Today: {why}"), why=now.label)


def is_code(text: str) -> bool:
    """Whether it looks like a transaction's code."""
    return text[:2].upper() == "HP" and text[2:].isascii() and text[2:].isdigit()
