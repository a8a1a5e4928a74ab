"""What django-q2 calls. Each bears being run twice, or by two workers at once."""

from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now
from django_q.models import Failure

from configurations.models import Token, WebhookConfig
from sales import sessions

from . import apart, breaker, bulk, cluster, disabling, engine, leases, retention, testing, wake
from .models import BulkReprocess, HeldHost, WakeFlag

KEEP_FAILURES = timedelta(days=7)  # of jobs, not of posts: django-q2 keeps them for ever


def deliver_due() -> None:
    """Post what is due; what is left after the budget is for the next job, or for another cluster."""
    wake.taken()
    wake.came_through()
    engine.drain(settings.DELIVERY_DRAIN_BUDGET, cluster.ending)
    _wake_for_the_rest()


def send_test(pk: int) -> None:
    """Post the test with that id."""
    testing.send(pk)


def carry_on_bulk(pk: int) -> None:
    """Queue, or take back, what of the bulk reprocess with that id is left; what takes long is for the next job."""
    if found := BulkReprocess.objects.filter(pk=pk).first():
        bulk.carry_on(found, settings.DELIVERY_DRAIN_BUDGET)


def sweep() -> None:
    """Every minute: the last resort of the clock, and what is no matter of seconds."""
    _wake_for_the_rest()
    Failure.objects.filter(stopped__lt=Now() - KEEP_FAILURES).delete()
    apart.settle_strays()
    breaker.settle()
    if not HeldHost.everything():  # a copy that was restored tells nobody of what came of posts back then
        disabling.look()
    Token.objects.settle()
    WebhookConfig.objects.forget_old_secrets()
    testing.forget_old()
    WakeFlag.objects.update_or_create(pk=1, defaults={"swept_at": Now()})


def purge() -> None:
    """Every night: delete what is older than the retention. What is left after the budget is done in a minute."""
    sessions.forget_expired()
    if not settings.HISTORY_RETENTION_DAYS:
        return
    if not retention.delete_for(settings.DELIVERY_DRAIN_BUDGET, cluster.ending):
        cluster.schedule_rest_of_purge()


def _wake_for_the_rest() -> None:
    if leases.anything_to_do():
        wake.wake()
