"""What the admin's lists are made of."""

from calendar import monthrange
from datetime import date, datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import capfirst
from django.utils.translation import gettext as _

register = template.Library()


@register.inclusion_tag("admin/date_hierarchy.html")
def date_links(cl: Any) -> dict[str, Any]:
    """The years, months or days of a list to choose from: all from its first row to its last.

    Django's own asks which of them have a row, and so reads all there are; the two ends stand in an index.
    """
    name = cl.date_hierarchy
    first, last = _end(cl, name), _end(cl, f"-{name}")
    if first is None or last is None:
        return {"show": False}
    year, month, day = _chosen(cl)
    if not year and first.year == last.year:
        year = first.year
        if first.month == last.month:
            month = first.month

    def choice(title: str, **chosen: int) -> dict[str, str]:
        filters = {f"{name}__{part}": value for part, value in chosen.items()}
        return {"title": capfirst(title), "link": cl.get_query_string(filters, [f"{name}__"])}

    if day:
        title = date_format(date(year, month, day), "MONTH_DAY_FORMAT")
        back = choice(date_format(date(year, month, 1), "YEAR_MONTH_FORMAT"), year=year, month=month)
        return {"show": True, "back": back, "choices": [{"title": title}]}
    if month:
        days = (date(year, month, n) for n in range(1, monthrange(year, month)[1] + 1))
        back = choice(str(year), year=year)
        choices = [
            choice(date_format(one, "MONTH_DAY_FORMAT"), year=year, month=month, day=one.day)
            for one in days
            if first <= one <= last
        ]
    elif year:
        back = choice(_("All dates"))
        choices = [
            choice(date_format(date(year, one, 1), "YEAR_MONTH_FORMAT"), year=year, month=one)
            for one in range(1, 13)
            if (first.year, first.month) <= (year, one) <= (last.year, last.month)
        ]
    else:
        back = None
        choices = [choice(str(one), year=one) for one in range(first.year, last.year + 1)]
    return {"show": True, "back": back, "choices": choices}


def _end(cl: Any, order: str) -> date | None:
    rows = cl.model._default_manager.filter(**{f"{cl.date_hierarchy}__isnull": False})
    at = rows.order_by(order).values_list(cl.date_hierarchy, flat=True).first()
    return timezone.localdate(at) if isinstance(at, datetime) else at


def _chosen(cl: Any) -> tuple[int, int, int]:
    """Year, month and day, 0 for what is not chosen; all of them where they make no date."""
    try:
        year, month, day = (
            int(cl.params.get(f"{cl.date_hierarchy}__{part}") or 0) for part in ("year", "month", "day")
        )
        date(year or 2000, month or 1, day or 1)
    except (ValueError, OverflowError):
        return 0, 0, 0
    return (year, month if year else 0, day if year and month else 0)
