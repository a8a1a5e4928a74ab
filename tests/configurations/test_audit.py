"""Every change of what an owner can edit is in the audit log, whichever way it went; no secret ever is."""

from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from configurations import audit as config_audit
from configurations.models import Reason, Token, WebhookConfig
from deliveries import engine
from sales import audit
from sales.models import Seller
from tests import admin_forms, factories
from tests.sales.imports import Run, csv_of, row

pytestmark = pytest.mark.django_db


def last(row=None):
    entries = LogEntry.objects.order_by("-pk")
    return audit.entries_of(type(row), row.pk).first() if row else entries.first()


def told(entry):
    return [(change.label, change.old, change.new) for change in audit.changes_of(entry)]


@pytest.fixture
def config(producer):
    return factories.make_config(producer, name="Members", events=["PURCHASE_APPROVED"])


@pytest.fixture
def owner(client, config):
    client.force_login(config.owner.user)
    return client


def save(client, config, **changes):
    facts = {
        "name": config.name, "url": config.url, "events": config.events, "scope": "all", "version": config.version,
    }  # fmt: skip
    return client.post(config.get_absolute_url(), facts | changes, REMOTE_ADDR="203.0.113.5")


# --- What, by whom, from where ------------------------------------------------------------------------


def test_an_owners_edit_is_logged_with_what_it_was_and_where_it_came_from(owner, config):
    assert save(owner, config, url="https://example.com/new", events=["PURCHASE_REFUNDED"]).status_code == 302
    entry = last(config)
    assert told(entry) == [
        ("Events", "", "added: Refunded · taken off: Approved"),
        ("URL", "https://example.com/hook", "https://example.com/new"),
    ]
    assert (entry.actor, entry.remote_addr) == (config.owner.user, "203.0.113.5")
    assert entry.additional_data["owner"] == str(config.owner)


def test_a_form_that_changes_nothing_logs_nothing(owner, config):
    before = LogEntry.objects.count()
    save(owner, config)
    assert LogEntry.objects.count() == before


def test_each_move_of_the_state_is_logged(owner, config):
    owner.post(reverse("configurations:disable", args=[config.pk]))
    assert told(last(config)) == [("State", "On", "Off")]
    owner.post(reverse("deliveries:enable", args=[config.pk]))
    assert told(last(config)) == [("State", "Off", "On")]
    owner.post(reverse("configurations:remove", args=[config.pk]))
    assert told(last(config)) == [("State", "On", "Removed")]


def test_what_we_do_ourselves_has_no_actor_but_our_name(config):
    config.disable(Reason.GONE, "410")
    entry = last(config)
    assert (entry.actor, entry.remote_addr, audit.actor_of(entry)) == (None, None, "webhookhub")
    assert told(entry) == [
        ("Disabled because", "–", str(Reason.GONE.label)),
        ("In detail", "–", "410"),
        ("State", "On", "Disabled by us"),
    ]


def test_a_command_is_named(config, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/srv/webhookhub/manage.py", "changepassword", "ana"])
    config.switch_off()
    assert audit.actor_of(last(config)) == "changepassword"


def test_a_move_that_is_rolled_back_leaves_no_entry(config, monkeypatch):
    from configurations.signals import configuration_disabled

    def broken(**_):
        raise RuntimeError

    configuration_disabled.connect(broken)
    try:
        before = LogEntry.objects.count()
        with pytest.raises(RuntimeError):
            config.switch_off()
    finally:
        configuration_disabled.disconnect(broken)
    assert LogEntry.objects.count() == before


@pytest.mark.parametrize(
    ("behind_proxy", "header", "address"),
    [
        (False, "198.51.100.9", "203.0.113.5"),
        (True, "198.51.100.9", "198.51.100.9"),
        (True, "192.0.2.1, 198.51.100.9", "198.51.100.9"),  # the first is what the client claimed
        (True, "no address", None),
        (True, "2001:db8::5", "2001:db8::5"),
    ],
)
def test_a_forwarded_address_counts_only_behind_our_proxy(
    owner, config, settings, behind_proxy, header, address
):
    settings.BEHIND_PROXY = behind_proxy
    facts = {
        "name": "New",
        "url": config.url,
        "events": config.events,
        "scope": "all",
        "version": config.version,
    }
    owner.post(
        config.get_absolute_url(), facts, REMOTE_ADDR="203.0.113.5", headers={"x-forwarded-for": header}
    )
    assert last(config).remote_addr == address


# --- Secrets and tokens -------------------------------------------------------------------------------


def test_rotations_are_facts_without_a_value(config):
    token = Token.of(config.owner)
    seen = {config.secret, token.value}
    config.rotate_secret()
    assert audit.fact_of(last(config)) == "The signing secret was rotated."
    assert not config.rotate_secret()  # refused within a day: nothing happened
    assert (
        audit.entries_of(WebhookConfig, config.pk).filter(additional_data__fact="secret_rotated").count() == 1
    )

    token.rotate()
    assert audit.fact_of(last(token)) == "The security token was rotated."
    token.rotate(timezone.now() + timedelta(hours=3))
    entry = last(token)
    assert audit.fact_of(entry) == "A rotation of the security token was set."
    assert [(old, len(new) > 8) for _label, old, new in told(entry)] == [("–", True)]
    seen |= {token.value, token.next_value, config.secret}
    token.keep()
    assert audit.fact_of(last(token)) == "The rotation of the security token was called off."
    token.rotate(timezone.now() + timedelta(hours=3))
    Token.objects.update(rotates_at=timezone.now() - timedelta(seconds=1))
    assert Token.objects.settle() == 1
    assert audit.fact_of(last(token)) == "The security token was rotated, as it had been set."
    seen |= {Token.objects.get().value}
    assert Token.objects.settle() == 0

    kept = "".join(str(vars(entry)) for entry in LogEntry.objects.all())
    for value in seen:
        assert value not in kept
        assert value.removeprefix("whsec_") not in kept


def test_no_row_of_a_new_configuration_holds_its_secret(owner):
    facts = {
        "url": "https://example.com/a",
        "events": ["PURCHASE_APPROVED"],
        "scope": "all",
        "version": "2.0.0",
    }
    owner.post(reverse("configurations:add"), facts)
    made = WebhookConfig.objects.latest("pk")
    entry = last(made)
    assert entry.action == LogEntry.Action.CREATE
    assert made.secret.removeprefix("whsec_") not in str(vars(entry))


# --- People, products, imports ------------------------------------------------------------------------


def test_an_account_a_password_and_rights_are_logged(owner, config):
    seller = config.owner
    owner.post(reverse("account"), {"name": "Ana B.", "language": "en", "time_zone": "America/Bogota"})
    assert ("Time zone", "America/Sao_Paulo", "America/Bogota") in told(last(seller))
    data = {
        "oldpassword": factories.PASSWORD, "password1": "quite-another-one-7", "password2": "quite-another-one-7",
    }  # fmt: skip
    assert owner.post(reverse("account_change_password"), data).status_code == 302
    entry = last(seller.user)
    assert audit.fact_of(entry) == "The password was changed."
    assert "pbkdf2" not in str(vars(entry))
    assert "quite-another" not in str(vars(entry))
    seller.user.is_staff = True
    seller.user.save()
    assert ("Staff status", "No", "Yes") in told(last(seller.user))


def test_a_login_logs_nothing(client, producer):
    before = LogEntry.objects.count()
    client.post(reverse("account_login"), {"login": producer.user.email, "password": factories.PASSWORD})
    assert "_auth_user_id" in client.session
    assert LogEntry.objects.count() == before


def test_a_password_that_is_hashed_anew_is_no_change(producer):
    user = get_user_model().objects.get(pk=producer.user_id)
    user.password = "pbkdf2_sha256$1$x$y"
    user.save(update_fields=["password"])
    assert not audit.entries_of(get_user_model(), user.pk).filter(additional_data__fact="password").exists()


def test_staff_who_change_a_product_are_named(client, product):
    staff = factories.make_staff()
    client.force_login(staff)
    url = reverse("admin:sales_product_change", args=[product.pk])
    client.post(url, admin_forms.filled_in(client, url, shares_buyers="on"))
    entry = last(product)
    assert told(entry) == [("Affiliates see the buyers", "No", "Yes")]
    assert audit.actor_of(entry) == staff.email


def test_sellers_and_products_that_an_import_makes_known_are_logged(tmp_path):
    (tmp_path / "sales.csv").write_text(csv_of(row(producer_code="P1")))
    assert Run(tmp_path / "sales.csv").code == 0
    assert last(Seller.objects.get(code="P1")).action == LogEntry.Action.CREATE
    assert LogEntry.objects.filter(additional_data__owner__icontains="(P1)").exists()


# --- The worker ---------------------------------------------------------------------------------------


def test_posting_writes_nothing_into_the_log(receiver, config, product):
    WebhookConfig.objects.filter(pk=config.pk).update(url=receiver.url)
    factories.make_sales(product, 20)
    before = LogEntry.objects.count()
    with CaptureQueriesContext(connection) as captured:
        engine.drain()
    assert len(receiver.posts) == 20
    assert LogEntry.objects.count() == before
    assert not [query for query in captured if "auditlog" in query["sql"]]
    engine.forget_transport()


# --- Reading ------------------------------------------------------------------------------------------


def test_the_owner_reads_who_changed_what(owner, config, client):
    save(owner, config, name="Mine")
    staff = factories.make_staff()
    client.force_login(staff)
    admin_forms.act(client, reverse("admin:configurations_webhookconfig_changelist"), "disable", [config])
    config.refresh_from_db()
    config.enable()
    Token.of(config.owner).rotate()
    client.force_login(config.owner.user)
    text = client.get(reverse("configurations:changes", args=[config.pk])).content.decode()
    shown = [config_audit.shown_to_owner(entry, config).who for entry in config_audit.of(config)]
    assert shown[:4] == ["webhookhub", "webhookhub", "Support", "You"]
    for words in ("Members", "Mine", "Support", "The security token was rotated.", "203.0.113.5"):
        assert words in text
    assert staff.email not in text
    assert "127.0.0.1" not in text  # where support works from


def test_the_changes_are_paged_and_read_with_as_many_queries(owner, config):
    url = reverse("configurations:changes", args=[config.pk])

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert owner.get(url).status_code == 200
        return len(captured)

    config.switch_off()
    few = queries()
    for _ in range(30):
        config.enable()
        config.switch_off()
    assert queries() == few <= 15
    assert 'rel="next"' in owner.get(url).content.decode()


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff())
    return client


LIST = "admin:auditlog_logentry_changelist"


def test_staff_find_the_changes_of_a_row_behind_its_page(staff, config):
    other = factories.make_config()
    other.switch_off()
    config.switch_off()
    page = reverse("admin:configurations_webhookconfig_change", args=[config.pk])
    text = staff.get(page).content.decode()
    history = reverse("admin:configurations_webhookconfig_history", args=[config.pk])
    assert f'href="{history}" class="historylink">Changes' in text
    answer = staff.get(history, follow=True)
    assert {entry.object_id for entry in answer.context["cl"].result_list} == {config.pk}


@pytest.mark.parametrize("words", ["Members", "owner-code", "staff"])
def test_the_log_is_searched_by_object_owner_and_actor(staff, words):
    seller = factories.make_seller(code="OWNERCODE")
    config = factories.make_config(seller, name="Members")
    url = reverse("admin:configurations_webhookconfig_changelist")
    admin_forms.act(staff, url, "disable", [config])
    asked = {"owner-code": "OWNERCODE", "staff": staff.get("/admin/").wsgi_request.user.email}.get(
        words, words
    )
    found = staff.get(reverse(LIST), {"q": asked, "kind": "configurations.webhookconfig"}).context["cl"]
    assert config.pk in {entry.object_id for entry in found.result_list}
    assert not staff.get(reverse(LIST), {"q": "nowhere"}).context["cl"].result_count


def test_nobody_edits_or_deletes_the_log(staff, config):
    config.switch_off()
    entry = last(config)
    for name in ("delete", "change"):
        url = reverse(f"admin:auditlog_logentry_{name}", args=[entry.pk])
        assert staff.post(url, {"post": "yes"}).status_code == 403
    assert staff.get(reverse("admin:auditlog_logentry_add")).status_code == 403
    data = {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"}
    assert "delete_selected" not in staff.post(reverse(LIST), data).content.decode()
    assert LogEntry.objects.filter(pk=entry.pk).exists()


def test_what_was_logged_outlives_the_row_and_the_user(staff):
    nobody = get_user_model().objects.create_user("gone@example.com", "gone@example.com", "x")
    seller = factories.make_seller(login=False)
    LogEntry.objects.filter(object_id=seller.pk).update(actor=nobody, actor_email=nobody.email)
    staff.post(reverse("admin:sales_seller_delete", args=[seller.pk]), {"post": "yes"})
    staff.post(reverse("admin:auth_user_delete", args=[nobody.pk]), {"post": "yes"})
    assert not Seller.objects.filter(pk=seller.pk).exists()
    assert not get_user_model().objects.filter(pk=nobody.pk).exists()
    kept = audit.entries_of(Seller, seller.pk)
    assert {entry.action for entry in kept} == {LogEntry.Action.CREATE, LogEntry.Action.DELETE}
    assert {audit.actor_of(entry) for entry in kept.filter(action=LogEntry.Action.CREATE)} == {
        "gone@example.com"
    }


def test_old_entries_can_be_cleared_away_by_who_runs_the_site(config):
    LogEntry.objects.update(timestamp=timezone.now() - timedelta(days=800))
    config.switch_off()
    day = timezone.localdate() - timedelta(days=730)
    call_command("auditlogflush", "--yes", "--before-date", day.isoformat())
    assert list(LogEntry.objects.all()) == [last(config)]
