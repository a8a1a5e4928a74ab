"""Configurations in and out of the admin as files: by the rules of the form, all rows or none, never a secret."""

import csv
import io
import json
import re

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from configurations.models import Token, WebhookConfig
from sales import audit, exchange
from tests import factories
from tests.admin_forms import HiddenFields

pytestmark = pytest.mark.django_db
EXPORT = reverse("admin:configurations_webhookconfig_export")
IMPORT = reverse("admin:configurations_webhookconfig_import")
CSV, JSON = "0", "1"


@pytest.fixture
def staff(client):
    client.force_login(factories.make_staff("operations"))
    return client


def export(client, format_=CSV, **asked):
    answer = client.post(
        f"{EXPORT}?{'&'.join(f'{k}={v}' for k, v in asked.items())}", {"format": format_, "resource": "0"}
    )
    assert answer.status_code == 200
    return answer.content.decode("utf-8-sig")


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def csv_of(*facts, delimiter=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, list(facts[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(facts)
    return out.getvalue()


def upload(client, text, format_=CSV):
    file = SimpleUploadedFile("some.csv", text.encode() if isinstance(text, str) else text)
    return client.post(IMPORT, {"import_file": file, "format": format_, "resource": "0"})


def take(client, text, format_=CSV):
    """Upload, and press the button of the preview."""
    preview = upload(client, text, format_).content.decode()
    fields = HiddenFields(preview, "sure").data
    assert fields, re.sub(r"\s+", " ", preview)[-3000:]
    action = reverse("admin:configurations_webhookconfig_process_import")
    return client.post(action, {name: values[0] for name, values in fields.items()}, follow=True)


def a_row(owner, **facts):
    return {
        "owner": owner.code, "name": "Members", "url": "https://example.com/in", "events": "PURCHASE_APPROVED",
        "product": "", "version": "2.0.0",
    } | facts  # fmt: skip


# --- Out ----------------------------------------------------------------------------------------------


def test_the_export_holds_what_the_list_shows_and_no_secret(staff, product):
    config = factories.make_config(
        product.owner, product=product, name="Members", events=["PURCHASE_APPROVED"]
    )
    other = factories.make_config(name="Other")
    token = Token.of(config.owner)
    text = export(staff, q="Members")
    assert rows(text) == [
        {
            "id": str(config.pk), "owner": product.owner.code, "name": "Members", "url": config.url,
            "events": "PURCHASE_APPROVED", "product": str(product.code), "version": "2.0.0", "token_in_body": "0",
            "posts_per_second": "", "state": "on",
        }
    ]  # fmt: skip
    for whole in (export(staff), export(staff, JSON)):
        assert other.name in whole
        for key in (config.secret, token.value, "whsec_"):
            assert key not in whole


def test_no_cell_is_run_as_a_formula_and_it_comes_back_as_it_was(staff):
    config = factories.make_config(name='=HYPERLINK("x")', events=["PURCHASE_APPROVED"])
    text = export(staff)
    assert rows(text)[0]["name"] == '\'=HYPERLINK("x")'
    changed = text.replace("https://example.com/hook", "https://example.com/new")
    take(staff, changed)
    config.refresh_from_db()
    assert (config.name, config.url) == ('=HYPERLINK("x")', "https://example.com/new")


def test_who_exported_how_much_is_logged(staff):
    factories.make_config()
    export(staff)
    entry = LogEntry.objects.latest("pk")
    assert audit.fact_of(entry) == "1 rows were exported as CSV."
    assert entry.actor == staff.get("/admin/").wsgi_request.user


def test_too_many_rows_are_refused_with_what_to_do(staff, monkeypatch):
    monkeypatch.setattr(exchange, "MOST_OUT", 1)
    factories.make_config()
    factories.make_config()
    answer = staff.post(EXPORT, {"format": CSV, "resource": "0"})
    assert "filter the list first" in answer.content.decode()


# --- In -----------------------------------------------------------------------------------------------


def test_a_preview_shows_what_would_change_and_writes_nothing(staff):
    config = factories.make_config(name="Members", events=["PURCHASE_APPROVED"])
    new = factories.make_seller()
    entries = LogEntry.objects.count()
    text = upload(
        staff,
        csv_of(a_row(config.owner, url="https://example.com/other"), a_row(new, url="https://example.com/x")),
    ).content.decode()
    assert "<del>https://example.com/hook</del> <ins>https://example.com/other</ins>" in text
    assert "New" in text
    again = csv_of(a_row(config.owner, events="PURCHASE_APPROVED PURCHASE_REFUNDED"))
    assert "PURCHASE_APPROVED <ins>PURCHASE_REFUNDED</ins>" in upload(staff, again).content.decode()
    assert "style=" not in text
    assert WebhookConfig.objects.get().url == "https://example.com/hook"
    assert LogEntry.objects.count() == entries


def test_an_import_adds_and_changes_and_leaves_the_rest(staff, product):
    config = factories.make_config(
        product.owner, name="Members", events=["PURCHASE_APPROVED"], url="https://example.com/in"
    )
    same = factories.make_config(name="Members", events=["PURCHASE_APPROVED"], url="https://example.com/in")
    secret = config.secret
    answer = take(
        staff,
        csv_of(
            a_row(product.owner, id=config.pk, name="Renamed", events="PURCHASE_APPROVED PURCHASE_REFUNDED"),
            a_row(same.owner, id=""),
            a_row(product.owner, id="", name="New one", product=str(product.code)),
        ),
    )
    assert "1 new, 1 updated, 0 deleted and 1 skipped" in str(next(iter(answer.context["messages"])))
    config.refresh_from_db()
    assert (config.name, config.events) == ("Renamed", ["PURCHASE_APPROVED", "PURCHASE_REFUNDED"])
    assert config.secret == secret
    made = WebhookConfig.objects.get(name="New one")
    assert (made.product, made.state) == (product, "on")
    assert made.secret.startswith("whsec_")
    [entry] = LogEntry.objects.filter(additional_data__fact="imported")
    assert audit.fact_of(entry) == "A file was imported: 1 new, 1 changed, 1 as they were."
    assert audit.entries_of(WebhookConfig, config.pk).first().actor == entry.actor


def test_a_state_that_moved_meanwhile_stays(staff):
    config = factories.make_config(name="Members")
    preview = upload(staff, csv_of(a_row(config.owner))).content.decode()
    config.switch_off()
    fields = {name: values[0] for name, values in HiddenFields(preview, "sure").data.items()}
    staff.post(reverse("admin:configurations_webhookconfig_process_import"), fields)
    config.refresh_from_db()
    assert (config.state, config.url) == ("off", "https://example.com/in")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_spreadsheets_of_all_countries_are_read(staff, delimiter):
    take(staff, "\ufeff" + csv_of(a_row(factories.make_seller()), delimiter=delimiter))
    assert WebhookConfig.objects.get().name == "Members"


def test_json_is_read_too(staff):
    take(staff, json.dumps([a_row(factories.make_seller())]), JSON)
    assert WebhookConfig.objects.get().name == "Members"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://user:pw@example.com/"}, "url"),
        ({"events": "PURCHASE_NOTHING"}, "PURCHASE_NOTHING"),
        ({"events": ""}, "required"),
        ({"product": "999999999"}, "is not known here"),
        ({"owner": "NOBODY"}, "is not known here"),
        ({"version": "9.0.0"}, "9.0.0"),
        ({"id": "424242"}, "no configuration with this id"),
        ({"name": ""}, "required"),
    ],
)
def test_a_row_that_the_form_would_refuse_is_refused_with_its_line(staff, facts, reason):
    good, owner = factories.make_seller(), factories.make_seller()
    text = upload(staff, csv_of(a_row(good, id=""), a_row(owner, id="") | facts)).content.decode()
    assert "Nothing can be imported yet" in text
    assert "Row 2" in text
    assert reason in text
    assert "Traceback" not in text
    assert 'class="sure"' not in text
    assert not WebhookConfig.objects.exists()


def test_a_product_of_somebody_else_is_refused(staff, product):
    text = upload(staff, csv_of(a_row(factories.make_seller(), product=str(product.code)))).content.decode()
    assert "neither owns this product nor sold it" in text


def test_an_owner_is_not_changed_and_a_name_that_two_have_needs_the_id(staff):
    config = factories.make_config(name="Members")
    other = factories.make_seller()
    assert "keeps its owner" in upload(staff, csv_of(a_row(other, id=config.pk))).content.decode()
    factories.make_config(config.owner, name="Members")
    assert "give the id" in upload(staff, csv_of(a_row(config.owner))).content.decode()


def test_files_that_are_none_are_refused_in_words(staff, settings):
    seller = factories.make_seller()
    assert "There is no column colour" in upload(staff, csv_of(a_row(seller, colour="red"))).content.decode()
    assert "errorlist" in upload(staff, b"\xff\xfe\x00").content.decode()
    settings.IMPORT_MOST_CONFIGURATIONS = 1
    text = upload(staff, csv_of(a_row(seller), a_row(seller, name="B"))).content.decode()
    assert "2 rows, more than the 1" in text
    large = csv_of(*[a_row(seller)] * 100)
    settings.IMPORT_MOST_BYTES = len(large) - 1
    assert "more than the" in upload(staff, large).content.decode()


def test_a_file_that_waited_too_long_is_asked_for_again(staff):
    url = reverse("admin:configurations_webhookconfig_process_import")
    data = {"import_file_name": "gone", "original_file_name": "x", "format": CSV, "resource": "0"}
    answer = staff.post(url, data, follow=True)
    assert "Import again" in answer.content.decode()


def test_support_neither_imports_nor_exports(client):
    client.force_login(factories.make_staff("support"))
    assert client.get(EXPORT).status_code == 403
    assert client.get(IMPORT).status_code == 403
    assert client.post(reverse("admin:configurations_webhookconfig_process_import")).status_code == 403
    listed = client.get(reverse("admin:configurations_webhookconfig_changelist")).content.decode()
    assert EXPORT not in listed
    assert IMPORT not in listed


def test_the_pages_need_no_inline_script_or_style(staff):
    seller = factories.make_seller()
    pages = [
        staff.get(EXPORT),
        staff.get(IMPORT),
        upload(staff, csv_of(a_row(seller))),
        upload(staff, csv_of(a_row(seller, url="x"))),
    ]
    for answer in pages:
        text = answer.content.decode()
        assert not re.search(r"<style|<[^>]+\sstyle=|<[^>]+\son\w+=", text)
        assert not re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*json)", text)
