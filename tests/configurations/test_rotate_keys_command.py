"""`rotate_keys`, as an operator runs it: a process of its own. What it does to the values is in test_encryption."""

import pytest
from django.db import connection

from configurations.models import Token, WebhookConfig
from tests import factories
from tests.commands import manage

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def config(db) -> WebhookConfig:
    config = factories.make_config()
    Token.of(config.owner)
    return config


def spoil(config: WebhookConfig) -> None:
    """Its secret is as if written with a key that was taken out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE configurations_webhookconfig SET secret = 'gAAAAAB_' WHERE id = %s", [config.pk]
        )


def test_with_json_each_column_is_counted(config):
    ran = manage("rotate_keys", "--dry-run", "--json")
    assert (ran.code, ran.json["dry_run"]) == (0, True)
    assert ran.json["columns"]["WebhookConfig.secret"] == {"fresh": 1, "renewed": 0}
    assert ran.json["columns"]["Token.value"] == {"fresh": 1, "renewed": 0}


def test_a_value_that_no_key_reads_is_exit_code_1_and_named(config):
    spoil(config)
    ran = manage("rotate_keys", "--json")
    assert ran.code == 1
    assert f"WebhookConfig.secret {config.pk}" in ran.json["error"]
    assert f"WebhookConfig.secret {config.pk}" in ran.err


def test_without_json_each_column_is_a_sentence_and_verbosity_0_is_silent(config):
    assert "WebhookConfig.secret: 1 have the newest key, 0 got it.\n" in manage("rotate_keys").out
    ran = manage("rotate_keys", "-v0")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
