"""A buyer whose data are erased: nothing of them is left in any table, and nothing of theirs is sent any more."""

import json
from datetime import timedelta
from urllib.parse import quote_plus
from uuid import uuid4

import pytest
from auditlog.models import LogEntry as Change
from django.apps import apps
from django.contrib.admin.models import CHANGE
from django.contrib.admin.models import LogEntry as Action
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.urls import reverse
from django.utils import timezone

from configurations.events import EventType
from configurations.models import Version
from deliveries import backfill, engine, leases, timeline
from deliveries.contract import read, snapshot
from deliveries.contract.subscription import ChangedSubscription
from deliveries.models import BulkReprocess, Delivery, DeliveryAttempt, EndpointHealth, Event, State
from deliveries.privacy import erased
from sales import privacy
from sales.models import Transaction
from sales.statuses import PaymentType, SaleStatus
from tests import factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db

EMAIL = "Joao.Souza@example.com"
BUYER = {"buyer_name": "João Souza", "buyer_email": EMAIL}
FACTS = BUYER | {
    "buyer_document": "52998224725",
    "buyer_document_type": "CPF",
    "buyer_phone_code": "31",
    "buyer_phone": "987651234",
    "buyer_phone_record_code": "21",
    "buyer_phone_record": "33334444",
    "buyer_country": "Brasil",
    "buyer_country_iso": "BR",
    "buyer_zipcode": "30140071",
    "buyer_address": "Rua da Bahia",
    "buyer_number": "1148B",
    "buyer_complement": "apto 901",
    "buyer_neighborhood": "Lourdes",
    "buyer_city": "Belo Horizonte",
    "buyer_state": "Minas Gerais",
    "payment_type": PaymentType.BILLET,
    "billet_url": "https://slips.example.com/88123",
    "billet_barcode": "03399632906400000000",
    "pix_code": "00020126580014brgovbcbpix",
    "pix_qrcode": "https://pix.example.com/77123",
    "hotkey": "KEY-77-88-99",
    "utm_content": "to-joao.souza@example.com",
    "src": "newsletter",
}
TELLING = {value for name, value in FACTS.items() if name not in (
    "buyer_document_type", "buyer_country", "buyer_country_iso", "payment_type", "src", "buyer_phone_code",
    "buyer_phone_record_code")}  # fmt: skip


def spellings(value):
    return {value.lower(), quote_plus(value).lower(), json.dumps(value)[1:-1].lower()}


def found(values=TELLING):
    """{app.model.column: the values that stand in it}, in whatever spelling, over all tables."""
    wanted = {(value, spelling) for value in values for spelling in spellings(value)}
    places = {}
    for model in apps.get_models():
        columns = [
            field.attname
            for field in model._meta.concrete_fields
            if isinstance(field, models.CharField | models.TextField | models.JSONField | models.BinaryField)
        ]
        for row in model._base_manager.values(*columns) if columns else ():
            for column, held in row.items():
                text = _text(held)
                for value, spelling in wanted:
                    if spelling in text:
                        places.setdefault(f"{model._meta.label}.{column}", set()).add(value)
    return places


def _text(held):
    if isinstance(held, bytes | memoryview):
        held = bytes(held).decode("utf-8", "backslashreplace")
    elif not isinstance(held, str):
        held = json.dumps(held, ensure_ascii=False, default=str)
    return held.lower()


@pytest.fixture
def echoing(receiver):
    """The receiver answers with the post itself, in its body and, in part, in a header."""
    texts = json.dumps(FACTS, ensure_ascii=False), "&".join(map(quote_plus, sorted(TELLING)))
    headers = {"X-Buyer": EMAIL, "Content-Type": "text/plain"}
    receiver.answers(*[Answer(200, text.encode(), headers) for text in texts])
    return receiver


@pytest.fixture
def history(echoing, config, producer, product):
    """A buyer's sale with its refund, cart and subscription, posted in both formats to who repeats them."""
    factories.make_config(producer, url=config.url, version=Version.V1)
    sale = factories.make_sale(product, **FACTS)
    sale.status = SaleStatus.REFUNDED
    sale.save()
    factories.make_cart(product, **BUYER, buyer_phone="987651234")
    plan = factories.make_plan(product)
    subscription = factories.make_subscription(
        plan, name="João Souza", email=EMAIL, phone="987651234", cell="33334444"
    )
    subscription.charge_day = 9
    subscription.save()
    factories.make_sale(product, **FACTS | {"buyer_email": EMAIL.upper()}, subscription=subscription)
    engine.drain()
    return sale


def test_nothing_of_the_buyer_is_left_in_any_table(history):
    before = found()
    assert set().union(*before.values()) == TELLING
    assert {place.split(".")[1] for place in before} == {
        "Transaction", "AbandonedCart", "Subscription", "Event", "Delivery", "DeliveryAttempt",
    }  # fmt: skip
    privacy.redact(EMAIL, by="a test")
    assert found() == {}


def totals():
    events = Event.objects.order_by("pk")
    return (
        list(events.values_list("pk", "type", "amount", "currency", "transaction_code")),
        list(Delivery.objects.order_by("pk").values_list("pk", "state", "attempts_made", "last_status")),
        list(DeliveryAttempt.objects.order_by("pk").values_list("pk", "status", "duration_ms", "delivered")),
        len({email.lower() for email in events.values_list("buyer_email", flat=True)}),
    )


def test_the_totals_stay(history, product):
    factories.make_sale(product, buyer_email="another@example.com")
    engine.drain()
    before = totals()
    assert before[3] == 2
    privacy.redact(EMAIL, by="a test")
    assert totals() == before


def test_who_else_bought_keeps_all(history, sell):
    other = sell(buyer_email="another@example.com", buyer_name="João Souza")
    engine.drain()
    privacy.redact(EMAIL, by="a test")
    other.refresh_from_db()
    assert other.event.redacted_at is None
    assert "another@example.com" in other.body
    assert other.event.snapshot["buyer_email"] == "another@example.com"


FACTS_OF_NOBODY = """
    code status product affiliate ordered_at approved_at warranty_until buyer_country buyer_country_iso price full_price
    original_offer_price currency offer_currency payment_currency commissions offer_code coupon_code checkout_country
    checkout_country_iso payment_type payment_engine payment_mode transaction_ext installments refusal_reason
    billet_due_on pix_expires_at subscription recurrence_number src sck xcod utm_source utm_medium utm_campaign utm_term
    utm_content is_order_bump parent_code is_funnel tickets is_anticipation invoice_by
    plan_code has_negotiation abandoned_at
    number subscriber_code plan cancelled_at next_charge_at charge_day actual_recurrence_value last_recurrence_number
    changed_at previous_plan previous_charge_day
"""


def test_every_fact_of_a_snapshot_is_erased_or_known_to_tell_of_nobody():
    """A new fact fails here until somebody says which of the two it is."""
    buyer, kept = privacy.Buyer("joao.souza@example.com"), set()
    for kind in (snapshot.Sale, snapshot.Cart, ChangedSubscription):
        facts = dict.fromkeys(kind.__dataclass_fields__, "set")
        kept |= {name for name, value in erased(facts, buyer).items() if value == "set"}
    assert kept == set(FACTS_OF_NOBODY.split())


def test_a_redacted_snapshot_can_still_be_read(history):
    privacy.redact(EMAIL, by="a test")
    for event in Event.objects.all():
        facts = read(event.type, event.snapshot)
        email = facts.email if isinstance(facts, ChangedSubscription) else facts.buyer_email
        assert email == event.buyer_email == privacy.Buyer.of(EMAIL).pseudonym


def test_an_event_is_found_by_its_sale_where_that_has_another_address_by_now(config, product):
    sale = factories.make_sale(product, buyer_email="typo@example.com", buyer_name="João Souza")
    Transaction.objects.filter(pk=sale.pk).update(buyer_email=EMAIL)
    privacy.redact(EMAIL, by="a test")
    assert found({"typo@example.com", EMAIL, "João Souza"}) == {}


def test_stopped_in_the_middle_the_next_run_finishes(history, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(privacy, "_erase", stop)
        privacy.redact(EMAIL, by="a test")
    assert found()
    privacy.redact(EMAIL, by="a test")
    assert found() == {}
    assert privacy.redact(EMAIL, by="a test") == {}


def test_an_event_that_a_redacted_sale_has_later_goes_its_way(receiver, config, sell):
    sale = sell(**BUYER).event.sale
    privacy.redact(EMAIL, by="a test")
    sale.refresh_from_db()
    sale.status = SaleStatus.REFUNDED
    sale.save()
    privacy.redact(EMAIL, by="a test")
    engine.drain()
    refund = config.deliveries.get(event__type=EventType.REFUNDED)
    assert refund.state == State.DELIVERED
    assert refund.event.redacted_at is None
    assert EMAIL.lower() not in refund.body.lower()


# --- what is not sent any more


@pytest.fixture
def redacted(sell):
    """`redacted(state)`: a delivery in that state whose buyer's data were erased."""

    def redacted(state):
        post = sell(**BUYER)
        Delivery.objects.filter(pk=post.pk).update(state=state)
        privacy.redact(EMAIL, by="a test")
        post.refresh_from_db()
        return post

    return redacted


@pytest.mark.parametrize("state", [State.WAITING, State.HELD])
def test_what_waits_is_discarded_and_that_is_said_before(sell, state):
    post = sell(**BUYER)
    Delivery.objects.filter(pk=post.pk).update(state=state)
    held = {table.what: table for table in privacy.hold_on(EMAIL)}
    assert "1 of them has not arrived yet" in held["deliveries.delivery"].note
    privacy.redact(EMAIL, by="a test")
    post.refresh_from_db()
    assert post.state == State.DISCARDED
    assert post.finished_at


@pytest.mark.parametrize("state", [State.DELIVERED, State.FAILED, State.WAITING])
def test_it_is_not_reprocessed_and_the_reason_is_said(receiver, redacted, state):
    post = redacted(state)
    with pytest.raises(Delivery.NotPossible, match="erased"):
        post.reprocess()
    with pytest.raises(Delivery.NotPossible, match="erased"):
        post.send_now()
    assert Delivery.objects.filter(pk=post.pk).send_again() == 0
    engine.drain()
    assert receiver.posts == []


def test_it_is_not_sent_to_another_configuration(redacted, producer):
    event = redacted(State.DELIVERED).event
    late = factories.make_config(producer)
    assert backfill.groups(late, timezone.now()) == []
    with pytest.raises(Delivery.NotPossible, match="erased"):
        timeline.send(event, late)
    verdicts = timeline.of(event.sale, producer.user).happened[0].verdicts
    assert not any(verdict.can_send for verdict in verdicts)


def claimed(post, claim_id):
    (mine,) = leases.claim(claim_id, 10)
    assert mine.pk == post.pk
    return mine


@pytest.mark.parametrize("status", [200, 500])
def test_a_post_in_flight_leaves_nothing_behind(receiver, config, product, status):
    """Its buyer is erased while the receiver has the post."""
    receiver.answers(Answer(status, delay=0.6, body=EMAIL.encode()))
    factories.make_sale(product, **BUYER)
    erased_at = []

    def stop():
        if receiver.posts and not erased_at:
            erased_at.append(privacy.redact(EMAIL, by="a test"))
        return False

    engine.drain(stop=stop)
    assert erased_at
    assert found({EMAIL, "João Souza"}) == {}
    post = Delivery.objects.get()
    assert post.state == (State.DELIVERED if status == 200 else State.DISCARDED)
    assert post.attempts.get().status == status


def test_what_was_claimed_and_not_begun_is_discarded(sell):
    post, claim_id = sell(**BUYER), uuid4()
    mine = claimed(post, claim_id)
    privacy.redact(EMAIL, by="a test")
    leases.give_back(claim_id, [mine])
    post.refresh_from_db()
    assert post.state == State.DISCARDED


def test_what_a_dead_worker_held_is_discarded(sell, clock):
    post = sell(**BUYER)
    claimed(post, uuid4())
    privacy.redact(EMAIL, by="a test")
    clock.forward(minutes=1)
    leases.recover()
    post.refresh_from_db()
    assert post.state == State.DISCARDED


def test_what_quotes_the_buyer_in_the_health_of_a_url_goes(sell, config):
    post = sell(**BUYER)
    EndpointHealth.objects.create(config=config, last_detail=f"BadStatusLine: {EMAIL}")
    DeliveryAttempt.objects.create(
        delivery=post, number=1, started_at=timezone.now(), duration_ms=1, url=config.url, request_headers=[],
        problem="not_http", detail=f"BadStatusLine: {EMAIL}", delivered=False,
    )  # fmt: skip
    privacy.redact(EMAIL, by="a test")
    assert found({EMAIL}) == {}


def test_a_bulk_reprocess_that_was_asked_for_by_a_search_for_the_buyer_forgets_the_search(producer):
    facts = {"owner": producer, "total": 2, "asked_for": "", "asked_at": timezone.now()}
    theirs = BulkReprocess.objects.create(selection={"history": f"?q={quote_plus(EMAIL)}"}, **facts)
    facts["asked_at"] += timedelta(seconds=1)
    other = BulkReprocess.objects.create(selection={"history": "?status=failed"}, **facts)
    assert set(found()) == {"deliveries.BulkReprocess.selection"}
    privacy.redact(EMAIL, by="a test")
    assert found() == {}
    other.refresh_from_db()
    assert other.selection
    theirs.refresh_from_db()
    assert theirs.selection == {}


def test_the_logs_of_the_admin_name_the_buyer_no_more(product):
    cart, staff = factories.make_cart(product, **BUYER), factories.make_staff()
    kind = ContentType.objects.get_for_model(cart)
    facts = {"content_type": kind, "object_repr": str(cart), "object_id": cart.pk}
    Action.objects.create(user=staff, action_flag=CHANGE, **facts)
    Change.objects.create(object_pk=cart.pk, action=Change.Action.UPDATE, changes={}, **facts)
    assert {place for place in found() if place.startswith(("admin.", "auditlog."))}
    privacy.redact(EMAIL, by="a test")
    assert found() == {}


# --- pages


@pytest.mark.parametrize("tab", ["payload", "response", "headers", "curl"])
def test_its_page_says_that_it_was_erased(client, history, producer, tab):
    privacy.redact(EMAIL, by="a test")
    client.force_login(producer.user)
    for post in Delivery.objects.filter(attempts_made__gt=0):
        page = client.get(reverse("deliveries:detail", args=[post.pk]), {"tab": tab}).content.decode()
        assert "Erased, with the data of the buyer." in page
        assert "redacted-" not in page
        assert "Reprocess" not in page
        assert client.get(reverse("deliveries:curl", args=[post.pk])).status_code == 404


def test_the_history_and_the_admin_say_so_too(client, history, producer):
    privacy.redact(EMAIL, by="a test")
    client.force_login(producer.user)
    page = client.get(reverse("deliveries:history")).content.decode()
    assert "buyer’s data erased" in page
    assert ">Reprocess<" not in page
    client.force_login(factories.make_staff())
    post = Delivery.objects.first()
    page = client.get(reverse("admin:deliveries_delivery_change", args=[post.pk])).content.decode()
    assert "Erased, with the data of the buyer." in page


def test_the_timeline_of_the_sale_says_so_too(client, history, producer):
    privacy.redact(EMAIL, by="a test")
    client.force_login(producer.user)
    page = client.get(reverse("deliveries:timeline", args=[history.code])).content.decode()
    assert "<dd>erased</dd>" in page
    assert "redacted-" not in page
    assert "Send it" not in page


def test_reprocessing_one_that_was_just_erased_says_why(client, redacted, producer):
    post = redacted(State.FAILED)
    client.force_login(producer.user)
    answer = client.post(reverse("deliveries:reprocess", args=[post.pk]), follow=True)
    assert "The buyer&#x27;s data were erased" in answer.content.decode()
