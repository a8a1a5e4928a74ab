"""Numbers, money and spans of time, as the page's language writes them."""

from datetime import datetime, timedelta
from decimal import Decimal

from babel import Locale, UnknownLocaleError
from babel.numbers import format_currency, format_decimal, format_percent
from django import template
from django.utils import timezone, translation
from django.utils.translation import gettext, ngettext

register = template.Library()


def _locale() -> Locale:
    try:
        return Locale.parse(translation.to_locale(translation.get_language() or "en"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


@register.filter
def money(amount: Decimal | None, currency: str = "") -> str:
    """R$1,188.00 in English, R$ 1.188,00 in Portuguese; empty where the amount is not known."""
    if amount is None:
        return ""
    if not currency:
        return str(format_decimal(amount, format="#,##0.00", locale=_locale()))
    return str(format_currency(amount, currency, locale=_locale()))


@register.filter
def number(value: int | None) -> str:
    """1,204 or 1.204; empty where it is not known."""
    return "" if value is None else str(format_decimal(value, locale=_locale()))


@register.filter
def percent(share: float | None) -> str:
    """A share from 0 to 1 with one decimal, never rounded up to a whole that it is not: 0.9996 is 99.9 %."""
    if share is None:
        return ""
    return str(format_percent(int(share * 1000) / 1000, format="#,##0.#\u00a0%", locale=_locale()))


@register.filter
def milliseconds(value: int | None) -> str:
    """212 ms, and from one second on 15.0 s."""
    if value is None:
        return ""
    if value < 1000:
        return gettext("%(n)s ms") % {"n": number(value)}
    seconds = format_decimal(Decimal(value) / 1000, format="#,##0.0", locale=_locale())
    return gettext("%(n)s s") % {"n": seconds}


@register.filter
def age(since: datetime | None) -> str:
    """How long ago: 40 s, 12 min, 2 h 37 min, 3 days."""
    return "" if since is None else span(timezone.now() - since)


@register.filter
def ahead(at: datetime | None) -> str:
    """How long until then, in the same words."""
    return "" if at is None else span(at - timezone.now())


def span(length: timedelta) -> str:
    """A length of time in the two largest units that matter; nothing is shorter than 0 s."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < 60:
        return gettext("%(n)s s") % {"n": seconds}
    minutes = seconds // 60
    if minutes < 60:
        return gettext("%(n)s min") % {"n": minutes}
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        if minutes:
            return gettext("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}
        return gettext("%(n)s h") % {"n": hours}
    return ngettext("%(n)s day", "%(n)s days", hours // 24) % {"n": number(hours // 24)}
