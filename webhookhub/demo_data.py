"""The people, products and sales of `manage.py demo`. All of them are invented.

The history is real: each sale goes the way of every sale, and its posts are sent to the demo receiver. Only
then is the clock of the rows set back, so that a first look shows some days and not one second.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import models, transaction
from django.db.models import F, Max, Min, Value
from django.db.models.functions import Replace
from django.utils import timezone

from configurations.events import EventType
from configurations.models import Reason, WebhookConfig
from deliveries import engine
from deliveries.models import Delivery, DeliveryAttempt, EndpointHealth, Event
from deliveries.models import State as DeliveryState
from legacy_posts.models import LegacyImport, LegacyPost
from sales.models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from sales.statuses import LegalNature, PaymentType, RecurrencyPeriod, SaleStatus, SubscriptionStatus

from . import groups

PASSWORD = "demo-webhookhub"  # noqa: S105  printed by the command; it refuses to run where DEBUG is off
RECEIVER_OF_EXAMPLE = "http://127.0.0.1:9000"  # where the pending posts of the example file go
PRODUCER, AFFILIATE, STAFF = "ana@example.com", "bruno@example.com", "staff@example.com"
SUPPORTER = "support@example.com"

BUYERS = (
    ("Marina Lima Nuñes", "marina.lima@example.com", "Belo Horizonte", "MG"),
    ("João Nunes Araújo", "joao.nunes@example.com", "Recife", "PE"),
    ("Rafael Teixeira de Albuquerque", "rafael.teixeira.de.albuquerque@example.com", "São Paulo", "SP"),
    ("Inês Carvalho", "ines.carvalho@example.com", "Porto Alegre", "RS"),
    ("Tomás Ferreira 🎓", "tomas.ferreira@example.com", "Curitiba", "PR"),
    ("李 美玲", "li.meiling@example.com", "São Paulo", "SP"),
    ("Beatriz Gomes", "bia.gomes@example.com", "Salvador", "BA"),
    ("Caio Prado Martins", "caio.martins@example.com", "Manaus", "AM"),
)
PAYMENTS = (PaymentType.CREDIT_CARD, PaymentType.PIX, PaymentType.BILLET, PaymentType.CREDIT_CARD)
# What becomes of a sale, from its first status on; most are simply approved.
STORIES = (
    *[[SaleStatus.APPROVED]] * 7,
    [SaleStatus.BILLET_PRINTED, SaleStatus.APPROVED],
    [SaleStatus.BILLET_PRINTED, SaleStatus.EXPIRED],
    [SaleStatus.APPROVED, SaleStatus.COMPLETED],
    [SaleStatus.APPROVED, SaleStatus.DISPUTE, SaleStatus.REFUNDED],
    [SaleStatus.APPROVED, SaleStatus.CHARGEBACK],
    [SaleStatus.CANCELED],
)


def is_there() -> bool:
    return Seller.objects.filter(email=PRODUCER).exists()


def make(receiver: str, sales: int = 48) -> int:
    """Write the demo's accounts, configurations and sales, post to `receiver` (http://host:port), age it all.

    Returns the number of posts that were tried. Raises requests.RequestException if no receiver is there.
    """
    chance = random.Random(2026)  # noqa: S311  the same demo for everyone
    with transaction.atomic():
        ana, bruno = _sellers()
        products = _products(ana)
        _configurations(ana, bruno, products, receiver)
        _plans(products)
        made = list(_sales(products, bruno, sales, chance))
        _change_subscriptions()
    # Until somebody presses another button there, this one refuses each post by itself: a server that fails with all
    # of them would have them wait together.
    requests.post(f"{receiver}/answer", data={"path": "/invoices", "answer": "422"}, timeout=5)
    tries = engine.drain()
    for _ in range(4):  # what was refused: its other tries at once rather than over half a day
        Delivery.objects.filter(state=DeliveryState.WAITING).exclude(event__sale__in=made[-6:]).update(
            next_try_at=None
        )
        tries += engine.drain()
    with transaction.atomic():
        _age(chance)
        _former_system(receiver)
    return tries


def _sellers() -> tuple[Seller, Seller]:
    users = get_user_model().objects
    users.create_superuser(STAFF, STAFF, PASSWORD)
    supporter = users.create_user(SUPPORTER, SUPPORTER, PASSWORD, is_staff=True)
    supporter.groups.add(Group.objects.get(name=groups.SUPPORT))
    ana = Seller.objects.create(
        code="P10000001",
        name="Ana Beatriz Souza",
        email=PRODUCER,
        user=users.create_user(PRODUCER, PRODUCER, PASSWORD, first_name="Ana Beatriz", last_name="Souza"),
        legal_nature=LegalNature.COMPANY,
        document="11222333000181",
    )
    bruno = Seller.objects.create(
        code="A10000001B",
        name="Bruno Parceiro",
        email=AFFILIATE,
        user=users.create_user(AFFILIATE, AFFILIATE, PASSWORD, first_name="Bruno", last_name="Parceiro"),
        document="12345678909",
    )
    return ana, bruno


def _products(owner: Seller) -> list[tuple[Product, Decimal]]:
    names = (
        (4100001, "Curso de Retrato", "297.00", False),
        (4100002, "Plano Anual de Fotografia", "497.00", True),
        (4100003, "E-book: Luz Natural", "47.00", False),
        (4100004, "Clube da Luz (mensal)", "49.90", True),
    )
    return [
        (
            Product.objects.create(
                code=code, name=name, owner=owner, support_email="ajuda@example.com", shares_buyers=shares
            ),
            Decimal(price),
        )
        for code, name, price, shares in names
    ]


def _plans(products: list[tuple[Product, Decimal]]) -> None:
    club = next(product for product, _ in products if product.code == 4100004)
    for code, name, price, period, offer in (
        (700001, "Plano Mensal", "49.90", RecurrencyPeriod.MONTHLY, "pl7mens1"),
        (700002, "Plano Anual", "479.00", RecurrencyPeriod.YEARLY, "pl7anual"),
    ):
        Plan.objects.create(
            code=code,
            product=club,
            name=name,
            price=Decimal(price),
            recurrency_period=period,
            offer_code=offer,
        )


def _change_subscriptions() -> None:
    """One takes another plan, one is cancelled: events that no sale brings about."""
    first, *others = Subscription.objects.select_related("product__owner", "plan").order_by("pk")
    first.plan = Plan.objects.get(code=700002)
    first.save()
    for subscription in others[:1]:
        subscription.status = SubscriptionStatus.CANCELLED_BY_CUSTOMER
        subscription.save()


def _configurations(
    ana: Seller, bruno: Seller, products: list[tuple[Product, Decimal]], receiver: str
) -> None:
    by_code = {product.code: product for product, _ in products}
    all_events = [str(type_) for type_ in EventType]
    money_back = [EventType.REFUNDED, EventType.CHARGEBACK]
    WebhookConfig.objects.create(owner=ana, name="Members area", url=f"{receiver}/members", events=all_events)
    WebhookConfig.objects.create(
        owner=ana,
        name="Recover sales on WhatsApp",
        url=f"{receiver}/whatsapp",
        events=[EventType.BILLET_PRINTED, EventType.EXPIRED, EventType.CART_ABANDONED],
    )
    WebhookConfig.objects.create(
        owner=ana,
        name="Plano Anual: invoices",
        url=f"{receiver}/invoices",
        events=[EventType.APPROVED, *money_back],
        product=by_code[4100002],
    )
    WebhookConfig.objects.create(
        owner=ana,
        name="Afiliados: planilha",
        url=f"{receiver}/planilha",
        events=[EventType.APPROVED],
        product=by_code[4100003],
    ).switch_off()
    WebhookConfig.objects.create(
        owner=ana,
        name="E-mail marketing",
        url="https://listas.cursodafotografla.example/in",
        events=[EventType.COMPLETE, EventType.CART_ABANDONED],
    ).disable(Reason.NO_SUCH_HOST, "listas.cursodafotografla.example")
    WebhookConfig.objects.create(
        owner=bruno, name="My sheet", url=f"{receiver}/bruno", events=[EventType.APPROVED, *money_back]
    )


def _sales(
    products: list[tuple[Product, Decimal]], affiliate: Seller, number: int, chance: random.Random
) -> Iterator[Transaction]:
    now = timezone.now()
    for n in range(number):
        product, price = products[chance.choice((0, 0, 1, 1, 2, 2, 2, 3))]
        buyer = chance.choice(BUYERS)
        if n % 8 == 5:
            AbandonedCart.objects.create(
                product=product, buyer_name=buyer[0], buyer_email=buyer[1], buyer_phone="31900000002"
            )
        story = chance.choice(STORIES)
        sale = _sale(f"HP{1121336000 + n * 7}", product, price, buyer, story[0], now, chance)
        if chance.random() < 0.3:
            sale.affiliate = affiliate
            sale.commissions.append(_commission("AFFILIATE", price * Decimal("0.4"), sale.currency))
        for status in story:
            sale.status = status
            if status == SaleStatus.APPROVED:
                sale.approved_at, sale.warranty_until = now, now + timedelta(days=7)
            sale.save()
        yield sale


def _sale(
    code: str,
    product: Product,
    price: Decimal,
    buyer: tuple[str, str, str, str],
    first: str,
    now: datetime,
    chance: random.Random,
) -> Transaction:
    payment = PaymentType.BILLET if first == SaleStatus.BILLET_PRINTED else chance.choice(PAYMENTS)
    sale = Transaction(
        code=code,
        product=product,
        buyer_name=buyer[0],
        buyer_email=buyer[1],
        buyer_phone_code="31",
        buyer_phone="900000002",
        buyer_country="Brasil",
        buyer_country_iso="BR",
        buyer_city=buyer[2],
        buyer_state=buyer[3],
        price=price,
        commissions=[
            _commission("MARKETPLACE", price * Decimal("0.1"), "BRL"),
            _commission("PRODUCER", price * Decimal("0.5"), "BRL"),
        ],
        offer_code="ab12cd34",
        payment_type=payment,
        installments=chance.choice((1, 1, 6, 12)) if payment == PaymentType.CREDIT_CARD else 1,
        ordered_at=now,
        src="instagram",
    )
    if payment == PaymentType.BILLET:
        sale.billet_url = f"https://billets.example.com/{code}"
        sale.billet_barcode = "00190.00009 01234.567891 23456.789012 3 98760000014700"
        sale.billet_due_on = (now + timedelta(days=3)).date()
    if first == SaleStatus.CANCELED:
        sale.refusal_reason = "Saldo insuficiente."
    if product.code == 4100004:
        sale.subscription = Subscription.objects.create(
            subscriber_code=f"QX{code[-6:]}",
            product=product,
            plan=product.plans.get(name="Plano Mensal"),
            status=SubscriptionStatus.ACTIVE,
            name=buyer[0],
            email=buyer[1],
            cell_code="31",
            cell="900000002",
            next_charge_at=now + timedelta(days=30),
            charge_day=min(now.day, 28),
            last_recurrence_number=1,
        )
        sale.recurrence_number = 1
    return sale


def _commission(source: str, value: Decimal, currency: str) -> dict[str, str]:
    return {"source": source, "value": str(value.quantize(Decimal("0.01"))), "currency": currency}


def _former_system(receiver: str) -> None:
    """What Ana posted before, from the example file of the import; the newest of it a week ago."""
    call_command("import_legacy_posts", settings.BASE_DIR / "examples" / "legacy_posts.csv", verbosity=0)
    posts = LegacyPost.objects.all()
    newest = posts.aggregate(at=Max("occurred_at"))["at"]
    posts.update(
        occurred_at=F("occurred_at") + (timezone.now() - timedelta(days=7) - newest),
        url=Replace("url", Value(RECEIVER_OF_EXAMPLE), Value(receiver)),
    )
    LegacyImport.objects.update(started_at=F("started_at") - timedelta(days=6))


def _age(chance: random.Random) -> None:
    """Spread what was just written over the last three days, the newest sales last."""
    WebhookConfig.objects.update(
        created_at=F("created_at") - timedelta(days=40),
        state_changed_at=F("state_changed_at") - timedelta(days=4),
    )
    sales = list(Transaction.objects.order_by("pk"))
    step = timedelta(hours=70) / max(1, len(sales))
    for n, sale in enumerate(sales):
        back = timedelta(hours=70) - n * step + timedelta(minutes=chance.randrange(25))
        Transaction.objects.filter(pk=sale.pk).update(
            ordered_at=F("ordered_at") - back, approved_at=F("approved_at") - back
        )
        _set_back(Event.objects.filter(sale=sale), back)
    for cart in AbandonedCart.objects.all():
        _set_back(Event.objects.filter(cart=cart), timedelta(hours=chance.uniform(1, 60)))
    for subscription in Subscription.objects.all():
        _set_back(Event.objects.filter(subscription=subscription), timedelta(hours=chance.uniform(1, 30)))
    for health in EndpointHealth.objects.all():
        _set_health_back(health)


def _set_back(events: models.QuerySet, back: timedelta) -> None:
    for place, event in enumerate(events.order_by("occurred_at", "pk")):
        ago = back - place * min(back / 4, timedelta(hours=6))  # a refund comes after its approval
        Event.objects.filter(pk=event.pk).update(occurred_at=F("occurred_at") - ago)
        for delivery in Delivery.objects.filter(event=event):
            later = timedelta(0)
            for attempt, wait in zip(
                delivery.attempts.order_by("number"),
                [timedelta(0), *settings.DELIVERY_RETRY_AFTER],
                strict=False,
            ):
                later = min(later + wait, ago * 0.9)  # nothing has been tried in the future
                DeliveryAttempt.objects.filter(pk=attempt.pk).update(started_at=F("started_at") - ago + later)
            Delivery.objects.filter(pk=delivery.pk).update(
                created_at=F("created_at") - ago, finished_at=F("finished_at") - ago + later
            )


def _set_health_back(health: EndpointHealth) -> None:
    """By the attempts, as they stand now."""
    attempts = DeliveryAttempt.objects.filter(delivery__config=health.config_id)
    success = attempts.filter(delivered=True).aggregate(at=Max("started_at"))["at"]
    failures = attempts.filter(delivered=False).aggregate(first=Min("started_at"), last=Max("started_at"))
    health.last_success_at = success
    if health.failures:
        health.first_failure_at, health.last_failure_at = failures["first"], failures["last"]
    health.save(update_fields=["last_success_at", "first_failure_at", "last_failure_at"])
