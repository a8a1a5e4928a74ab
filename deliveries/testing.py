"""Send a test: an invented event is posted once to a configuration's URL, so that its owner sees what comes of it.

It is rendered, signed and sent as a real post is, by a worker, whatever the state of the configuration, and never
again. It is recognisable by what it says: the transaction HP0000000000 or the cart CT0000000000, of the buyer
test@example.com. No key is added, since a receiver might trip over it.
"""

import logging
import time
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_q.tasks import async_task

from configurations.events import BY_TYPE, EventType
from configurations.models import State as ConfigState
from configurations.models import WebhookConfig
from sales.models import Product

from . import contract, engine, posting, retries, wake
from .contract import samples, snapshot
from .contract.subscription import ChangedSubscription
from .explain import explain
from .models import CONFIG_SECRETS, Audience, Delivery, Event, HeldHost, SamplePost
from .results import Result, ours
from .words import Explanation

logger = logging.getLogger(__name__)

BUYER_NAME, BUYER_EMAIL = "Teste João Test", "test@example.com"
# By what a sample is: the facts that tell whoever reads the post that it is a test.
MARKS: dict[type, dict[str, str]] = {
    snapshot.Sale: {"code": "HP0000000000", "buyer_name": BUYER_NAME, "buyer_email": BUYER_EMAIL},
    snapshot.Cart: {"code": "CT0000000000", "buyer_name": BUYER_NAME, "buyer_email": BUYER_EMAIL},
    ChangedSubscription: {"name": BUYER_NAME, "email": BUYER_EMAIL},
}

JOB = "deliveries.tasks.send_test"
MOST, WITHIN = 10, timedelta(minutes=1)  # tests of one seller
SLOW = timedelta(seconds=5)  # so long it may wait for a worker before anybody is told
EXPIRES = timedelta(minutes=5)  # after that, nobody waits for its result any more
LOST = timedelta(seconds=settings.DELIVERY_DEADLINE) + timedelta(seconds=15)  # in which a taken one has ended
KEPT = timedelta(days=30)


class NotPossible(Exception):
    """No test can be sent now. `str()` of it is a sentence for the page."""


class Stage(StrEnum):
    """How far a test has come."""

    WAITING = "waiting"  # for a worker
    SLOW = "slow"  # waiting for longer than a running worker would take
    SENDING = "sending"
    DONE = "done"
    EXPIRED = "expired"  # no worker took it in time: it is not sent any more
    LOST = "lost"  # its worker ended in the middle: it may have arrived


def stage_of(post: SamplePost) -> Stage:
    now = timezone.now()
    if post.finished_at:
        return Stage.DONE
    if post.taken_at:
        return Stage.SENDING if now - post.taken_at < LOST else Stage.LOST
    waits = now - post.created_at
    return Stage.WAITING if waits < SLOW else Stage.SLOW if waits < EXPIRES else Stage.EXPIRED


# --- What can be sent ---------------------------------------------------------------------------------------


def audience_of(config: WebhookConfig) -> Audience:
    """Whose copy it gets: that of a producer, unless all that its owner sells is somebody else's."""
    if config.product is not None:
        own = config.product.owner_id == config.owner_id
    else:
        products = Product.objects
        own = products.filter(owner=config.owner).exists() or not products.sold_by(config.owner).exists()
    return Audience.PRODUCER if own else Audience.AFFILIATE


def events_for(config: WebhookConfig) -> list[EventType]:
    """The events that its version and its copy have a post for, in the order of the form."""
    audience = audience_of(config)
    return [type_ for type_ in BY_TYPE if contract.sends(config.version, type_, audience)]


def default_of(config: WebhookConfig, events: list[EventType]) -> EventType | None:
    """The first of `events` that it asks for, or the first."""
    return next((type_ for type_ in events if type_ in config.events), next(iter(events), None))


def facts_of(config: WebhookConfig, type_: EventType, audience: Audience) -> contract.Snapshot:
    """The event's sample in the owner's name, about the configuration's product if it names one."""
    facts = samples.sample(type_)
    owner = snapshot.Seller.of(config.owner)
    product = snapshot.Product.of(config.product) if config.product else facts.product
    if audience == Audience.AFFILIATE:
        facts = replace(facts, affiliate=owner)
    elif not config.product:
        product = replace(product, owner=owner)
    return replace(facts, product=product, **MARKS[type(facts)])


# --- Ask for one --------------------------------------------------------------------------------------------


def start(config: WebhookConfig, type_: EventType) -> SamplePost:
    """A test that a worker sends within a moment. `config` has its owner and product loaded.

    Raises NotPossible where it is one too many, cannot be made, or no worker can be told.
    """
    post = make(config, type_)
    post.save()
    _enqueue(post)
    return post


def send_here(config: WebhookConfig, type_: EventType) -> SamplePost:
    """The same test, sent by this process, with what came of it. Raises NotPossible as start() does."""
    post = make(config, type_)
    post.save()
    send(post.pk)
    sent = SamplePost.objects.select_related("config__owner").defer(*CONFIG_SECRETS).get(pk=post.pk)
    if sent.finished_at is None:
        raise NotPossible(
            _("The configuration was changed at this very moment. Nothing was sent: try again.")
        )
    return sent


def make(config: WebhookConfig, type_: EventType) -> SamplePost:
    """Not saved yet, and not sent. Raises NotPossible where it is one too many, or cannot be made."""
    if config.state == ConfigState.REMOVED:
        raise NotPossible(_("This configuration was removed, so nothing is posted to it any more."))
    if held := HeldHost.everything():
        raise NotPossible(
            _("We pause all posts: %(reason)s. Send the test once we go on.")
            % {"reason": held.why.rstrip(".")}
        )
    if held := HeldHost.objects.filter(host=config.host).first():
        raise NotPossible(
            _("We pause posts to %(host)s: %(reason)s. Send the test once we go on.")
            % {"host": held.host, "reason": held.reason.rstrip(".")}
        )
    recent = SamplePost.objects.filter(owner=config.owner, created_at__gt=timezone.now() - WITHIN)
    if recent.count() >= MOST:
        raise NotPossible(
            _("You sent %(most)d tests within a minute. Wait a moment, then send the next.") % {"most": MOST}
        )
    audience = audience_of(config)
    post = SamplePost(
        config=config,
        owner=config.owner,
        type=type_,
        audience=audience,
        version=config.version,
        url=config.url,
    )
    try:
        post.body = posting.body_of(as_delivery(post, facts_of(config, type_, audience))).decode()
    except Exception:
        about = {"configuration": config.pk}
        logger.exception("A test of %s for configuration %s cannot be made.", type_, config.pk, extra=about)
        raise NotPossible(_("This test cannot be made. The fault is ours, and we have been told.")) from None
    return post


def _enqueue(post: SamplePost) -> None:
    try:
        async_task(JOB, post.pk, broker=wake.broker())
    except Exception as error:  # whatever the queue's client raises
        logger.warning("The queue cannot be reached for a test (%s: %s).", type(error).__name__, error)
        post.delete()
        raise NotPossible(
            _("The test cannot be handed to our worker at the moment. Try again in a minute.")
        ) from None


def as_delivery(post: SamplePost, facts: contract.Snapshot | None = None) -> Delivery:
    """What posting asks for; it is never saved. `facts` are needed as long as there is no body."""
    event = Event(id=post.event_id, type=post.type, occurred_at=post.created_at)
    event.snapshot = facts.to_json() if facts else {}
    return Delivery(
        webhook_id=post.webhook_id,
        event=event,
        config=post.config,
        owner_id=post.owner_id,
        audience=post.audience,
        version=post.version,
        body=post.body,
    )


# --- Send it ------------------------------------------------------------------------------------------------


def send(pk: int) -> None:
    """Post it, in a worker, and keep what comes of it. Called again, or too late, it does nothing."""
    fresh = SamplePost.objects.filter(pk=pk, taken_at=None, created_at__gt=timezone.now() - EXPIRES)
    fresh = fresh.exclude(config__state=ConfigState.REMOVED)
    fresh = fresh.exclude(config__host__in=HeldHost.objects.values("host"))
    if HeldHost.everything() or not fresh.update(taken_at=Now()):
        return
    result = _posted(SamplePost.objects.select_related("config").defer(*CONFIG_SECRETS).get(pk=pk))
    SamplePost.objects.filter(pk=pk).update(
        finished_at=Now(), answered_page=result.answered_page(), **result.facts()
    )


def _posted(post: SamplePost) -> Result:
    config, headers = post.config, {}
    delivery = as_delivery(post)
    try:
        sealed = posting.Keys.of([delivery]).seal(delivery, posting.body_of(delivery), int(time.time()))
        headers = sealed.headers
        outcome = posting.send(engine.transport(), config.pk, config.url, sealed)
    except Exception as error:  # a key that cannot be read
        about = {"test": post.pk, "configuration": config.pk}
        logger.exception("Test %s cannot be posted.", post.pk, extra=about)
        outcome = ours(error, timezone.now())
    accepted = retries.Next(delivered=retries.accepted(outcome, config.url))
    return Result(delivery, config.url, posting.stored(headers), outcome, next=accepted)


def words_of(post: SamplePost) -> Explanation | None:
    """What came of it, in plain words; None as long as nothing has."""
    return explain(
        post.status,
        post.problem,
        post.detail,
        url=post.url,
        headers=post.response_headers,
        page=post.answered_page,
        delivered=post.delivered,
    )


def forget_old() -> None:
    SamplePost.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
