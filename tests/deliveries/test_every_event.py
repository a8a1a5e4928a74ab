"""Every event, from each way in that can bring it about, to the receiver, in both formats."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.urls import reverse

from configurations.events import BY_STATUS, BY_TYPE, EventType
from configurations.models import Version
from deliveries import contract, engine
from deliveries.models import Audience
from sales.models import AbandonedCart
from sales.statuses import SaleStatus
from tests import factories
from tests.admin_forms import filled_in
from tests.sales import imports

pytestmark = pytest.mark.django_db

# What changes of a subscription: by save() and in the admin; an import's row says the plan by its code.
OF_A_SUBSCRIPTION = {
    EventType.SUBSCRIPTION_CANCELLATION: {"status": "CANCELLED_BY_CUSTOMER"},
    EventType.SWITCH_PLAN: {"plan": 700002},
    EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE: {"charge_day": 20},
}
# What each body of 1.0.0 is told apart by: the status of a form, else the key that only this body has.
FORM_STATUS = {
    EventType.APPROVED: "approved",
    EventType.COMPLETE: "completed",
    EventType.CANCELED: "canceled",
    EventType.BILLET_PRINTED: "billet_printed",
    EventType.EXPIRED: "expired",
    EventType.DELAYED: "delayed",
    EventType.PROTEST: "dispute",
    EventType.REFUNDED: "refunded",
    EventType.CHARGEBACK: "chargeback",
}
JSON_KEY = {
    EventType.CART_ABANDONED: "buyerVO",
    EventType.SUBSCRIPTION_CANCELLATION: "cancellationDate",
    EventType.SWITCH_PLAN: "switchPlanDate",
}


@dataclass
class Ways:
    """The ways in: each makes the event happen."""

    client: Any
    producer: Any
    folder: Any

    def code(self, event: EventType) -> None:
        if status := BY_TYPE[event].status:
            sale = self._sale()
            sale.status = status
            sale.save()
        elif event == EventType.CART_ABANDONED:
            factories.make_cart(self._product())
        else:
            subscription, plan = self._subscription()
            for name, value in OF_A_SUBSCRIPTION[event].items():
                setattr(subscription, name, plan if name == "plan" else value)
            subscription.save()

    def admin(self, event: EventType) -> None:
        self.client.force_login(factories.make_staff())
        if status := BY_TYPE[event].status:
            self._change(self._sale(), status=status)
        elif event == EventType.CART_ABANDONED:
            url = reverse("admin:sales_abandonedcart_add")
            cart = {"product": self._product().pk, "buyer_name": "Ana Lima", "buyer_email": "a@example.com"}
            self._post(url, filled_in(self.client, url, **cart))
        else:
            subscription, plan = self._subscription()
            facts = {
                name: plan.pk if name == "plan" else value for name, value in OF_A_SUBSCRIPTION[event].items()
            }
            self._change(subscription, **facts)

    def imported(self, event: EventType) -> None:
        if status := BY_TYPE[event].status:
            sale = self._sale()
            rows = [imports.row(sale.code, status=status, **self._named(sale.product))]
        elif event == EventType.CART_ABANDONED:
            rows = [imports.cart(**self._named(self._product()))]
        else:
            subscription, _plan = self._subscription()
            columns = {"status": "subscription_status", "plan": "plan_code"}
            facts = {columns.get(name, name): value for name, value in OF_A_SUBSCRIPTION[event].items()}
            row = {
                "kind": "subscription",
                "code": subscription.subscriber_code,
                "subscription_status": "ACTIVE",
            }
            rows = [row | facts]
        file = self.folder / "rows.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        ran = imports.Run(file)
        assert (ran.err, ran.code) == ("", 0)

    def _product(self) -> Any:
        return factories.make_product(self.producer)

    def _sale(self) -> Any:
        """One that nobody was told of yet: no event announces that it has started."""
        return factories.make_sale(self._product(), status=SaleStatus.STARTED)

    def _subscription(self) -> tuple[Any, Any]:
        """An active one, and another plan of its product."""
        product = self._product()
        monthly, yearly = (factories.make_plan(product, code=code) for code in (700001, 700002))
        return factories.make_subscription(monthly, status="ACTIVE", charge_day=8), yearly

    def _named(self, product: Any) -> dict[str, Any]:
        return {"product_code": product.code, "producer_code": self.producer.code}

    def _change(self, row: Any, **facts: Any) -> None:
        url = reverse(f"admin:sales_{row._meta.model_name}_change", args=[row.pk])
        self._post(url, filled_in(self.client, url, **facts))

    def _post(self, url: str, form: dict[str, Any]) -> None:
        answer = self.client.post(url, form)
        assert answer.status_code == 302, answer.context["adminform"].form.errors


@pytest.fixture
def ways(client, producer, tmp_path):
    return Ways(client, producer, tmp_path)


def sent(version: str) -> list[EventType]:
    return [event for event in EventType if contract.sends(version, event, Audience.PRODUCER)]


@pytest.mark.parametrize("way", ["code", "admin", "imported"])
@pytest.mark.parametrize("event", EventType)
def test_it_arrives_in_2_0_0(receiver, producer, ways, event, way):
    factories.make_config(producer, url=receiver.url, events=[event])
    getattr(ways, way)(event)
    engine.drain()
    [post] = receiver.posts
    body = json.loads(post.body)
    assert (body["event"], body["version"]) == (event, "2.0.0")
    if status := BY_TYPE[event].status:
        assert body["data"]["purchase"]["status"] == status


@pytest.mark.parametrize("way", ["code", "admin", "imported"])
@pytest.mark.parametrize("event", sent(Version.V1))
def test_it_arrives_in_1_0_0(receiver, producer, ways, event, way):
    factories.make_config(producer, url=receiver.url, events=[event], version=Version.V1)
    getattr(ways, way)(event)
    engine.drain()
    [post] = receiver.posts
    if event in FORM_STATUS:
        assert dict(parse_qsl(post.body.decode()))["status"] == FORM_STATUS[event]
    else:
        assert JSON_KEY[event] in json.loads(post.body)


def test_every_event_is_sent_in_2_0_0_and_all_but_a_moved_charge_date_in_1_0_0():
    assert sent(Version.V2) == list(EventType)
    assert set(EventType) - set(sent(Version.V1)) == {EventType.UPDATE_SUBSCRIPTION_CHARGE_DATE}
    assert set(FORM_STATUS) == {description.type for description in BY_STATUS.values()}


def test_a_renewal_is_an_approved_sale_of_its_own_that_says_which_charge_it_is(receiver, producer):
    for version in Version.values:
        factories.make_config(producer, url=f"{receiver.url}/{version}", version=version)
    subscription = factories.make_subscription(factories.make_plan(factories.make_product(producer)))
    for number in (1, 2):
        factories.make_sale(subscription.product, subscription=subscription, recurrence_number=number)
    engine.drain()
    v2 = [json.loads(post.body) for post in receiver.posts if post.path.endswith("2.0.0")]
    v1 = [dict(parse_qsl(post.body.decode())) for post in receiver.posts if post.path.endswith("1.0.0")]
    assert {body["event"] for body in v2} == {EventType.APPROVED}
    assert sorted(body["data"]["purchase"]["recurrence_number"] for body in v2) == [1, 2]
    assert sorted(form["recurrency"] for form in v1) == ["1", "2"]
    assert len({form["transaction"] for form in v1}) == 2


def test_an_import_told_not_to_notify_posts_nothing(receiver, producer, tmp_path):
    factories.make_config(producer, url=receiver.url)
    product = factories.make_product(producer)
    facts = {"product_code": product.code, "producer_code": producer.code}
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(imports.row(**facts)) + "\n" + json.dumps(imports.cart(**facts)) + "\n")
    assert imports.Run(file, "--no-notify").code == 0
    assert AbandonedCart.objects.count() == 1
    assert engine.drain() == 0
    assert receiver.posts == []
