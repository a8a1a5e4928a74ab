import pytest
from django.db import InterfaceError, OperationalError

from configurations.models import WebhookConfig, WebhookConfigQuerySet


@pytest.fixture
def fails(client, monkeypatch, producer):
    """The seller's first page, whose questions end with an error."""
    client.force_login(producer.user)
    client.raise_request_exception = False

    def fails(error):
        def raise_it(*_args, **_kwargs):
            raise error

        monkeypatch.setattr(WebhookConfigQuerySet, "visible_to", raise_it)
        monkeypatch.setattr(type(WebhookConfig.objects), "visible_to", raise_it)
        return client.get("/tools/webhook/configurations/")

    return fails


@pytest.mark.parametrize("error", [OperationalError("database or disk is full"), InterfaceError("closed")])
def test_a_database_that_is_away_is_503_in_words(fails, error):
    answer = fails(error)
    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "Our database cannot be reached, or is full" in answer.content.decode()


def test_any_other_fault_is_500(fails):
    answer = fails(ZeroDivisionError())
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()
