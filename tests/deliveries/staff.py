"""What the tests of the staff's pages share."""

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from configurations.models import WebhookConfig
from deliveries.models import DeliveryAttempt
from tests import factories


def make_member(*permissions: str) -> Any:
    """Of the staff, with these rights ("app.codename") and no others."""
    name = f"member{get_user_model().objects.count()}@example.com"
    member = get_user_model().objects.create_user(name, name, "x", is_staff=True)
    for permission in permissions:
        app, codename = permission.split(".")
        member.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    return member


def make_tries(
    config: WebhookConfig, *outcomes: int | str, at: datetime | None = None, ms: int = 100
) -> None:
    """Of one post to `config`, a try for each of `outcomes`: a status, or a problem."""
    product = config.product or factories.make_product(config.owner)
    sale = factories.make_sale(product)
    delivery = config.deliveries.get(event__sale=sale)
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            delivery=delivery,
            number=number,
            started_at=at or timezone.now(),
            duration_ms=ms,
            url=config.url,
            request_headers=[],
            status=outcome if isinstance(outcome, int) else None,
            problem=outcome if isinstance(outcome, str) else "",
            delivered=outcome == 200,
        )
        for number, outcome in enumerate(outcomes, 1)
    )


def queries_of(client: Any, url: str, **data: Any) -> int:
    client.get(url, data)  # what is cached once, such as content types
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, data).status_code == 200
    return len(captured)
