"""No page makes more queries than MOST, nor more of them the more rows there are.

The admin's pages are those of its registry: a model that is registered later is tested by itself, or fails here until
`ROWS` says how to make rows of it. The sellers' pages stand in `PAGES`.
"""

from datetime import timedelta
from uuid import uuid4

import pytest
from auditlog.models import LogEntry
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.models import Token, WebhookConfig
from deliveries.models import (
    BulkReprocess,
    Delivery,
    DeliveryAttempt,
    EndpointHealth,
    Event,
    SamplePost,
    Tally,
)
from legacy_posts.models import LegacyImport, LegacyPost
from sales.models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from tests import factories

pytestmark = pytest.mark.django_db
MOST = 15
FEW, MANY = 10, 100
NOT_OURS = {"django_q", "account"}  # their admin pages are their own
# Made by `make_row`, one of each a call.
MADE = {
    Seller, Product, Plan, Subscription, Transaction, AbandonedCart, WebhookConfig, Token, Event, Delivery,
    DeliveryAttempt, EndpointHealth, LegacyImport, LegacyPost, get_user_model(), LogEntry,
}  # fmt: skip


def a_group(_delivery):
    Group.objects.create(name=uuid4().hex)


def a_tally(delivery):
    day = timezone.localdate() - timedelta(days=100)
    Tally.objects.create(
        config=delivery.config, day=day, event=delivery.event.type, state=delivery.state, posts=3, attempts=4
    )


def a_bulk(delivery):
    facts = {"asked_for": "some", "by": delivery.owner.user, "asked_at": timezone.now()}
    BulkReprocess.objects.create(owner=delivery.owner, total=1, queued_to=None, **facts)


# {model: makes a row; it is given a delivery with all that belongs to it}
ROWS = {Group: a_group, Tally: a_tally, BulkReprocess: a_bulk}
# The sellers' lists, and pages that hold one: {address: arguments, made from a delivery of the seller's}
PAGES = {
    "configurations:list": lambda delivery: [],
    "configurations:edit": lambda delivery: [delivery.config_id],
    "configurations:changes": lambda delivery: [delivery.config_id],
    "configurations:remove": lambda delivery: [delivery.config_id],
    "configurations:token": lambda delivery: [],
    "deliveries:history": lambda delivery: [],
    "deliveries:live": lambda delivery: [],
    "deliveries:detail": lambda delivery: [delivery.pk],
    "deliveries:panel": lambda delivery: [delivery.pk],
    "deliveries:reprocess_all": lambda delivery: [],
    "deliveries:bulks": lambda delivery: [],
    "deliveries:tests": lambda delivery: [],
    "deliveries:test": lambda delivery: [delivery.config_id],
    "deliveries:backfill": lambda delivery: [delivery.config_id],
    "deliveries:enable": lambda delivery: [delivery.config_id],
    "deliveries:timeline": lambda delivery: [delivery.event.transaction_code],
    "deliveries:codes": lambda delivery: [],
    "legacy_posts:sent": lambda delivery: [],
    "legacy_posts:pending": lambda delivery: [],
    "legacy_posts:all": lambda delivery: [],
    "legacy_posts:send_all": lambda delivery: [],
    "docs_tab:event": lambda delivery: ["2.0.0", "PURCHASE_APPROVED"],
    "docs_tab:success": lambda delivery: ["2.0.0"],
    "account": lambda delivery: [],
}


def make_row(owner=None):
    """A sale with all that belongs to it, of a seller of its own unless one is given."""
    owner = owner or factories.make_seller()
    product = factories.make_product(owner)
    config = factories.make_config(owner, product=product)
    Token.objects.get_or_create(seller=owner)
    subscription = factories.make_subscription(factories.make_plan(product))
    affiliate = factories.make_seller(login=False)
    sale = factories.make_sale(product, affiliate=affiliate, subscription=subscription)
    factories.make_cart(product)
    delivery = config.deliveries.get(event__sale=sale)
    add_attempt(delivery)
    for kind in ("sent", "pending"):
        factories.make_legacy_post(owner, kind=kind)
    EndpointHealth.objects.update_or_create(config=config, defaults={"failures": 1})
    return delivery


def add_attempt(delivery):
    number = delivery.attempts.count() + 1
    return DeliveryAttempt.objects.create(
        delivery=delivery,
        number=number,
        started_at=timezone.now(),
        duration_ms=12,
        url=delivery.config.url,
        request_headers=[],
        delivered=False,
        status=500,
    )


def queries_of(client, url):
    client.get(url)  # what is cached once, such as content types
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return len(captured)


def too_many(few, many):
    """{page: queries with few rows and with many}, of those that make too many of them, or more with more rows.

    Two more are allowed: a list that does not fit on one page is counted.
    """
    return {
        name: (few[name], many[name])
        for name in few
        if max(few[name], many[name]) > MOST or many[name] > few[name] + 2
    }


def ours():
    return [model for model in admin.site._registry if model._meta.app_label not in NOT_OURS]


def test_it_is_known_how_to_make_rows_of_every_model_in_the_admin():
    assert set(ours()) == MADE | ROWS.keys()


def test_the_admins_pages_make_few_queries_whatever_the_number_of_rows(client):
    client.force_login(factories.make_staff())
    first = make_row()

    def more(to):
        while Tally.objects.count() < to:
            delivery = make_row()
            for make in ROWS.values():
                make(delivery)
        while first.attempts.count() < to:
            add_attempt(first)
        while first.event.deliveries.count() < to:  # a page with many beneath it
            Delivery.objects.create(
                webhook_id=uuid4().hex, event=first.event, config=factories.make_config(first.owner),
                owner=first.owner, version="2.0.0", created_at=first.created_at,
            )  # fmt: skip

    def measured():
        counts = {}
        for model in ours():
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            counts[f"{name} list"] = queries_of(client, reverse(f"{name}_changelist"))
            row = first if model is Delivery else model._default_manager.order_by("pk").first()
            counts[f"{name} page"] = queries_of(client, reverse(f"{name}_change", args=[row.pk]))
        return counts

    more(FEW)
    few = measured()
    more(MANY)
    assert all(model._default_manager.count() >= MANY for model in ours())
    assert too_many(few, measured()) == {}


def test_the_sellers_pages_make_few_queries_whatever_the_number_of_rows(client):
    owner = factories.make_seller()
    client.force_login(owner.user)
    first = make_row(owner)
    first.config.switch_off()

    def more(to):
        while Delivery.objects.count() < to:
            delivery = make_row(owner)
            event = delivery.event
            SamplePost.objects.create(
                config=first.config, owner=owner, url=first.config.url, body="{}", type=event.type,
                version=delivery.version, audience=delivery.audience,
            )  # fmt: skip
            a_bulk(delivery)
            add_attempt(first)
            first.config.enable()
            first.config.switch_off()

    def measured():
        # Some were approved a while ago and not accepted: buyers wait for their access.
        ago = timezone.now() - timedelta(hours=1)
        Delivery.objects.filter(pk__gt=first.pk).update(state="failed", tries=5, created_at=ago)
        addresses = {name: reverse(name, args=arguments(first)) for name, arguments in PAGES.items()}
        history = addresses["deliveries:history"]
        addresses["a post open beside the history"] = f"{history}?post={first.pk}"
        addresses["what it was answered"] = f"{history}?post={first.pk}&tab=response"
        return {name: queries_of(client, address) for name, address in addresses.items()}

    more(FEW)
    few = measured()
    more(MANY)
    assert too_many(few, measured()) == {}
