"""The bulk reprocesses in the staff admin."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from deliveries import bulk, engine
from deliveries.models import BulkReprocess, Delivery, State
from tests import factories

pytestmark = pytest.mark.django_db
LIST = reverse("admin:deliveries_bulkreprocess_changelist")


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


@pytest.fixture
def started(sell):
    """`started(n)`: a bulk reprocess of n posts that had arrived."""

    def started(count=1):
        posts = [sell() for _ in range(count)]
        engine.drain()
        chosen = Delivery.objects.filter(pk__in=[post.pk for post in posts])
        return bulk.start(chosen, asked_for="--status delivered")

    return started


def act(client, action, *rows, sure=True):
    data = {"action": action, "_selected_action": [row.pk for row in rows]} | (
        {"sure": "yes"} if sure else {}
    )
    return client.post(LIST, data, follow=True)


def said(answer):
    return [str(message) for message in answer.context["messages"]]


def test_the_list_says_how_far_each_is(staff, started):
    started(2)
    page = staff.get(LIST).content.decode()
    for text in ("0 of 2", "Running", "--status delivered", "several"):
        assert text in page
    engine.drain()
    page = staff.get(LIST).content.decode()
    assert "2 of 2" in page
    assert "Finished" in page


def test_its_page_has_all_figures_and_its_posts(staff, started):
    one = started(2)
    page = staff.get(reverse("admin:deliveries_bulkreprocess_change", args=[one.pk])).content.decode()
    link = f"{reverse('admin:deliveries_delivery_changelist')}?bulk__id__exact={one.pk}"
    assert link in page
    assert staff.get(link).context["cl"].result_count == 2


def test_staff_pause_go_on_and_stop(staff, started):
    one = started(2)
    assert "Pause 1 bulk reprocess?" in act(staff, "pause", one, sure=False).content.decode()
    assert Delivery.objects.filter(state=State.DELIVERED).count() == 0
    assert said(act(staff, "pause", one)) == ["1 was paused."]
    assert Delivery.objects.filter(state=State.DELIVERED).count() == 2
    assert "Go on with 1 bulk reprocess?" in act(staff, "go_on", one, sure=False).content.decode()
    assert said(act(staff, "go_on", one)) == ["1 goes on."]
    assert Delivery.objects.filter(state=State.WAITING).count() == 2
    asked = act(staff, "stop", one, sure=False).content.decode()
    assert "Stop 1 bulk reprocess?" in asked
    assert "2 posts that are not sent yet are as they were before" in asked
    assert said(act(staff, "stop", one)) == ["1 was stopped."]
    assert Delivery.objects.filter(state=State.DELIVERED, bulk=None).count() == 2


@pytest.mark.parametrize("action", ["pause", "go_on", "stop"])
def test_what_is_finished_or_stopped_stays_so(staff, started, action):
    finished, stopped = started(), started()
    bulk.stop(stopped)
    engine.drain()
    [text] = said(act(staff, action, finished, stopped))
    assert text.startswith("Nothing was changed")


def test_who_may_not_reprocess_may_look(client, started):
    one = started()
    user = get_user_model().objects.create_user("v@example.com", "v@example.com", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_bulkreprocess"))
    client.force_login(user)
    assert "Running" in client.get(LIST).content.decode()
    act(client, "stop", one)
    assert BulkReprocess.objects.get().state == "running"
    user.user_permissions.add(Permission.objects.get(codename="reprocess_delivery"))
    client.force_login(get_user_model().objects.get(pk=user.pk))
    act(client, "stop", one)
    assert BulkReprocess.objects.get().state == "stopped"


def test_the_list_takes_as_many_queries_for_many(staff, started):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(LIST).status_code == 200
        return len(captured)

    started()
    queries()
    for_one = queries()
    for _ in range(9):
        started()
    assert queries() == for_one <= 15
