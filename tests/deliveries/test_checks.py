from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.test import override_settings


def said() -> set[str]:
    return {message.id for message in run_checks(tags=["deliveries"])}


def test_the_settings_of_a_fresh_installation_are_well():
    assert said() == set()


@pytest.mark.parametrize("days", [0, 30])
def test_the_history_may_be_kept_for_ever_or_for_a_month(days):
    with override_settings(HISTORY_RETENTION_DAYS=days):
        assert said() == set()


@pytest.mark.parametrize(
    ("settings", "id_"),
    [
        ({"DELIVERY_LEASE": timedelta(seconds=16)}, "deliveries.E001"),
        ({"DELIVERY_DEADLINE": 50.0, "DELIVERY_LEASE": timedelta(hours=1)}, "deliveries.E002"),
        ({"WATCHDOG_LIMIT": 20.0}, "deliveries.W001"),
        ({"DELIVERY_CA_FILE": "/no/such/file.pem"}, "deliveries.E003"),
        ({"DELIVERY_CA_FILE": __file__}, "deliveries.E003"),
        ({"DELIVERY_RETRY_AFTER": [timedelta(0)]}, "deliveries.E004"),
        ({"DELIVERY_ALLOWED_PORTS": []}, "deliveries.E005"),
        ({"HISTORY_RETENTION_DAYS": -1}, "deliveries.E006"),
        ({"HISTORY_RETENTION_DAYS": 7}, "deliveries.W002"),
    ],
)
def test_a_wrong_one_is_named_with_what_to_do(settings, id_):
    with override_settings(**settings):
        assert id_ in said()
        assert all(message.hint for message in run_checks(tags=["deliveries"]))
