"""The figures that say whether posts go out at all."""

from datetime import timedelta

import pytest
from django.utils import timezone

from configurations.events import Priority
from configurations.models import Reason, WebhookConfig
from deliveries import engine, tasks, vitals, wake
from deliveries.choices import Lane
from deliveries.models import Delivery, DeliveryAttempt, State
from tests import factories

pytestmark = pytest.mark.django_db


def since(**span: float):
    return timezone.now() - timedelta(**span)


def enabled_long_ago(config: WebhookConfig) -> None:
    WebhookConfig.objects.filter(pk=config.pk).update(state_changed_at=since(days=9))


def minutes_due() -> float | None:
    seen = vitals.vitals()
    age = seen.age(seen.posts.due_since)
    return age and round(age / timedelta(minutes=1))


def test_with_nothing_to_do_there_is_nothing_to_tell(config):
    seen = vitals.vitals()
    assert seen.posts == vitals.Posts(0, None, 0, None)
    assert seen.lag == vitals.Lag(0, None, None)
    assert seen.configurations == vitals.Configurations(0, 0, 0)
    assert seen.age(seen.posts.due_since) is None


def test_a_first_try_is_due_since_its_event(sell, config):
    sell()
    enabled_long_ago(config)
    Delivery.objects.update(created_at=since(minutes=7))
    assert vitals.posts().due == 1
    assert minutes_due() == 7


def test_what_was_held_is_due_since_its_configuration_was_switched_on(sell, config):
    sell()
    Delivery.objects.update(created_at=since(days=3))
    WebhookConfig.objects.update(state_changed_at=since(minutes=4))
    assert minutes_due() == 4


def test_a_retry_is_due_since_its_time(sell, config):
    delivery = sell()
    enabled_long_ago(config)
    Delivery.objects.update(created_at=since(days=1), attempts_made=2, next_try_at=since(minutes=2))
    assert minutes_due() == 2
    Delivery.objects.filter(pk=delivery.pk).update(next_try_at=timezone.now() + timedelta(minutes=2))
    assert vitals.posts().due == 0


@pytest.mark.parametrize(
    "asked_again", [{"attempts_made": 5}, {"priority": Priority.BACKLOG}, {"lane": Lane.BULK}]
)
def test_what_was_asked_for_again_is_due_and_has_no_age(sell, config, asked_again):
    sell()
    enabled_long_ago(config)
    Delivery.objects.update(created_at=since(days=80), next_try_at=None, **asked_again)
    assert vitals.posts().due == 1
    assert minutes_due() is None


def test_what_waits_for_a_configuration_that_is_off_is_not_due(sell, config):
    sell()
    WebhookConfig.objects.update(state="off")
    assert vitals.posts().due == 0


def test_a_lease_that_ran_out_is_counted_since_then(sell):
    sell()
    Delivery.objects.update(state=State.SENDING, lease_until=since(minutes=3))
    seen = vitals.vitals()
    assert (seen.posts.due, seen.posts.lapsed) == (0, 1)
    assert seen.age(seen.posts.lapsed_since) >= timedelta(minutes=3)


def test_the_lag_is_from_the_event_to_its_first_try(sell_many):
    sell_many(20)
    engine.drain()
    for number, attempt in enumerate(DeliveryAttempt.objects.order_by("pk"), start=1):
        started = attempt.delivery.created_at + timedelta(seconds=number)
        DeliveryAttempt.objects.filter(pk=attempt.pk).update(started_at=started)
    lag = vitals.lag(timezone.now())
    assert (lag.tries, lag.p50, lag.p95) == (20, timedelta(seconds=10), timedelta(seconds=19))


def test_old_events_and_second_tries_are_no_lag(sell, receiver):
    sell()
    engine.drain()
    DeliveryAttempt.objects.update(number=2)
    assert vitals.lag(timezone.now()).tries == 0
    DeliveryAttempt.objects.update(number=1)
    assert vitals.lag(timezone.now()).tries == 1
    Delivery.objects.update(created_at=since(minutes=6))
    assert vitals.lag(timezone.now()).tries == 0


def test_configurations_that_fail_or_are_disabled_are_counted(sell, receiver, config):
    receiver.answers(500)
    for _ in range(2):
        sell()
        engine.drain()
    assert vitals.configurations().failing == 0, "two failures are what the retries are for"
    sell()
    engine.drain()
    factories.make_config().disable(Reason.SERVER)
    assert vitals.configurations() == vitals.Configurations(failing=1, disabled=1, together=0)
    WebhookConfig.objects.filter(pk=config.pk).update(url="http://127.0.0.1:1/new")
    assert vitals.configurations().failing == 0, "nothing is known of the new URL"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("clean_queue")
class TestTheQueue:
    def test_its_jobs_are_counted_and_nobody_is_there(self, sell):
        sell()
        assert vitals.cluster() == vitals.Cluster(queue=1, clusters=0, workers=0)

    def test_one_that_is_away_is_not_known(self, redis_queue):
        redis_queue.stop()
        assert vitals.cluster() == vitals.Cluster(None, None, None)

    def test_the_sweep_says_when_it_was_done(self):
        assert vitals.swept_at() is None
        tasks.sweep()
        assert timezone.now() - vitals.swept_at() < timedelta(minutes=1)
        wake.wake()
        assert vitals.swept_at() is not None


def test_they_cost_the_same_however_many_there_are(sell_many, django_assert_max_num_queries):
    sell_many(2)
    engine.drain()
    sell_many(10)
    with django_assert_max_num_queries(10):
        vitals.vitals()
