"""What members of support and of operations may do, and what `migrate` does to the groups."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.urls import reverse

from configurations.models import WebhookConfig
from deliveries import engine
from deliveries.models import Delivery, State
from sales.models import Product, Seller, Transaction
from tests import admin_forms, factories
from webhookhub import groups

pytestmark = pytest.mark.django_db
OURS = [model for model in admin.site._registry if model._meta.app_label in groups.OURS]


def page(model, name, *args):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


@pytest.fixture
def support(client):
    client.force_login(factories.make_staff("support"))
    return client


@pytest.fixture
def operations(client):
    client.force_login(factories.make_staff("operations"))
    return client


@pytest.fixture
def delivery(receiver, product):
    config = factories.make_config(product.owner, url=receiver.url)
    made = config.deliveries.get(event__sale=factories.make_sale(product))
    engine.drain()
    yield made
    engine.forget_transport()


@pytest.mark.parametrize("group", ["support", "operations"])
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_both_read_every_list_of_ours(client, group, model):
    client.force_login(factories.make_staff(group))
    assert client.get(page(model, "changelist")).status_code == 200


@pytest.mark.parametrize("group", ["support", "operations"])
def test_both_read_the_audit_log_and_whom_a_login_belongs_to(client, group):
    client.force_login(factories.make_staff(group))
    for name in ("auditlog_logentry", "auth_user", "account_emailaddress", "django_q_ormq"):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200


@pytest.mark.parametrize(
    "model", [Seller, Product, WebhookConfig, Transaction], ids=lambda model: model.__name__
)
def test_support_edits_nothing(support, delivery, model):
    row = model.objects.first()
    assert support.get(page(model, "change", row.pk)).status_code == 200
    assert support.get(page(model, "add")).status_code == 403
    assert support.post(page(model, "change", row.pk), {}).status_code == 403
    assert support.post(page(model, "delete", row.pk), {"post": "yes"}).status_code == 403


def test_support_reads_the_events_of_a_configuration_in_words(support):
    config = factories.make_config(events=["PURCHASE_APPROVED"])
    text = support.get(page(WebhookConfig, "change", config.pk)).content.decode()
    assert "Order approved" in text
    assert "PURCHASE_APPROVED" not in text


@pytest.mark.parametrize("action", ["enable", "disable"])
def test_support_moves_no_configuration(support, delivery, action):
    data = {"action": action, "_selected_action": [delivery.config_id], "sure": "yes"}
    support.post(page(WebhookConfig, "changelist"), data)
    assert WebhookConfig.objects.get().state == "on"


@pytest.mark.parametrize("group", ["support", "operations"])
def test_both_reprocess(client, delivery, group):
    client.force_login(factories.make_staff(group))
    admin_forms.act(client, page(Delivery, "changelist"), "reprocess", [delivery])
    delivery.refresh_from_db()
    assert delivery.state == State.WAITING


def test_operations_edit_but_delete_nothing_and_change_no_rights(operations, delivery, product):
    url = page(Product, "change", product.pk)
    assert operations.post(url, admin_forms.filled_in(operations, url, name="Better")).status_code == 302
    product.refresh_from_db()
    assert product.name == "Better"
    assert operations.post(page(Product, "delete", product.pk), {"post": "yes"}).status_code == 403
    me = operations.get("/admin/").wsgi_request.user
    data = {"username": me.username, "is_superuser": "on"}
    assert operations.post(reverse("admin:auth_user_change", args=[me.pk]), data).status_code == 403
    support = Group.objects.get(name="support")
    assert operations.post(reverse("admin:auth_group_change", args=[support.pk]), {}).status_code == 403


def test_migrating_again_takes_nothing_away_and_gives_back_what_is_missing():
    support = Group.objects.get(name="support")
    extra = Permission.objects.get(codename="change_product")
    own = Permission.objects.get(codename="reprocess_delivery")
    support.permissions.add(extra)
    support.permissions.remove(own)
    call_command("migrate", verbosity=0)
    assert {extra, own} <= set(support.permissions.all())
    assert Group.objects.filter(name__in=[groups.SUPPORT, groups.OPERATIONS]).count() == 2


def test_every_right_of_ours_that_is_no_deletion_is_given_to_operations():
    """Those of models and actions that are added later too."""
    given = set(Group.objects.get(name="operations").permissions.values_list("pk", flat=True))
    missing = Permission.objects.filter(content_type__app_label__in=groups.OURS).exclude(pk__in=given)
    assert {right.codename.split("_")[0] for right in missing} <= {"delete"}
