"""Every outcome has words."""

import pytest
from django.utils.translation import override

from deliveries.explain import SECTIONS, explain, for_slug
from deliveries.models import Problem
from deliveries.words import BY_SLUG

NAMED = [
    *(200, 201, 202, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 413),
    *(415, 419, 422, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526),
]


@pytest.mark.parametrize("status", NAMED)
def test_each_code_of_the_list_has_words_of_its_own(status):
    words = explain(status)
    assert words.slug == str(status)
    assert words.kind == ("ok" if status < 300 else "bad")
    assert str(words.what_to_do)


@pytest.mark.parametrize("problem", Problem.values)
def test_each_kind_of_error_has_words_that_name_the_host(problem):
    words = explain(None, problem, "in detail", url="https://hooks.example:8443/in")
    assert words.slug == problem
    assert "{" not in str(words.happened)
    assert str(words.who)
    assert words.detail == "in detail"


def test_the_host_and_port_of_the_url_stand_in_the_words():
    assert (
        str(explain(None, "refused", url="https://hooks.example:8443/in").happened)
        == "Nothing listens on hooks.example:8443."
    )
    assert (
        str(explain(None, "refused", url="http://hooks.example/").happened)
        == "Nothing listens on hooks.example:80."
    )


@pytest.mark.parametrize("url", ["", "https://[::1", "https://host:99999/", "no url at all"])
def test_a_url_that_cannot_be_read_breaks_no_words(url):
    assert "the host" in str(explain(None, "dns", url=url).happened)


@pytest.mark.parametrize(
    ("status", "kind", "title"),
    [
        (206, "ok", "Code 206"),
        (304, "bad", "Code 304"),
        (418, "bad", "Code 418"),
        (599, "bad", "Code 599"),
        (103, "bad", "Code 103"),
        (999, "bad", "Code 999"),
    ],
)
def test_other_codes_get_the_words_of_their_range(status, kind, title):
    words = explain(status)
    assert (words.kind, str(words.title)) == (kind, title)
    assert for_slug(words.slug).happened == words.happened


def test_a_redirect_says_where_to_whatever_the_address_holds():
    words = explain(301, headers=[["location", "https://www.example.com/{host}/%s"]])
    assert "https://www.example.com/{host}/%s" in str(words.happened)
    assert "another address" in str(explain(301).happened)


def test_a_web_page_for_an_answer_is_amber():
    assert explain(200, page=True, delivered=True).slug == "page"
    assert explain(200, page=True, delivered=True).kind == "wait"
    assert explain(404, page=True).slug == "404"


def test_the_redirect_of_apps_script_is_a_success_where_it_counted_as_one():
    assert explain(302, delivered=True).kind == "ok"
    assert explain(302).kind == "bad"


def test_what_was_not_tried_has_no_words():
    assert explain(None) is None


def test_a_status_says_more_than_the_break_after_it():
    assert explain(500, Problem.RESET).slug == "500"


def test_the_page_of_codes_leaves_none_out():
    listed = [slug for _title, slugs in SECTIONS for slug in slugs]
    assert sorted(listed) == sorted(BY_SLUG)


@pytest.mark.parametrize("slug", ["", "nope", "1000", "٤٠٤", "40"])
def test_no_words_for_what_is_no_code(slug):
    with pytest.raises(KeyError):
        for_slug(slug)


def test_words_wait_for_the_language_of_the_reader():
    with override("pt-br"):
        words = explain(None, "dns", url="https://hooks.example/")
    with override("en"):
        assert str(words.happened) == "hooks.example does not exist."
