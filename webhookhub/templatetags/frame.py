"""What the pages of all parts share: icons, times, URLs that are cut to fit."""

from datetime import datetime

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """One of the sprite's icons. It says nothing to a screen reader: the word stands beside it."""
    return format_html(
        '<svg width="{0}" height="{0}" aria-hidden="true"><use href="{1}#{2}"/></svg>',
        size,
        static("vendor/icons.svg"),
        name,
    )


@register.filter
def moment(at: datetime | None) -> str:
    """A time in the page's zone, as short as the day allows; the whole of it in the title."""
    if at is None:
        return ""
    at, now = timezone.localtime(at), timezone.localtime()
    if at.date() == now.date():
        text = date_format(at, "H:i:s")
    else:
        text = date_format(at, "j M, H:i" if at.year == now.year else "j M Y, H:i")
    exact = f"{date_format(at, 'j M Y, H:i:s')} {utc_offset(at)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), exact, text)


@register.simple_tag
def utc_offset(at: datetime | None = None) -> str:
    """The page's distance from Greenwich: GMT−3, GMT+5:30."""
    minutes = round(timezone.localtime(at).utcoffset().total_seconds() / 60)
    if not minutes:
        return "GMT"
    hours, rest = divmod(abs(minutes), 60)
    return f"GMT{'−' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")


@register.simple_tag
def short_url(url: str) -> SafeString:
    """Host and path without the scheme; too long for its place, it is cut in the middle of the path."""
    shown = url.partition("://")[2] or url
    host, _, path = shown.partition("/")
    if not path:
        shown = host
    at = len(shown) - (min(12, len(path) // 2) if len(path) >= 12 else 0)
    return format_html(
        '<span class="cut" title="{}"><span>{}</span><span>{}</span></span>', url, shown[:at], shown[at:]
    )


@register.simple_tag
def support_address() -> str:
    """Where people ask for help; empty where none is set."""
    return settings.SUPPORT_ADDRESS
