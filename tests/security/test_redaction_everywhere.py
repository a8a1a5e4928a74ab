"""A buyer goes through all that the product does, and is erased: no column of any table tells of them any more.

The tables are those of the database, and the columns those of the models: whoever adds a text column fails here until
they say whether it may tell of a buyer, and is erased then.
"""

import contextlib
import json
import pickle
import zlib
from base64 import b64decode
from collections import Counter
from urllib.parse import quote_plus

import pytest
from django.apps import apps
from django.contrib.admin.models import CHANGE
from django.contrib.admin.models import LogEntry as Action
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, models
from django.db.models import Sum
from django.urls import reverse
from django_q.models import Task

from configurations.models import Version
from deliveries import backfill, bulk, engine, hosts, testing
from deliveries.models import (
    BulkReprocess,
    Delivery,
    DeliveryAttempt,
    EndpointHealth,
    Event,
    HeldHost,
    SamplePost,
    State,
)
from legacy_posts.models import LegacyPost
from sales import privacy
from sales.models import AbandonedCart, Transaction
from sales.sessions import Session, SessionStore
from sales.statuses import PaymentType, SaleStatus
from tests import admin_forms, factories
from tests.receiver import Answer, Receiver

pytestmark = pytest.mark.django_db

EMAIL = "Quirina.Markerson@Example.com"
NAME = "Quirina Ñandú Markerson"
MARKERS = {
    "buyer_name": NAME,
    "buyer_email": EMAIL,
    "buyer_document": "52998224725",
    "buyer_phone": "987651234",
    "buyer_phone_record": "33339876",
    "buyer_zipcode": "30140971",
    "buyer_address": "Rua dos Marcadores",
    "buyer_number": "1148Q",
    "buyer_complement": "apto 9031",
    "buyer_neighborhood": "Markerville",
    "buyer_city": "Markerópolis",
    "buyer_state": "Minas Markers",
    "billet_url": "https://slips.example.com/mk88123",
    "billet_barcode": "03399632906400009871",
    "pix_code": "00020126580014brgovmk",
    "pix_qrcode": "https://pix.example.com/mk77123",
    "hotkey": "KEY-MK-88-99",
    "utm_content": "to-quirina.markerson@example.com",
}
FACTS = MARKERS | {"payment_type": PaymentType.BILLET, "buyer_country": "Brasil", "buyer_country_iso": "BR"}
CART = {"buyer_name": NAME, "buyer_email": EMAIL, "buyer_phone": "987651234"}

# Every text column in which the buyer stands once all of this has happened …
HOLDS = {
    *(f"sales.Transaction.{name}" for name in MARKERS),
    *(f"sales.AbandonedCart.{name}" for name in CART),
    *(f"sales.Subscription.{name}" for name in ("name", "email", "phone", "cell")),
    *(f"deliveries.Event.{name}" for name in ("snapshot", "buyer_name", "buyer_email")),
    "deliveries.Delivery.body",
    *(f"deliveries.DeliveryAttempt.{name}" for name in ("detail", "response_headers", "response_body")),
    *(f"deliveries.SamplePost.{name}" for name in ("response_headers", "response_body")),
    "deliveries.EndpointHealth.last_detail",
    *(f"deliveries.BulkReprocess.{name}" for name in ("selection", "asked_for")),
    "deliveries.HeldHost.reason",
    *(f"legacy_posts.LegacyPost.{name}" for name in ("payload", "response", "problem", "buyer_email", "url")),
    "legacy_posts.LegacyImport.file_name",
    *(f"admin.LogEntry.{name}" for name in ("object_repr", "change_message")),
    "auditlog.LogEntry.additional_data",
    "sales.Session.session_data",
    "django_q.Task.result",
}  # fmt: skip
# … those that are erased too, though nothing here puts the buyer there …
ALSO = {
    *(f"sales.Transaction.{name}" for name in (
        "buyer_document_type", "buyer_phone_code", "buyer_phone_record_code", "src", "sck", "xcod", "utm_source",
        "utm_medium", "utm_campaign", "utm_term", "transaction_ext", "refusal_reason", "offer_code", "coupon_code",
        "parent_code",
    )),
    *(f"sales.Subscription.{name}" for name in ("phone_code", "cell_code")),
    "configurations.WebhookConfig.disabled_detail",
    "deliveries.SamplePost.detail",
    "legacy_posts.LegacyPost.product_name",
    *(f"auditlog.LogEntry.{name}" for name in ("object_repr", "changes", "changes_text", "serialized_data")),
    *(f"django_q.Task.{name}" for name in ("args", "kwargs")),
}  # fmt: skip
# … and those that hold what the product, staff or a seller made up: codes, choices, keys, their own names.
NOBODYS = {
    "sales": "Plan.name Plan.currency Plan.offer_code Subscription.subscriber_code Subscription.status Seller.code "
    "Seller.name Seller.email Seller.legal_nature Seller.document Seller.language Seller.time_zone Product.name "
    "Product.support_email Product.content Transaction.buyer_country Transaction.buyer_country_iso "
    "Transaction.payment_type Transaction.payment_engine Transaction.payment_mode Transaction.code Transaction.status "
    "Transaction.currency Transaction.offer_currency Transaction.payment_currency Transaction.commissions "
    "Transaction.checkout_country Transaction.checkout_country_iso Transaction.invoice_by AbandonedCart.offer_code "
    "AbandonedCart.checkout_country AbandonedCart.checkout_country_iso Session.session_key",
    "configurations": "Token.value Token.next_value WebhookConfig.name WebhookConfig.url WebhookConfig.host "
    "WebhookConfig.events WebhookConfig.version WebhookConfig.secret WebhookConfig.previous_secret WebhookConfig.state "
    "WebhookConfig.disabled_because",
    "deliveries": "HeldHost.host Home.mark SamplePost.url SamplePost.problem SamplePost.webhook_id SamplePost.type "
    "SamplePost.audience SamplePost.version SamplePost.body SamplePost.request_headers BulkReprocess.state Tally.event "
    "Tally.state Event.type Event.mismatches Event.product_name Event.transaction_code Event.currency "
    "Delivery.webhook_id Delivery.audience Delivery.version Delivery.state Delivery.state_before Delivery.opens "
    "Delivery.closes Delivery.last_problem DeliveryAttempt.url DeliveryAttempt.request_headers DeliveryAttempt.problem "
    "EndpointHealth.url EndpointHealth.last_problem EndpointHealth.fault EndpointHealth.told EndpointHealth.run_sales "
    "OwnQueue.circuit OwnQueue.circuit_url Outage.hosts AttemptCounter.totals",
    "legacy_posts": "LegacyImport.encoding LegacyPost.kind LegacyPost.identity LegacyPost.event "
    "LegacyPost.transaction_code LegacyPost.product_code LegacyPost.host LegacyPost.format LegacyPost.version",
    "admin": "LogEntry.object_id",
    "auditlog": "LogEntry.object_pk LogEntry.cid LogEntry.remote_addr LogEntry.actor_email",
    "auth": "Permission.name Permission.codename Group.name User.password User.username User.first_name User.last_name "
    "User.email",
    "account": "EmailAddress.email EmailConfirmation.key",
    "contenttypes": "ContentType.app_label ContentType.model",
    "mfa": "Authenticator.type Authenticator.data",
    "sessions": "Session.session_key Session.session_data",  # nobody uses it: ours are those of `sales`
    "django_q": "Task.id Task.name Task.func Task.hook Task.group Task.cluster Schedule.name Schedule.func "
    "Schedule.hook Schedule.args Schedule.kwargs Schedule.schedule_type Schedule.cron Schedule.task Schedule.cluster "
    "Schedule.intended_date_kwarg OrmQ.key OrmQ.payload",
}
NOBODY = {f"{app}.{column}" for app, columns in NOBODYS.items() for column in columns.split()}
TEXTS = (models.CharField, models.TextField, models.JSONField, models.BinaryField, models.GenericIPAddressField,
         models.FileField)  # fmt: skip


def columns():
    """{(table, column): app.Model.field} of every text of the models."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, TEXTS) or "text" in (field.db_type(connection) or ""):
                found[model._meta.db_table, field.column] = f"{model._meta.label}.{field.name}"
    return found


def test_of_every_text_column_it_is_said_whether_it_may_tell_of_a_buyer():
    known = HOLDS | ALSO | NOBODY
    assert len(known) == len(HOLDS) + len(ALSO) + len(NOBODY), "one place for each"
    assert set(columns().values()) - known == set()
    assert known - set(columns().values()) == set()


# --- All that the product does, with one buyer in it


def spellings():
    for value in MARKERS.values():
        yield from {value.lower(), quote_plus(value).lower(), json.dumps(value)[1:-1].lower()}


def found():
    """Where a marker stands: over all tables of the database, whatever made them, by what is stored."""
    wanted, names, places = list(spellings()), columns(), set()
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {table}")
            heads = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for head, value in zip(heads, row, strict=True):
                    text = plain(table, head, value)
                    if any(marker in text for marker in wanted):
                        places.add(names.get((table, head), f"{table}.{head}"))
    return places


def plain(table, column, value):
    """What is packed, unpacked."""
    if value is None or isinstance(value, int | float | bool):
        return ""
    if (table, column) == (Session._meta.db_table, "session_data"):
        value = json.dumps(Session(session_data=value).get_decoded())
    if table == "django_q_task" and column in ("result", "args", "kwargs"):
        packed = b64decode(value)
        with contextlib.suppress(zlib.error):
            packed = zlib.decompress(packed)
        value = str(pickle.loads(packed))
    if isinstance(value, bytes | memoryview):
        value = bytes(value).decode("utf-8", "backslashreplace")
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).lower()


def echo(status=200):
    """An answer that says all again: as JSON, as a form, in a header."""
    texts = json.dumps(MARKERS, ensure_ascii=False), "&".join(map(quote_plus, MARKERS.values()))
    return Answer(status, "\n".join(texts).encode(), {"X-Buyer": EMAIL, "Content-Type": "text/plain"})


@pytest.fixture
def second():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def operator():
    return factories.make_staff("operations")


@pytest.fixture
def life(receiver, second, producer, product, client, operator, tmp_path):
    receiver.answers(echo())
    second.answers(echo(500))
    good = factories.make_config(producer, url=receiver.url)
    factories.make_config(producer, url=receiver.url, version=Version.V1)
    bad = factories.make_config(producer, url=second.url.replace("127.0.0.1", "localhost"))
    affiliate = factories.make_seller()
    factories.make_config(affiliate, url=receiver.url)

    # Sales, one by an import; a cart; a subscription.
    sale = factories.make_sale(product, affiliate=affiliate, **FACTS)
    sale.status = SaleStatus.REFUNDED
    sale.save()
    factories.make_cart(product, **CART)
    subscription = factories.make_subscription(
        factories.make_plan(product), name=NAME, email=EMAIL, phone="987651234", cell="33339876"
    )
    subscription.charge_day = 9
    subscription.save()
    file = tmp_path / "sales.jsonl"
    row = {
        "code": "HPIMPORTED",
        "status": "APPROVED",
        "ordered_at": "2026-11-23T15:52:10Z",
        "price": "147.00",
    }
    row |= {"product_code": product.code, "product_name": product.name, "producer_code": producer.code}
    row |= {"producer_name": producer.name, "buyer_name": NAME, "buyer_email": EMAIL.upper()}
    file.write_text(json.dumps(row) + "\n" + json.dumps(row | {"code": "HPBAD", "status": "NONSENSE"}) + "\n")
    with pytest.raises(SystemExit):  # one row is bad
        call_command("import_transactions", str(file), verbosity=0)
    assert Transaction.objects.filter(code="HPIMPORTED").exists()
    engine.drain()

    # Posts that were sent again, alone and in bulk, found by the buyer's e-mail; a test; what failed quotes the post.
    Delivery.objects.filter(config=good).first().reprocess()
    engine.drain()
    failed = Delivery.objects.filter(config=bad)
    failed.update(state=State.FAILED)
    search = f"?q={quote_plus(EMAIL)}"
    bulk.start(failed, asked_for=f"those of {EMAIL}", owner=producer, selection={"history": search})
    testing.send_here(good, testing.default_of(good, testing.events_for(good)))

    # Staff: logs and notes name the buyer; a message that nobody has read; a job that failed.
    kind, cart = ContentType.objects.get_for_model(AbandonedCart), AbandonedCart.objects.get()
    changed = json.dumps([{"changed": {"name": "cart", "object": str(cart), "fields": ["Offer"]}}])
    Action.objects.create(
        user=operator, action_flag=CHANGE, content_type=kind, object_id=cart.pk, object_repr=str(cart),
        change_message=changed,
    )  # fmt: skip
    hosts.hold("held.example.com", f"{NAME} asked us to wait.", operator)
    session = SessionStore()
    session["_messages"] = [f"The cart of {EMAIL} was saved."] * 2
    session["viewed"] = 7
    session.create()
    Task.objects.create(
        id="f" * 32, name="a job", func="deliveries.tasks.sweep", started=sale.ordered_at, stopped=sale.ordered_at,
        success=False, result=f"ValueError: {EMAIL}",
    )  # fmt: skip

    # Posts of the former system: sent, pending, sent from here, and one that cannot be taken apart.
    old = {"owner": producer.email, "occurred_at": "2024-05-12T14:21:38Z", "event": "approved"}
    payload = json.dumps({"data": {"buyer": {"email": EMAIL, "name": NAME}}})
    rows = [
        old | {"id": 1, "kind": "sent", "transaction": "HPOLD1", "payload": payload, "response": f"thanks {EMAIL}",
               "problem": f"refused {EMAIL}", "status": 500, "url": f"https://old.example.com/?to={EMAIL}"},
        old | {"id": 2, "kind": "pending", "transaction": "HPOLD2", "payload": payload},
        old | {"id": 3, "kind": "pending", "transaction": "HPOLD3", "payload": payload},
        old | {"id": 4, "kind": "sent", "transaction": "HPOLD4", "payload": f"\x02 {EMAIL} {NAME}", "status": 200},
    ]  # fmt: skip
    file = tmp_path / f"of-{EMAIL}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    call_command("import_legacy_posts", str(file), verbosity=0)
    client.force_login(producer.user)
    pending = LegacyPost.objects.get(transaction_code="HPOLD2")
    assert (
        client.post(
            reverse("legacy_posts:send", args=[pending.pk]), {"url": pending.url, "config": good.pk}
        ).status_code
        == 302
    )
    engine.drain()
    # What an answer quoted; a search whose posts are not all queued yet.
    DeliveryAttempt.objects.filter(delivery__config=bad).update(
        problem="not_http", detail=f"BadStatusLine: {EMAIL}"
    )
    EndpointHealth.objects.filter(config=bad).update(last_detail=f"BadStatusLine: {NAME}")
    BulkReprocess.objects.update(selection={"history": search})
    return producer


def totals():
    return {
        "sales": list(
            Transaction.objects.order_by("pk").values_list("code", "status", "price", "ordered_at")
        ),
        "carts": AbandonedCart.objects.count(),
        "events": list(Event.objects.order_by("pk").values_list("type", "amount", "currency", "occurred_at")),
        "amounts": sorted(
            Event.objects.values("currency").annotate(sum=Sum("amount")).values_list("currency", "sum")
        ),
        "buyers": len({email.lower() for email in Event.objects.values_list("buyer_email", flat=True)}),
        "attempts": list(
            DeliveryAttempt.objects.order_by("pk").values_list("status", "duration_ms", "delivered")
        ),
        "delivered": Delivery.objects.filter(state=State.DELIVERED).count(),
        "posts": Delivery.objects.count(),
        "old": Counter(LegacyPost.objects.values_list("kind", "status", "event")),
        "tests": SamplePost.objects.count(),
    }


def test_nothing_of_the_buyer_is_left_in_any_column_of_any_table_and_the_totals_stay(
    life, mailoutbox, tmp_path
):
    assert found() == HOLDS
    told = {
        table.what: json.dumps(list(table.rows), default=str, ensure_ascii=False)
        for table in privacy.hold_on(EMAIL)
    }
    assert set(told) == {place.rpartition(".")[0].lower() for place in HOLDS}, (
        "the report tells of every table"
    )
    assert all("quirina" in text.lower() for text in told.values())
    before = totals()
    call_command("purge_history", "--buyer", EMAIL, "--yes", verbosity=0)
    assert found() == set()
    assert totals() == before
    assert [table.what for table in privacy.hold_on(EMAIL)] == []
    assert not any(
        marker in (mail.body + mail.subject).lower() for mail in mailoutbox for marker in spellings()
    )
    [session] = [s.get_decoded() for s in Session.objects.all() if "viewed" in s.get_decoded()]
    assert session["viewed"] == 7
    assert HeldHost.objects.get().host == "held.example.com"
    assert BulkReprocess.objects.get().total


def test_none_of_it_can_be_sent_again_by_any_way(life, client, operator, receiver, second):
    call_command("purge_history", "--buyer", EMAIL, "--yes", verbosity=0)
    engine.drain()
    for each in (receiver, second):
        each.posts.clear()
    mine = list(Delivery.objects.filter(owner=life))
    assert {post.state for post in mine} >= {State.DELIVERED, State.DISCARDED}
    failed = mine[0]
    Delivery.objects.filter(pk=failed.pk).update(state=State.FAILED)

    client.force_login(life.user)
    for post in mine:  # one by one, and as the next try of one that waits
        client.post(reverse("deliveries:reprocess", args=[post.pk]))
        for way in (post.reprocess, post.send_now):
            with pytest.raises(Delivery.NotPossible, match="erased"):
                way()
    client.post(reverse("deliveries:reprocess_all") + "?status=failed")  # all that a filter shows
    with pytest.raises(BulkReprocess.Nothing):
        bulk.start(Delivery.objects.all(), asked_for="all", owner=life)
    for event in Event.objects.all():  # from the page of the sale, to whichever configuration
        for config in life.configurations.all():
            url = reverse("deliveries:timeline", args=[event.transaction_code or "none"])
            client.post(url, {"event": event.pk, "config": config.pk})
    fresh = factories.make_config(life, url=receiver.url)  # what happened before there was one
    client.post(reverse("deliveries:backfill", args=[fresh.pk]), {"send": list(backfill.KEYS)})
    pending = LegacyPost.objects.filter(kind="pending")
    for post in pending:
        client.post(reverse("legacy_posts:send", args=[post.pk]), {"url": post.url, "config": fresh.pk})
    urls = list(pending.values_list("url", flat=True))
    client.post(reverse("legacy_posts:send_all"), {"url": urls, "config": [fresh.pk] * len(urls)})

    client.force_login(operator)  # the admin's action, and the command
    admin_forms.act(client, reverse("admin:deliveries_delivery_changelist"), "reprocess", mine)
    call_command("reprocess", "--all", "--yes", "--wait", verbosity=0)
    engine.drain()
    assert receiver.posts == second.posts == []
    assert Delivery.objects.filter(pk=failed.pk, state=State.FAILED).exists()
