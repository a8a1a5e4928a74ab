from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from webhookhub.templatetags.frame import icon, moment, short_url, utc_offset

NOON = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)


def shown(html: str) -> str:
    return html.partition(">")[2].replace("<span>", "").replace("</span>", "")


@pytest.fixture
def noon(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: NOON)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC), "00:04:05"),  # São Paulo is three hours behind
        (datetime(2026, 11, 23, 2, 59, tzinfo=UTC), "22 Nov, 23:59"),
        (datetime(2025, 12, 31, 12, 0, tzinfo=UTC), "31 Dec 2025, 09:00"),
    ],
)
def test_a_time_is_as_short_as_the_day_allows(noon, at, text):
    with timezone.override(ZoneInfo("America/Sao_Paulo")):
        assert moment(at).endswith(f">{text}</time>")


def test_a_time_tells_machines_and_the_curious_exactly(noon):
    with timezone.override(ZoneInfo("America/Sao_Paulo")):
        html = moment(NOON)
    assert 'datetime="2026-11-23T09:00:07-03:00"' in html
    assert 'title="23 Nov 2026, 09:00:07 GMT−3"' in html


def test_no_time_is_empty():
    assert moment(None) == ""


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("America/Sao_Paulo", "GMT−3"), ("UTC", "GMT"), ("Asia/Kolkata", "GMT+5:30"), ("Asia/Tokyo", "GMT+9")],
)
def test_the_distance_from_greenwich(zone, offset):
    with timezone.override(ZoneInfo(zone)):
        assert utc_offset(NOON) == offset


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://example.com/", "example.com"),
        ("https://example.com", "example.com"),
        ("https://example.com:8443/hook?a=1", "example.com:8443/hook?a=1"),
        ("https://example.com/" + "a" * 300, "example.com/" + "a" * 300),
    ],
)
def test_a_url_is_shown_whole_without_its_scheme(url, text):
    assert shown(short_url(url)) == text


def test_of_a_long_url_the_end_stays_when_there_is_no_room():
    html = short_url("https://example.com/hooks/9f21c7d0-5b1e-4c0b")
    assert html.endswith("<span>example.com/hooks/9f21c7</span><span>d0-5b1e-4c0b</span></span>")


def test_a_url_is_escaped():
    assert "<img>" not in short_url('https://example.com/"><img>')


def test_an_icon_is_one_of_the_sprite_and_silent():
    assert icon("lock", 12) == (
        '<svg width="12" height="12" aria-hidden="true"><use href="/static/vendor/icons.svg#lock"/></svg>'
    )
