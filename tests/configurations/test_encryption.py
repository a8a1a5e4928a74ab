"""Secrets at rest: what the database holds, and how its keys are replaced."""

import io

import pytest
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import TextField
from django.db.models.functions import Cast

from configurations import encryption
from configurations.models import SECRETS, Token, WebhookConfig
from tests.factories import make_config, make_seller

pytestmark = pytest.mark.django_db

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture
def keys(settings):
    """`keys(NEW, OLD)` sets FIELD_ENCRYPTION_KEY, newest first."""

    def keys(*values: str) -> None:
        settings.FIELD_ENCRYPTION_KEYS = list(values)

    keys(OLD)
    return keys


def raw(field, pk) -> str:
    return dict(encryption.stored(field))[pk]


def rotate(**options) -> str:
    out = io.StringIO()
    call_command("rotate_keys", stdout=out, **options)
    return out.getvalue()


def everything() -> list:
    return [
        *WebhookConfig.objects.order_by("pk").values_list(*SECRETS),
        *Token.objects.order_by("pk").values_list("value", "next_value"),
    ]


@pytest.fixture
def rows(keys):
    for _ in range(3):
        config = make_config()
        Token.of(config.owner)
    config.rotate_secret()


def test_the_database_holds_no_secret_and_no_token(rows):
    kept = [value for row in everything() for value in row if value]
    with connection.cursor() as cursor:
        for model in (WebhookConfig, Token):
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            stored = repr(cursor.fetchall())
            assert not [value for value in kept if value in stored]
    assert len(kept) == 7


def test_after_rotate_keys_the_newest_key_alone_reads_everything(rows, keys):
    before = everything()
    keys(NEW, OLD)
    report = rotate()
    assert "WebhookConfig.secret: 0 have the newest key, 3 got it." in report
    assert "WebhookConfig.previous_secret: 0 have the newest key, 1 got it." in report
    assert "Token.value: 0 have the newest key, 3 got it." in report
    keys(NEW)
    assert everything() == before


def test_a_second_run_changes_nothing(rows, keys):
    keys(NEW, OLD)
    rotate()
    stored = [list(encryption.stored(field)) for field in encryption.fields()]
    assert "WebhookConfig.secret: 3 have the newest key, 0 got it." in rotate()
    assert stored == [list(encryption.stored(field)) for field in encryption.fields()]


def test_a_dry_run_counts_and_writes_nothing(rows, keys):
    keys(NEW, OLD)
    assert "WebhookConfig.secret: 0 have the newest key, 3 would get it." in rotate(dry_run=True)
    assert "WebhookConfig.secret: 0 have the newest key, 3 got it." in rotate()


def test_more_rows_than_a_batch_are_all_renewed(rows, keys, monkeypatch):
    monkeypatch.setattr(encryption, "BATCH", 2)
    keys(NEW, OLD)
    rotate()
    keys(NEW)
    assert len(everything()) == 6


def test_what_no_key_reads_is_named_and_the_rest_renewed(rows, keys):
    keys(OTHER)
    lost = make_config()
    keys(NEW, OLD)
    with pytest.raises(CommandError, match=rf"1 value cannot be read .* WebhookConfig.secret {lost.pk}\."):
        rotate()
    keys(NEW)
    assert WebhookConfig.objects.exclude(pk=lost.pk).values_list("secret").count() == 3
    assert Token.objects.first().value


def test_a_secret_rotated_meanwhile_is_not_put_back(rows, keys):
    field = WebhookConfig._meta.get_field("secret")
    config = WebhookConfig.objects.last()
    old = raw(field, config.pk)
    WebhookConfig.objects.filter(pk=config.pk).update(secret="whsec_newer")
    encryption._replace(field, config.pk, old, encryption._all_of((NEW, OLD)).rotate(old.encode()).decode())
    config.refresh_from_db()
    assert config.secret == "whsec_newer"


def test_a_dump_holds_no_secret_and_can_be_loaded(rows, tmp_path):
    before, dump = everything(), tmp_path / "dump.json"
    call_command("dumpdata", "configurations", output=str(dump), verbosity=0)
    text = dump.read_text()
    assert not [value for row in before for value in row if value and value in text]
    WebhookConfig.objects.update(secret="other", previous_secret=None)
    Token.objects.all().delete()
    call_command("loaddata", str(dump), verbosity=0)
    assert everything() == before


# --- The start -----------------------------------------------------------------------------------------


def complaints() -> list[str]:
    found = run_checks(tags=["database"], databases=["default"])
    return [message.msg for message in found if message.id == "configurations.E001"]


def test_a_key_that_reads_what_is_stored_passes(rows, keys):
    assert complaints() == []
    keys(NEW, OLD)
    assert complaints() == []


def test_a_wrong_key_is_said_in_a_sentence_that_holds_no_key(rows, keys):
    keys(NEW)
    said = complaints()
    assert said
    assert "does not decrypt Token.value of row" in " ".join(said)
    assert not [key for key in (OLD, NEW) if key in " ".join(said)]


def test_an_empty_database_has_nothing_to_complain_of(keys):
    make_seller()
    assert complaints() == []


@pytest.mark.parametrize("key", ["", "x", "a" * 44, "whsec_" + "a" * 38])
def test_a_value_that_is_no_key_stops_the_start(keys, key):
    keys(NEW, key)
    with pytest.raises(ImproperlyConfigured, match="FIELD_ENCRYPTION_KEY holds a value that is no key"):
        encryption.check_keys()


# --- What rotate_keys takes along ------------------------------------------------------------------------


@pytest.fixture
def others(keys, monkeypatch):
    """Another app's JSON column, of which some texts went through encrypt()."""
    monkeypatch.setattr(
        encryption, "_also_in", {*encryption._also_in, ("configurations.WebhookConfig", "events")}
    )
    config = make_config(events=["plain", encryption.encrypt("one"), {"secret": encryption.encrypt("two")}])
    make_config(events=["PURCHASE_APPROVED"])
    return config


def test_texts_within_json_are_renewed_too(others, keys):
    keys(NEW, OLD)
    assert "WebhookConfig.events: 0 have the newest key, 1 would get it." in rotate(dry_run=True)
    assert "WebhookConfig.events: 0 have the newest key, 1 got it." in rotate()
    assert "WebhookConfig.events: 1 have the newest key, 0 got it." in rotate()
    keys(NEW)
    others.refresh_from_db()
    plain, one, two = others.events
    assert (plain, encryption.decrypt(one), encryption.decrypt(two["secret"])) == ("plain", "one", "two")


def test_texts_within_json_are_looked_at_as_we_start(others, keys):
    keys(NEW)
    assert any("WebhookConfig.events" in text for text in complaints())


def test_no_column_holds_a_token_that_rotate_keys_does_not_know(rows):
    """Of every table, the queue's and the sessions' too; one that is encrypted in a new way fails here."""
    known = {(field.model._meta.db_table, field.column) for field in encryption.fields()}
    found = set()
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            texts = model._base_manager.annotate(text=Cast(field.name, TextField())).values_list(
                "text", flat=True
            )
            if any("gAAAA" in text for text in texts if text):
                found.add((model._meta.db_table, field.column))
    assert found
    assert found <= known


def test_stopped_in_the_middle_the_next_run_goes_on(rows, keys, monkeypatch):
    keys(NEW, OLD)
    before, replace, replaced = everything(), encryption._replace, []

    def stop(*args):
        if len(replaced) == 2:
            raise KeyboardInterrupt
        replaced.append(replace(*args))

    with monkeypatch.context() as patched, pytest.raises(SystemExit) as stopped:
        patched.setattr(encryption, "_replace", stop)
        rotate()
    assert stopped.value.code == 130
    assert "2 have the newest key" in rotate()
    keys(NEW)
    assert everything() == before


def test_a_value_is_decrypted_once_and_again_for_other_keys(keys, monkeypatch):
    token = encryption.encrypt("whsec_1")
    decrypted, decrypt = [], MultiFernet.decrypt
    monkeypatch.setattr(MultiFernet, "decrypt", lambda self, msg: decrypted.append(msg) or decrypt(self, msg))
    assert [encryption.decrypt(token) for _ in range(3)] == ["whsec_1"] * 3
    assert len(decrypted) == 1
    keys(NEW)
    with pytest.raises(InvalidToken):
        encryption.decrypt(token)
