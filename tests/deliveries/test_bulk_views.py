"""More than a few posts from the History at once: asked, watched, paused, stopped."""

import pytest
from django.urls import reverse
from django.utils import timezone

from deliveries import bulk, bulk_views, engine, tasks, wake
from deliveries.choices import BulkState, Lane
from deliveries.models import BulkReprocess, Delivery, State
from sales.statuses import SaleStatus
from tests import factories

pytestmark = pytest.mark.django_db
ALL = reverse("deliveries:reprocess_all")
HISTORY = reverse("deliveries:history")


@pytest.fixture(autouse=True)
def logged_in(client, producer):
    client.force_login(producer.user)


@pytest.fixture
def failed(config, product):
    """`failed(n)`: n posts that failed."""

    def failed(count):
        factories.make_sales(product, count)
        Delivery.objects.filter(state=State.WAITING).update(
            state=State.FAILED, tries=5, last_status=404, finished_at=timezone.now()
        )

    return failed


@pytest.fixture
def few(monkeypatch):
    """What counts as a few is 3."""
    monkeypatch.setattr(bulk_views, "BY_HAND", 3)


def text(answer):
    assert answer.status_code == 200
    return answer.content.decode()


def press(client, query="", asked_at=None, **follow):
    asked_at = asked_at or client.get(ALL + query).context["asked_at"]
    return client.post(ALL + query, {"asked_at": asked_at}, **follow)


def do(client, started, what):
    return client.post(started.get_absolute_url(), {"do": what}, follow=True)


# --- the question


def test_few_go_at_once_as_fresh_ones(client, failed):
    failed(100)
    page = text(client.get(ALL))
    assert "Send 100 posts?" in page
    assert "They go at once" in page
    press(client)
    assert not BulkReprocess.objects.exists()
    assert Delivery.objects.filter(state=State.WAITING, lane=Lane.FRESH).count() == 100


def test_more_go_behind_all_that_is_new(client, failed, producer):
    failed(101)
    assert "They go behind all that is new" in text(client.get(f"{ALL}?status=failed"))
    answer = press(client, "?status=failed")
    started = BulkReprocess.objects.get()
    assert answer.url == started.get_absolute_url()
    assert (started.owner, started.by, started.asked_for) == (producer, producer.user, "Status: Failed")
    assert Delivery.objects.filter(state=State.WAITING, lane=Lane.BULK).count() == 101


def test_the_question_says_what_would_open_an_access_that_was_closed(client, sell):
    sale = sell().event.sale
    sale.status = SaleStatus.CHARGEBACK
    sale.save()
    sell()
    engine.drain()
    page = text(client.get(ALL))
    assert "1 of them is of a sale that was refunded, charged back or cancelled since" in page
    assert "3 of them arrived already" in page


def test_so_does_the_page_of_a_single_post(client, sell):
    post = sell()
    engine.drain()
    warning = "this would open an access that was closed"
    assert warning not in text(client.get(post.get_absolute_url()))
    sale = post.event.sale
    sale.status = SaleStatus.REFUNDED
    sale.save()
    assert warning in text(client.get(post.get_absolute_url()))
    refund = sale.events.get(type="PURCHASE_REFUNDED").deliveries.get()
    assert warning not in text(client.get(refund.get_absolute_url()))


def test_of_many_those_that_wait_are_told_of_and_left_alone(client, failed, sell, few):
    failed(4)
    sell()
    page = text(client.get(ALL))
    assert "Send 4 posts?" in page
    assert "1 more waits for its next try already" in page
    press(client)
    assert BulkReprocess.objects.get().total == 4


def test_where_all_of_many_wait_nothing_is_started(client, product, config, few):
    factories.make_sales(product, 4)
    assert "There is nothing to send" in text(client.get(ALL))
    assert "Nothing was left to send" in text(press(client, follow=True))
    assert not BulkReprocess.objects.exists()


def test_the_same_button_pressed_twice_starts_it_once(client, failed, few):
    failed(4)
    asked_at = client.get(ALL).context["asked_at"]
    first = press(client, asked_at=asked_at)
    assert press(client, asked_at=asked_at).url == first.url
    engine.drain()
    assert press(client, asked_at=asked_at).url == first.url
    assert BulkReprocess.objects.count() == 1
    assert set(Delivery.objects.values_list("attempts_made", flat=True)) == {1}


def test_what_was_searched_for_is_not_kept(client, failed, few):
    failed(4)
    Delivery.objects.first().event.__class__.objects.update(buyer_email="ana@example.com")
    press(client, "?q=ana@example.com")
    started = BulkReprocess.objects.get()
    assert (started.total, started.asked_for) == (4, "one search")
    assert "ana" not in str(started.selection)


# --- its page


def started_with(client, failed, count=4):
    failed(count)
    press(client)
    return BulkReprocess.objects.get()


def test_its_page_says_how_far_it_is(client, failed, few, receiver):
    receiver.answers(200, 200, 200, 500)
    started = started_with(client, failed)
    page = text(client.get(started.get_absolute_url()))
    assert "Reprocess 4 posts" in page
    assert "0 of 4 posts sent" in page
    engine.drain()
    part = text(client.get(reverse("deliveries:bulk_part", args=[started.pk])))
    assert "4 of 4 posts sent" in part
    assert "Finished" in part
    assert "Tried again later" in part
    assert 'name="do"' not in part
    assert client.get(f"{HISTORY}?bulk={started.pk}&status=delivered").context["count"] == 3


def test_it_is_paused_goes_on_and_is_stopped(client, failed, few):
    started = started_with(client, failed)
    page = text(do(client, started, "pause"))
    assert "What was not sent is as it was before" in page
    assert Delivery.objects.filter(state=State.FAILED, tries=5).count() == 4
    assert "All that is new goes first" in text(do(client, started, "go_on"))
    assert Delivery.objects.filter(state=State.WAITING).count() == 4
    page = text(do(client, started, "stop"))
    assert "Not sent, as they were" in page
    assert Delivery.objects.filter(state=State.FAILED, bulk=None).count() == 4
    assert "was stopped" in text(do(client, started, "go_on"))


def test_what_makes_no_sense_does_nothing(client, failed, few):
    started = started_with(client, failed)
    do(client, started, "explode")
    started.refresh_from_db()
    assert started.state == BulkState.RUNNING


@pytest.mark.parametrize("name", ["bulk", "bulk_part"])
def test_only_its_owner_sees_it(client, failed, few, name):
    started = started_with(client, failed)
    client.force_login(factories.make_seller().user)
    assert client.get(reverse(f"deliveries:{name}", args=[started.pk])).status_code == 404
    assert client.post(started.get_absolute_url(), {"do": "stop"}).status_code == 404
    assert "4 posts" not in text(client.get(reverse("deliveries:bulks")))
    assert "Reprocessing" not in text(client.get(HISTORY))
    started.refresh_from_db()
    assert started.state == BulkState.RUNNING


def test_the_list_holds_all_and_says_so_where_there_is_none(client, failed, few):
    assert "Nothing was reprocessed in bulk yet" in text(client.get(reverse("deliveries:bulks")))
    started_with(client, failed)
    page = text(client.get(reverse("deliveries:bulks")))
    assert "All posts" in page
    assert "0 arrived, 0 failed" in page


def test_the_list_takes_as_many_queries_for_many(client, failed, few, django_assert_max_num_queries):
    started_with(client, failed)
    facts = {"asked_for": "x", "total": 1, "queued_to": None}
    owner = BulkReprocess.objects.get().owner
    for _ in range(20):
        BulkReprocess.objects.create(owner=owner, asked_at=timezone.now(), **facts)
    with django_assert_max_num_queries(15):
        page = text(client.get(reverse("deliveries:bulks")))
    assert "Older" in page


def test_the_history_says_what_is_under_way(client, failed, few):
    started = started_with(client, failed)
    for page in (text(client.get(HISTORY)), text(client.get(reverse("deliveries:live")))):
        assert "Reprocessing 4 posts: 0 sent" in page
        assert started.get_absolute_url() in page
    bulk.pause(started)
    assert "Reprocess of 4 posts paused: 0 sent" in text(client.get(HISTORY))
    bulk.stop(started)
    page = text(client.get(HISTORY))
    assert "Reprocess of" not in page
    assert reverse("deliveries:bulks") in page


def test_a_row_says_that_it_waits_in_one(client, failed, few):
    started_with(client, failed)
    assert "bulk reprocess" in text(client.get(HISTORY))


@pytest.mark.parametrize("query", ["?bulk=x", "?bulk=99999999999999999999", "?bulk=-1", "?bulk=7"])
def test_no_bulk_in_the_query_string_breaks_the_history(client, sell, query):
    sell()
    text(client.get(HISTORY + query))


# --- many more than a request can queue


def test_the_worker_queues_what_a_request_has_no_time_for(client, failed, few, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk_views, "SECONDS", 0)
    asked = []
    monkeypatch.setattr(bulk, "async_task", lambda job, pk, broker: asked.append((job, pk)))
    started = started_with(client, failed)
    assert started.queued == 1
    assert asked == [(bulk.JOB, started.pk)]
    assert "They are being queued" in text(client.get(started.get_absolute_url()))
    tasks.carry_on_bulk(started.pk)
    started.refresh_from_db()
    assert (started.queued, started.queued_to) == (4, None)


def test_without_a_queue_its_page_offers_to_go_on(client, failed, few, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", 1)
    monkeypatch.setattr(bulk_views, "SECONDS", 0)
    monkeypatch.setattr(wake, "broker", lambda: 1 / 0)
    started = started_with(client, failed)
    monkeypatch.setattr(bulk_views, "SECONDS", 9)
    assert "Go on" in text(client.get(started.get_absolute_url()))
    do(client, started, "go_on")
    started.refresh_from_db()
    assert started.queued == 4


def test_the_job_of_one_that_is_gone_does_nothing():
    tasks.carry_on_bulk(4711)
