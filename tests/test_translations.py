"""No string lacks its translation: the catalogs hold all that the sources say, and are compiled as they stand."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import polib
import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
LANGUAGES = ["pt_BR", "es"]
SOURCES = (".py", ".html", ".txt")
APPS = ("webhookhub", "sales", "configurations", "deliveries", "docs_tab", "legacy_posts", "templates")
PLACEHOLDER = re.compile(r"%\(\w+\)[-\d.]*[sdf]|\{\w*\}|%[sd%]|</?[a-z]+[^>]*>")


def catalog(language: str) -> polib.POFile:
    return polib.pofile(str(ROOT / "locale" / language / "LC_MESSAGES" / "django.po"))


@cache
def compiled(language: str) -> polib.MOFile:
    return polib.mofile(str(ROOT / "locale" / language / "LC_MESSAGES" / "django.mo"))


@pytest.fixture(scope="session")
def said(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str | None, str]]:
    """(context, text) of each string that the sources mark for translation."""
    if not shutil.which("xgettext"):
        if os.environ.get("CI"):
            pytest.fail("There is no xgettext: in CI the catalogs must be checked (apt-get install gettext).")
        pytest.skip(
            "There is no xgettext, so nobody knows what the sources say (Debian: apt install gettext)."
        )
    copy = tmp_path_factory.mktemp("sources")
    for app in APPS:
        for path in (ROOT / app).rglob("*"):
            if path.suffix in SOURCES:
                target = copy / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)
    (copy / "locale").mkdir()
    command = [
        sys.executable,
        "-m",
        "django",
        "makemessages",
        "--locale",
        "es",
        "--no-wrap",
        "--verbosity",
        "0",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=copy, env=environment, check=True)
    found = polib.pofile(str(copy / "locale" / "es" / "LC_MESSAGES" / "django.po"))
    return {(entry.msgctxt, entry.msgid) for entry in found}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_string_of_the_sources_is_translated(language: str, said: set[tuple[str | None, str]]):
    done = {(entry.msgctxt, entry.msgid) for entry in catalog(language).translated_entries()}
    assert len(said) > 1000
    assert sorted(text for _context, text in said - done) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_translated_that_nobody_says_any_more(language: str, said: set[tuple[str | None, str]]):
    kept = {(entry.msgctxt, entry.msgid) for entry in catalog(language)}
    assert sorted(text for _context, text in kept - said) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_a_guess(language: str):
    assert [entry.msgid for entry in catalog(language).fuzzy_entries()] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_holds_the_same_places_and_tags_as_its_string(language: str):
    wrong = []
    for entry in catalog(language):
        if entry.obsolete:
            continue
        if entry.msgid_plural:
            said = set(PLACEHOLDER.findall(entry.msgid)) | set(PLACEHOLDER.findall(entry.msgid_plural))
            odd = [
                text for text in entry.msgstr_plural.values() if not set(PLACEHOLDER.findall(text)) <= said
            ]
            full = set(PLACEHOLDER.findall(entry.msgid_plural))
            odd += [
                entry.msgstr_plural[n]
                for n in entry.msgstr_plural
                if n and set(PLACEHOLDER.findall(entry.msgstr_plural[n])) != full
            ]
            wrong += odd
        elif sorted(PLACEHOLDER.findall(entry.msgid)) != sorted(PLACEHOLDER.findall(entry.msgstr)):
            wrong.append(entry.msgstr)
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_plural_form_is_there(language: str):
    forms = int(re.search(r"nplurals=(\d)", catalog(language).metadata["Plural-Forms"])[1])
    lacking = [
        entry.msgid
        for entry in catalog(language)
        if entry.msgid_plural
        and not entry.obsolete
        and len([t for t in entry.msgstr_plural.values() if t]) != forms
    ]
    assert lacking == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_stands_in_the_catalog(language: str):
    """`make messages` compiles; a fresh machine has no gettext, so both are kept."""
    written = {
        (e.msgctxt, e.msgid): e.msgstr_plural or e.msgstr for e in catalog(language).translated_entries()
    }
    running = {(e.msgctxt, e.msgid): e.msgstr_plural or e.msgstr for e in compiled(language)}
    assert running == written
