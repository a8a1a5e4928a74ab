"""View as this producer: all that the seller can read, nothing that changes, and always under the staff's own name."""

import re
import time

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from configurations.models import Token, WebhookConfig
from deliveries import engine
from deliveries.models import BulkReprocess, Delivery, SamplePost
from sales import audit
from sales.models import Seller
from tests import factories
from webhookhub import view_as

pytestmark = pytest.mark.django_db


def site_names(patterns, namespace=""):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            if pattern.namespace not in ("admin", "staff"):  # the staff's own, whatever they look at
                inner = f"{pattern.namespace}:" if pattern.namespace else ""
                yield from site_names(pattern.url_patterns, namespace + inner)
        elif isinstance(pattern, URLPattern):
            yield namespace + pattern.name


NAMES = sorted(set(site_names(get_resolver().url_patterns)))
# Addresses that are read when they are asked for with something of Ana's: {name: arguments}
WITH_ARGUMENTS = {
    "deliveries:detail": lambda post: [post.pk],
    "deliveries:panel": lambda post: [post.pk],
    "deliveries:curl": lambda post: [post.pk],
    "deliveries:reprocess": lambda post: [post.pk],
    "deliveries:timeline": lambda post: [post.event.transaction_code],
    "deliveries:code": lambda post: ["404"],
    "deliveries:test_result": lambda post: [a_test(post).pk],
    "deliveries:test_part": lambda post: [a_test(post).pk],
    "deliveries:bulk": lambda post: [a_bulk(post).pk],
    "deliveries:bulk_part": lambda post: [a_bulk(post).pk],
    "docs_tab:receiver": lambda post: ["receiver.py"],
    "docs_tab:signature": lambda post: ["2.0.0"],
    "docs_tab:success": lambda post: ["2.0.0"],
    "docs_tab:addresses": lambda post: ["2.0.0"],
    "docs_tab:event": lambda post: ["2.0.0", "PURCHASE_APPROVED"],
    "docs_tab:schema": lambda post: ["2.0.0", "PURCHASE_APPROVED", "producer"],
    "docs_tab:sample": lambda post: ["2.0.0", "PURCHASE_APPROVED", "producer"],
    "account_reset_password_from_key": lambda post: ["1", "a-b"],
    "view_as": lambda post: [post.owner_id],
}


def a_test(post):
    facts = {"type": post.event.type, "version": post.version, "audience": post.audience}
    return SamplePost.objects.create(
        config=post.config, owner=post.owner, url=post.config.url, body="{}", **facts
    )


def a_bulk(post):
    facts = {"asked_for": "some", "by": post.owner.user, "asked_at": timezone.now()}
    return BulkReprocess.objects.create(owner=post.owner, total=1, queued_to=None, **facts)


def address(name, post):
    if name in WITH_ARGUMENTS:
        return reverse(name, args=WITH_ARGUMENTS[name](post))
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[post.config_id])


@pytest.fixture
def post(receiver):
    ana = factories.make_seller(name="Ana Souza")
    config = factories.make_config(ana, url=receiver.url, name="Members")
    sale = factories.make_sale(factories.make_product(ana, name="Pottery"))
    made = config.deliveries.get(event__sale=sale)
    engine.drain()
    yield made
    engine.forget_transport()


@pytest.fixture
def staff(client):
    user = factories.make_staff("support")
    client.force_login(user)
    client.me = user
    return client


@pytest.fixture
def looking(staff, post):
    """Staff who look at Ana's pages."""
    answer = staff.post(reverse("view_as", args=[post.owner_id]))
    assert answer.status_code == 302
    return staff


def facts():
    return [
        (entry.additional_data.get("fact"), audit.actor_of(entry))
        for entry in LogEntry.objects.order_by("pk")
    ]


# --- Begin --------------------------------------------------------------------------------------------


def test_the_button_stands_on_the_sellers_page_of_the_admin(staff, post):
    text = staff.get(reverse("admin:sales_seller_change", args=[post.owner_id])).content.decode()
    assert f'action="{reverse("view_as", args=[post.owner_id])}"' in text
    none = factories.make_seller(login=False)
    text = staff.get(reverse("admin:sales_seller_change", args=[none.pk])).content.decode()
    assert "This seller has no login yet" in text
    assert reverse("view_as", args=[none.pk]) not in text
    assert staff.post(reverse("view_as", args=[none.pk])).status_code == 404


def test_it_needs_the_right_and_a_press(client, post):
    url = reverse("view_as", args=[post.owner_id])
    client.force_login(factories.make_seller().user)
    assert client.post(url).status_code == 302  # to the login
    looker = User.objects.create_user("l@example.com", "l@example.com", "x", is_staff=True)
    client.force_login(looker)
    assert client.post(url).status_code == 403
    client.force_login(factories.make_staff())
    assert client.get(url).status_code == 405
    assert view_as._KEY not in client.session


# --- What is seen -------------------------------------------------------------------------------------


def test_it_is_decided_of_every_address_whether_it_is_seen():
    """A new page is refused until somebody puts it into view_as.PAGES, having looked what it shows."""
    assert view_as.PAGES - set(NAMES) == set()
    refused = set(NAMES) - view_as.PAGES - view_as.OWN
    assert {name for name in refused if re.search("secret|token|added|curl|add$|rotate|password|login", name)} >= {
        "configurations:secret", "configurations:rotate_secret", "configurations:token", "configurations:added",
        "configurations:rotate_token", "deliveries:curl", "configurations:add", "account_change_password",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_each_address_is_seen_or_refused_and_no_press_of_a_button_gets_through(looking, post, name):
    url = address(name, post)
    before = (
        list(WebhookConfig.objects.values()),
        list(Delivery.objects.values()),
        list(Seller.objects.values()),
    )
    if name not in view_as.OWN:
        for method in (looking.post, looking.put, looking.patch, looking.delete):
            assert method(url, {}).status_code == 403
        answer = looking.get(url)
        expected = {200, 302} if name in view_as.PAGES else {403}
        assert answer.status_code in expected
        if answer.status_code == 403:
            assert "Nothing was changed" in answer.content.decode()
    after = (
        list(WebhookConfig.objects.values()),
        list(Delivery.objects.values()),
        list(Seller.objects.values()),
    )
    assert before == after


@pytest.mark.parametrize("name", sorted(view_as.PAGES))
def test_each_page_has_the_bar_and_shows_no_key(looking, post, name):
    token = Token.of(post.owner)
    answer = looking.get(address(name, post))
    if answer.status_code == 302 or "html" not in answer["Content-Type"] or name in PARTS:
        return
    text = answer.content.decode()
    assert "You see what Ana Souza sees." in text
    assert reverse("view_as_leave") in text
    assert token.value not in text
    assert post.config.secret not in text


MAKES_ROWS = {"deliveries:test_result", "deliveries:test_part", "deliveries:bulk", "deliveries:bulk_part"}
PARTS = {"deliveries:bulk_part", "deliveries:live", "deliveries:panel", "deliveries:test_part"}


def test_what_is_seen_is_the_sellers(looking, post):
    other = factories.make_config(name="Somebody else's")
    text = looking.get(reverse("configurations:list")).content.decode()
    assert "Members" in text
    assert other.name not in text
    assert looking.get(other.get_absolute_url()).status_code == 404
    assert post.event.transaction_code in looking.get(reverse("deliveries:history")).content.decode()


def test_the_command_that_is_signed_is_not_shown(looking, post):
    assert looking.get(post.get_absolute_url(), {"tab": "curl"}).status_code == 403
    history = looking.get(reverse("deliveries:history"), {"post": post.pk, "tab": "curl"})
    assert history.status_code == 403


def test_what_the_former_system_sent_is_listed_and_not_opened(looking, post):
    for name in ("legacy_posts:sent", "legacy_posts:pending", "legacy_posts:all"):
        assert looking.get(reverse(name)).status_code == 200
        assert looking.get(reverse(name), {"post": "1"}).status_code == 403
    assert looking.get(reverse("legacy_posts:sent_post", args=[1])).status_code == 403


def test_a_part_of_a_page_is_refused_with_a_sentence_alone(looking, post):
    answer = looking.post(
        reverse("configurations:check_url"), {"url": "https://x.example"}, headers={"HX-Request": "true"}
    )
    assert answer.status_code == 403
    text = answer.content.decode()
    assert "nothing was changed" in text
    assert "<html" not in text


def test_the_pages_write_nothing(looking, post):
    for name in sorted(view_as.PAGES - MAKES_ROWS):
        with CaptureQueriesContext(connection) as captured:
            looking.get(address(name, post))
        wrote = [
            query["sql"] for query in captured if query["sql"].lstrip().upper().startswith(view_as._WRITES)
        ]
        assert [sql for sql in wrote if "django_session" not in sql] == [], name


@pytest.mark.django_db(transaction=True)
def test_a_page_that_would_write_all_the_same_is_refused(looking, post, monkeypatch):
    from configurations import views

    def writes(*_args, **_kwargs):
        WebhookConfig.objects.update(name="written")

    monkeypatch.setattr(views, "Paginator", writes)
    answer = looking.get(reverse("configurations:list"))
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.content.decode()
    assert WebhookConfig.objects.get().name == "Members"


def test_the_admin_stays_the_staffs_own(looking, post):
    assert looking.me.email in looking.get("/admin/").content.decode()
    data = {"action": "reprocess", "_selected_action": [post.pk], "sure": "yes"}
    looking.post(reverse("admin:deliveries_delivery_changelist"), data)
    post.refresh_from_db()
    assert post.state == "waiting"
    answer = looking.get(reverse("admin:deliveries_delivery_changelist"))
    assert answer.wsgi_request.user == looking.me


# --- The end ------------------------------------------------------------------------------------------


def test_leaving_leads_back_to_the_seller_and_both_ends_are_logged(looking, post):
    answer = looking.post(reverse("view_as_leave"))
    assert answer.url == reverse("admin:sales_seller_change", args=[post.owner_id])
    assert facts()[-2:] == [("view_as_began", looking.me.email), ("view_as_left", looking.me.email)]
    assert {entry.object_id for entry in LogEntry.objects.filter(action=LogEntry.Action.ACCESS)} == {
        post.owner_id
    }
    text = looking.get(reverse("configurations:list")).content.decode()
    assert "You see what" not in text
    assert "Members" not in text


def test_it_is_over_after_an_hour(looking, post, monkeypatch):
    now = time.time()
    monkeypatch.setattr(view_as.time, "time", lambda: now + 3599 - 10)
    assert looking.get(reverse("configurations:list")).status_code == 200
    monkeypatch.setattr(view_as.time, "time", lambda: now + 3601)
    answer = looking.get(reverse("configurations:list"), follow=True)
    assert answer.redirect_chain[0][0] == reverse("admin:sales_seller_change", args=[post.owner_id])
    assert "You see your own pages again" in answer.content.decode()
    assert facts()[-1] == ("view_as_over", looking.me.email)


def test_it_is_over_when_the_right_to_it_is_taken_away(looking):
    looking.me.groups.clear()
    assert looking.get(reverse("configurations:list")).status_code == 302
    assert view_as._KEY not in looking.session


def test_signing_out_ends_it(looking, post):
    looking.post(reverse("account_logout"))
    assert facts()[-1] == ("view_as_signed_out", looking.me.email)
    assert view_as._KEY not in looking.session


def test_looking_at_another_leaves_the_first(looking, post):
    other = factories.make_seller(name="Bruno")
    looking.post(reverse("view_as", args=[other.pk]))
    assert "You see what Bruno sees." in looking.get(reverse("configurations:list")).content.decode()
    told = [fact for fact, _who in facts() if fact]
    assert told == ["view_as_began", "view_as_left", "view_as_began"]


def test_a_rotation_whose_time_has_come_hinders_no_page(looking, post):
    from datetime import timedelta

    token = Token.of(post.owner)
    token.rotate(timezone.now() + timedelta(hours=1))
    Token.objects.update(rotates_at=timezone.now() - timedelta(seconds=1))
    assert looking.get(post.config.get_absolute_url()).status_code == 200
