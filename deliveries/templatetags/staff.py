"""What the admin's own pages show of posts; the admin is above this app's pages, and asks by tag."""

from typing import Any

from django import template

from deliveries.staff import board

register = template.Library()


@register.inclusion_tag("deliveries/staff/_board.html", takes_context=True)
def staff_board(context: dict[str, Any]) -> dict[str, Any]:
    """How the posts fare, at a glance; nothing for whoever may not see them."""
    request = context["request"]
    return {"board": board.board(request.user), "request": request}
