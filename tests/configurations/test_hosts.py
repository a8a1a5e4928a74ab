"""The host of a configuration's URL: kept beside it by whatever writes the URL."""

import importlib
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse

from configurations.addresses import host_of
from configurations.forms import ConfigForm
from configurations.models import WebhookConfig
from tests import factories
from tests.admin_forms import filled_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://Hooks.Example.com/a?b=c", "hooks.example.com"),
        ("https://example.com:8443", "example.com"),
        ("https://example.com./a", "example.com"),
        ("https://bücher.example/a", "xn--bcher-kva.example"),
        ("https://[2606:4700::1111]:8443/a", "2606:4700::1111"),
        ("http://10.0.0.1/a", "10.0.0.1"),  # refused today
        ("http://[::1]:9/a", "::1"),
        ("https://ana:secret@example.com:99999/a", "example.com"),
        ("ftp://example.com/", ""),
        ("nonsense", ""),
        ("", ""),
    ],
)
def test_the_host_is_told_whether_or_not_the_url_is_permitted(url, host, settings):
    settings.DELIVERY_ALLOWED_NETWORKS = []
    assert host_of(url) == host


def test_a_new_url_brings_its_host_along_whichever_way_it_is_written():
    config = factories.make_config(url="https://one.example.com/a")
    assert config.host == "one.example.com"
    config.url = "https://two.example.com/a"
    config.save(update_fields=["url"])
    assert stored(config) == "two.example.com"
    WebhookConfig.objects.filter(pk=config.pk).update(url="https://three.example.com/a")
    assert stored(config) == "three.example.com"
    [made] = WebhookConfig.objects.bulk_create(
        [WebhookConfig(owner=config.owner, name="Many", url="https://four.example.com/a")]
    )
    assert stored(made) == "four.example.com"


def test_the_sellers_form_keeps_it():
    config = factories.make_config(url="https://one.example.com/a")
    facts = {"name": "A", "events": config.events, "scope": "all", "version": config.version}
    form = ConfigForm(facts | {"url": "https://two.example.com/a"}, instance=config)
    assert form.is_valid(), form.errors
    form.save()
    assert stored(config) == "two.example.com"


def test_the_admins_form_keeps_it_and_shows_it(client):
    client.force_login(factories.make_staff())
    config = factories.make_config(url="https://one.example.com/a")
    url = reverse("admin:configurations_webhookconfig_change", args=[config.pk])
    data = filled_in(client, url) | {"url": "https://two.example.com/a", "events": config.events}
    assert client.post(url, data).status_code == 302
    assert stored(config) == "two.example.com"
    listed = client.get(reverse("admin:configurations_webhookconfig_changelist"), {"host": "two.example.com"})
    assert [row.pk for row in listed.context["cl"].result_list] == [config.pk]


def test_a_save_of_other_fields_leaves_it_alone():
    config = factories.make_config(url="https://one.example.com/a")
    WebhookConfig.objects.filter(pk=config.pk).update(url="https://two.example.com/a")
    config.name = "Another"
    config.save(update_fields=["name"])
    partly = WebhookConfig.objects.defer("url").get(pk=config.pk)
    partly.save()
    assert stored(config) == "two.example.com"


def test_the_migration_fills_in_the_hosts_of_what_is_there(monkeypatch):
    migration = importlib.import_module("configurations.migrations.0005_fill_in_hosts")
    monkeypatch.setattr(migration, "BATCH", 2)
    configs = [factories.make_config(url=f"https://h{n}.example.com/") for n in range(5)]
    WebhookConfig.objects.update(host="")
    migration.fill_in(apps, SimpleNamespace(connection=connection))
    assert [stored(config) for config in configs] == [f"h{n}.example.com" for n in range(5)]


def stored(config):
    return WebhookConfig.objects.values_list("host", flat=True).get(pk=config.pk)
