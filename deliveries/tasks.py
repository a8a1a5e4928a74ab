"""What django-q2 calls. Each bears being run twice, or by two workers at once."""

from django.conf import settings

from . import engine, wake
from .models import Delivery


def deliver_due() -> None:
    """Post what is due; what is still due after the budget is for the next job."""
    wake.taken()
    engine.drain(settings.DELIVERY_DRAIN_BUDGET)
    if Delivery.objects.due().exists():
        wake.wake()
