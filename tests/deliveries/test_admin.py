import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries import engine
from deliveries.models import Delivery, DeliveryAttempt, State
from deliveries.reprocessing import BulkReprocess
from tests import admin_forms, factories
from tests.receiver import Answer

pytestmark = pytest.mark.django_db
LIST = "admin:deliveries_delivery_changelist"


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def act(client, *deliveries):
    return admin_forms.act(client, reverse(LIST), "reprocess", deliveries)


def messages_of(answer):
    return [str(message) for message in answer.context["messages"]]


def test_staff_reprocess_posts_and_hear_how_many(staff, receiver, sell):
    sent = [sell(), sell()]
    engine.drain()
    answer = act(staff, *sent)
    assert messages_of(answer) == ["2 posts are sent now."]
    engine.drain()
    assert len(receiver.posts) == 4


def test_all_that_a_search_found_can_be_reprocessed_at_once(staff, receiver, sell):
    wanted, other = sell(buyer_email="ana@example.com"), sell()
    engine.drain()
    url = reverse(LIST) + "?q=ana@example.com"
    answer = admin_forms.act(staff, url, "reprocess", [wanted], select_across="1")
    assert messages_of(answer) == ["1 post is sent now."]
    states = [delivery.state for delivery in (wanted, other) if not delivery.refresh_from_db()]
    assert states == [State.WAITING, State.DELIVERED]


def test_what_cannot_be_sent_is_counted_too(staff, sell, config):
    delivery = sell()
    config.switch_off()
    answer = act(staff, delivery)
    assert messages_of(answer) == [
        "0 posts are sent now.",
        "1 post stays as it is: it is on its way, or its configuration is not on.",
    ]


def test_reprocess_is_for_those_who_may_change_deliveries(client, sell):
    looker = get_user_model().objects.create_user("l@example.com", "l@example.com", "x", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_delivery"))
    client.force_login(looker)
    delivery = sell()
    engine.drain()
    assert "reprocess" not in client.get(reverse(LIST)).content.decode().split('name="action"')[-1][:400]
    act(client, delivery)
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED


def test_the_attempts_stand_under_the_delivery_with_their_outcome(staff, receiver, sell):
    receiver.answers(Answer(404, b'{"error": "<b>no</b>"}', {"Content-Type": "application/json"}))
    delivery = sell()
    engine.drain()
    text = staff.get(reverse("admin:deliveries_delivery_change", args=[delivery.pk])).content.decode()
    attempt = DeliveryAttempt.objects.get()
    link = reverse("admin:deliveries_deliveryattempt_change", args=[attempt.pk])
    assert f'<a href="{link}">1</a>' in text
    assert f'href="{reverse("deliveries:code", args=["404"])}">404</a>' in text
    assert "PURCHASE_APPROVED" in text  # the payload
    shown = staff.get(link).content.decode()
    assert "&lt;b&gt;no&lt;/b&gt;" in shown
    assert "Nothing is at this address" in shown


def test_an_answer_that_is_no_text_can_be_looked_at(staff, receiver, sell):
    receiver.answers(Answer(200, bytes(range(256))))
    sell()
    engine.drain()
    attempt = DeliveryAttempt.objects.get()
    url = reverse("admin:deliveries_deliveryattempt_change", args=[attempt.pk])
    assert staff.get(url).status_code == 200


def test_the_number_of_queries_of_a_delivery_does_not_grow_with_its_attempts(staff, sell, receiver):
    delivery = sell()
    url = reverse("admin:deliveries_delivery_change", args=[delivery.pk])

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(url).status_code == 200
        return len(captured)

    def try_again(times):
        for _ in range(times):
            Delivery.objects.all().send_again()
            engine.drain()

    try_again(2)
    queries()
    for_two = queries()
    try_again(5)
    assert queries() == for_two


def test_many_posts_go_behind_all_that_is_fresh_and_can_be_stopped(staff, receiver, sell, monkeypatch):
    monkeypatch.setattr("deliveries.reprocess_admin.FEW", 2)
    sent = [sell() for _ in range(3)]
    engine.drain()
    answer = act(staff, *sent)
    [text] = messages_of(answer)
    assert text.startswith("3 posts are being sent, behind all that is fresh.")
    started = BulkReprocess.objects.get()
    assert (started.total, started.by) == (3, answer.wsgi_request.user)
    engine.drain()
    assert len(receiver.posts) == 6


def test_too_many_are_refused_with_what_to_do(staff, receiver, sell, monkeypatch):
    monkeypatch.setattr("deliveries.reprocess_admin.FEW", 1)
    monkeypatch.setattr("deliveries.reprocess_admin.MOST", 2)
    sent = [sell() for _ in range(3)]
    engine.drain()
    data = {"action": "reprocess", "_selected_action": [delivery.pk for delivery in sent]}
    asked = staff.post(reverse(LIST), data).content.decode()
    assert "These are too many at once" in asked
    assert "the command “reprocess”" in asked
    staff.post(reverse(LIST), data | {"sure": "yes"})
    assert not BulkReprocess.objects.exists()
    assert len(receiver.posts) == 3
