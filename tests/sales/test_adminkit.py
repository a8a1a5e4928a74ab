"""Bulk actions ask before they do anything."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse

from sales import adminkit
from sales.models import Seller
from tests import factories
from tests.admin_forms import HiddenFields, act

pytestmark = pytest.mark.django_db
LIST = reverse("admin:configurations_webhookconfig_changelist")


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


def ask(client, action, rows, url=LIST, **more):
    data = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0"}
    return client.post(url, data | more)


def states(configs):
    return [config.state for config in configs if not config.refresh_from_db()]


def test_an_action_first_says_what_it_would_do_and_does_nothing(staff):
    configs = [factories.make_config(name=f"Number {n}") for n in range(7)]
    configs[0].switch_off()
    asked = ask(staff, "disable", configs)
    text = asked.content.decode()
    assert "Switch off 6 configurations?" in text
    assert "1 of the chosen stays as it is" in text
    assert sum(f"Number {n}" in text for n in range(7)) == adminkit.EXAMPLES
    assert "and 2 more" in text
    assert states(configs) == ["off"] + ["on"] * 6


def test_the_way_back_has_the_focus_and_leads_to_the_list_as_it_was(staff):
    config = factories.make_config()
    text = ask(staff, "disable", [config], LIST + "?state=on").content.decode()
    assert f'href="{LIST}?state=on" autofocus' in text
    assert text.count("autofocus") == 1


def test_what_was_chosen_is_done_once_the_button_is_pressed(staff):
    chosen, other = [factories.make_config(), factories.make_config()], factories.make_config()
    answer = act(staff, LIST, "disable", chosen)
    assert [str(message) for message in answer.context["messages"]] == [
        "2 configurations were switched off. What waits is held."
    ]
    assert states([*chosen, other]) == ["off", "off", "on"]


def test_all_over_several_pages_are_those_that_were_there_when_it_asked(staff, monkeypatch):
    monkeypatch.setattr(adminkit.BigTable, "list_per_page", 2)
    owner = factories.make_seller()
    there = [factories.make_config(owner, url="https://one.example/") for _ in range(5)]
    other = factories.make_config(url="https://two.example/")
    url = LIST + "?q=one.example"
    asked = ask(staff, "disable", there[:2], url, select_across="1").content.decode()
    assert "Switch off 5 configurations?" in asked
    later = factories.make_config(owner, url="https://one.example/")
    staff.post(url, HiddenFields(asked, "sure").data)
    assert states([*there, other, later]) == ["off"] * 5 + ["on", "on"]


def test_where_nothing_can_be_done_there_is_no_button(staff):
    config = factories.make_config()
    text = ask(staff, "enable", [config]).content.decode()
    assert "There is nothing to enable" in text
    form = text.split('class="sure"')[1].split("</form>")[0]
    assert "Cancel" in form
    assert 'type="submit"' not in form


def test_names_that_strangers_chose_are_no_markup(staff):
    config = factories.make_config(name="<script>x</script>")
    text = ask(staff, "disable", [config]).content.decode()
    assert "<script>x" not in text
    assert "&lt;script&gt;x" in text


def test_inviting_says_who_gets_no_mail(staff, mailoutbox):
    new, there = factories.make_seller(login=False), factories.make_seller()
    url = reverse("admin:sales_seller_changelist")
    text = ask(staff, "invite", [new, there], url).content.decode()
    assert "Invite 1 seller?" in text
    assert "1 of the chosen has a login already" in text
    text = ask(staff, "invite_again", [new, there], url).content.decode()
    assert "There is nobody to invite" in text
    assert mailoutbox == []
    assert Seller.objects.get(pk=new.pk).user is None


def test_who_may_not_do_it_is_not_asked(client):
    config = factories.make_config()
    looker = get_user_model().objects.create_user("l@example.com", "l@example.com", "x", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_webhookconfig"))
    client.force_login(looker)
    assert "Switch off" not in ask(client, "disable", [config]).content.decode()
    ask(client, "disable", [config], sure="yes")
    assert states([config]) == ["on"]
