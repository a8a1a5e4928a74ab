"""What the History shows, to take away."""

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from sales.limits import limited
from sales.spreadsheets import csv_response
from sales.views import seller_required

from . import export, pages
from .models import Delivery


@require_safe
@seller_required
@limited("export", "GET")
def history_csv(request: HttpRequest) -> StreamingHttpResponse:
    """All that the filters show, and not the page that is on screen alone."""
    posts = pages.asked(request).filters.of(Delivery.objects.visible_to(request.user))
    header, rows = export.table(posts, export.COLUMNS)
    return csv_response(f"history-{timezone.localdate()}", header, rows)
