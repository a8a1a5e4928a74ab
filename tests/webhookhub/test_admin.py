"""What holds for every page of the staff admin; what is particular is tested beside its app."""

import re
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations.models import Token, WebhookConfig, new_secret
from deliveries.models import Delivery, DeliveryAttempt, EndpointHealth, Event
from sales.models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from tests import factories

pytestmark = pytest.mark.django_db

MODELS = (
    Seller, Product, Plan, Subscription, Transaction, AbandonedCart, WebhookConfig, Token,
    Event, Delivery, DeliveryAttempt, EndpointHealth,
)  # fmt: skip
EVIDENCE = (Event, Delivery, DeliveryAttempt, EndpointHealth, Token)
HOSTILE = '<script>alert("x")</script>'


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def make_everything(name="Course"):
    """A row of every model, related to one another, with an attempt that failed."""
    owner = factories.make_seller(name=name)
    product = factories.make_product(owner, name=name)
    config = factories.make_config(owner, product=product, name=name)
    Token.objects.get_or_create(seller=owner)
    plan = factories.make_plan(product, name=name)
    subscription = factories.make_subscription(plan, subscriber_code=uuid4().hex, name=name)
    affiliate = factories.make_seller(name=name)
    sale = factories.make_sale(product, affiliate=affiliate, subscription=subscription, buyer_name=name)
    factories.make_cart(product, buyer_name=name)
    delivery = config.deliveries.get(event__sale=sale)
    DeliveryAttempt.objects.create(
        delivery=delivery,
        number=1,
        started_at=timezone.now(),
        duration_ms=12,
        url=config.url,
        request_headers=[["X-Name", name]],
        status=500,
        response_headers=[["Content-Type", "text/html"], ["X-Name", name]],
        response_body=name.encode(),
        delivered=False,
    )
    EndpointHealth.objects.update_or_create(config=config, defaults={"failures": 1, "last_detail": name})
    return delivery


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_takes_as_many_queries_for_30_rows_as_for_2(staff, model):
    def queries():
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert staff.get(page(model, "changelist")).status_code == 200
        return len(captured)

    for _ in range(2):
        make_everything()
    staff.get(page(model, "changelist"))  # what is cached once, such as content types
    for_two = queries()
    for _ in range(28):
        make_everything()
    assert queries() == for_two


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@pytest.mark.parametrize(
    "words",
    [
        "course",
        "HP1 ana@example.com",
        "4100001",
        "'",
        "%_\\ 漢字 🎓",
        "9" * 30,
        "89b0c77f-a2c6-4aaa-9f83-fe5fcff47b09",
    ],
)
def test_every_list_can_be_searched_for_anything(staff, model, words):
    make_everything()
    assert staff.get(page(model, "changelist"), {"q": words}).status_code == 200


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_filter_and_order_of_a_list_works(staff, model):
    make_everything()
    answer = staff.get(page(model, "changelist"))
    links = set(re.findall(r'href="(\?[^"]+)"', answer.content.decode()))
    assert links
    for link in links:
        answer = staff.get(page(model, "changelist") + link.replace("&amp;", "&"))
        assert answer.status_code == 200, link


@pytest.mark.parametrize("model", [m for m in MODELS if m is not Token], ids=lambda model: model.__name__)
def test_what_strangers_wrote_is_never_markup(staff, model):
    make_everything(name=HOSTILE)
    for row in model.objects.all()[:3]:
        answer = staff.get(page(model, "change", row.pk))
        assert answer.status_code == 200
        assert HOSTILE not in answer.content.decode()
    listed = staff.get(page(model, "changelist")).content.decode()
    assert HOSTILE not in listed


@pytest.mark.parametrize("model", EVIDENCE, ids=lambda model: model.__name__)
def test_evidence_is_neither_added_nor_changed_nor_deleted(staff, model):
    make_everything()
    row = model.objects.first()
    assert staff.get(page(model, "add")).status_code == 403
    assert staff.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert staff.post(page(model, "change", row.pk), {}).status_code == 403
    listed = staff.get(page(model, "changelist")).content.decode()
    assert "delete_selected" not in listed
    assert model.objects.filter(pk=row.pk).exists()


def test_no_page_shows_a_secret_or_a_token(staff):
    delivery = make_everything()
    config, token = delivery.config, Token.objects.get(seller=delivery.owner)
    WebhookConfig.objects.filter(pk=config.pk).update(secret=(secret := new_secret()))
    urls = [page(model, "changelist") for model in MODELS]
    urls += [page(model, "change", model.objects.first().pk) for model in MODELS]
    urls += [page(Seller, "delete", delivery.owner_id)]
    for url in urls:
        text = staff.get(url).content.decode()
        assert secret not in text, url
        assert token.value not in text, url


def test_every_link_from_row_to_row_leads_somewhere(staff):
    """Transaction, its events, their posts, their attempts, the configuration, and back."""
    make_everything()
    seen, queue = set(), [page(model, "changelist") for model in MODELS]
    while queue:
        url = queue.pop()
        if url in seen:
            continue
        seen.add(url)
        answer = staff.get(url)
        assert answer.status_code == 200, url
        content = re.search(r'<div id="content".*', answer.content.decode(), re.DOTALL).group()
        found = re.findall(r'href="(/admin/(?:sales|configurations|deliveries)/[^"#]+)"', content)
        queue += [
            link.replace("&amp;", "&")
            for link in found
            if not re.search(r"_popup|/delete/|/history/|/add/|_facets", link)
        ]
    sale = Transaction.objects.get()
    event, delivery, attempt = (
        Event.objects.get(sale=sale),
        Delivery.objects.get(event__sale=sale),
        DeliveryAttempt.objects.get(),
    )
    for row in (sale, event, delivery, attempt, delivery.config):
        assert page(type(row), "change", row.pk) in seen
    assert f"{page(Delivery, 'changelist')}?event__sale__id__exact={sale.pk}" in seen


# --- Who may come in ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/?next=/admin/", "/admin/sales/seller/"])
def test_a_stranger_is_led_to_the_sites_own_login(client, path):
    answer = client.get(path, follow=True)
    where, _ = answer.redirect_chain[-1]
    assert where.startswith(reverse("account_login"))
    assert "next=" in where


def test_a_login_of_the_admins_own_is_not_open(client):
    staff = factories.make_staff()
    answer = client.post("/admin/login/", {"username": staff.username, "password": factories.PASSWORD})
    assert answer.status_code == 302
    assert "_auth_user_id" not in client.session


def test_a_seller_is_refused(client, producer):
    client.force_login(producer.user)
    assert client.get("/admin/", follow=True).status_code == 403
    for model in MODELS:
        assert client.get(page(model, "changelist"), follow=True).status_code == 403


def test_staff_come_in_and_find_back_to_the_site(staff):
    text = staff.get("/admin/").content.decode()
    assert "webhookhub" in text
    assert f'href="{reverse("home")}"' in text
    assert staff.get("/admin/login/").status_code == 302


def test_no_page_needs_inline_script_or_style(staff):
    make_everything()
    urls = ["/admin/", *(page(model, "changelist") for model in MODELS)]
    urls += [page(model, "change", model.objects.first().pk) for model in MODELS]
    for url in urls:
        answer = staff.get(url)
        assert "'unsafe" not in answer["Content-Security-Policy"]
        text = answer.content.decode()
        assert not re.search(r"<style|<[^>]+\sstyle=|<[^>]+\son\w+=", text), url
        scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", text)
        assert all("application/json" in script for script in scripts), url
