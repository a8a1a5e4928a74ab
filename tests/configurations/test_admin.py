import pytest
from django.urls import reverse

from configurations.models import Reason, State, WebhookConfig
from tests import admin_forms, factories

pytestmark = pytest.mark.django_db
LIST = "admin:configurations_webhookconfig_changelist"


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def act(client, name, *configs):
    return admin_forms.act(client, reverse(LIST), name, configs)


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


def test_configurations_are_enabled_and_switched_off_with_the_number_of_each(staff):
    on, off, faulty = (factories.make_config() for _ in range(3))
    off.switch_off()
    faulty.disable(Reason.GONE)
    answer = act(staff, "enable", on, off, faulty)
    assert {config.state for config in WebhookConfig.objects.all()} == {State.ON}
    assert messages_of(answer) == [
        "1 configuration stays as it is: it stands so already, or is removed.",
        "2 configurations were enabled. What is held stays held until its owner sends it.",
    ]
    answer = act(staff, "disable", on, off)
    assert messages_of(answer) == ["2 configurations were switched off. What waits is held."]
    assert {config.state for config in (on, off) if not config.refresh_from_db()} == {State.OFF}


def test_a_removed_configuration_is_not_brought_back(staff):
    config = factories.make_config()
    config.remove()
    data = {"action": "enable", "_selected_action": [config.pk]}
    asked = staff.post(reverse(LIST), data).content.decode()
    assert "There is nothing to enable" in asked
    answer = staff.post(reverse(LIST), data | {"sure": "yes"}, follow=True)
    config.refresh_from_db()
    assert config.state == State.REMOVED
    assert "stays as it is" in messages_of(answer)[0]


def test_a_configuration_is_never_deleted(staff):
    config = factories.make_config()
    url = reverse("admin:configurations_webhookconfig_delete", args=[config.pk])
    assert staff.post(url, {"post": "yes"}).status_code == 403


def form(config, **changes):
    facts = {
        "name": config.name,
        "url": config.url,
        "events": config.events,
        "product": "",
        "version": config.version,
    }
    shown = {f"initial-{name}": value for name, value in facts.items()}
    return facts | shown | {"owner": config.owner_id} | changes


def test_staff_correct_a_url_and_nothing_else_is_written(staff):
    config = factories.make_config()
    secret = config.secret
    sent = form(config, url="https://EXAMPLE.com/other")
    config.switch_off()  # while the form stood open
    answer = staff.post(reverse("admin:configurations_webhookconfig_change", args=[config.pk]), sent)
    assert answer.status_code == 302
    config = WebhookConfig.objects.get()
    assert (config.url, config.state, config.secret) == ("https://example.com/other", State.OFF, secret)


@pytest.mark.parametrize("url", ["https://10.0.0.1/hook", "ftp://example.com", "nothing"])
def test_a_url_that_may_not_be_posted_to_is_refused_with_a_reason(staff, settings, url):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    config = factories.make_config()
    answer = staff.post(
        reverse("admin:configurations_webhookconfig_change", args=[config.pk]), form(config, url=url)
    )
    assert answer.context["adminform"].errors["url"]


def test_a_product_that_the_owner_does_not_sell_is_refused(staff, product):
    config = factories.make_config()
    answer = staff.post(
        reverse("admin:configurations_webhookconfig_change", args=[config.pk]),
        form(config, product=product.pk),
    )
    assert "neither owns this product nor sold it" in str(answer.context["adminform"].errors["product"])


def test_staff_add_a_configuration_for_a_seller(staff, product):
    sent = {
        "owner": product.owner_id,
        "name": "Members",
        "url": "https://example.com/hook",
        "events": ["PURCHASE_APPROVED"],
        "product": product.pk,
        "version": "2.0.0",
    }
    assert staff.post(reverse("admin:configurations_webhookconfig_add"), sent).status_code == 302
    config = WebhookConfig.objects.get()
    assert (config.owner, config.state, config.events) == (product.owner, State.ON, ["PURCHASE_APPROVED"])
    assert config.secret.startswith("whsec_")
