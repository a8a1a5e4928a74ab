"""What is told of an error of ours: to whoever asked for the page, and to ADMINS, where it happened and not with what."""

import sys
import traceback

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.utils.html import format_html
from django.views import defaults
from django.views.debug import ExceptionReporter

AWAY = (OperationalError, InterfaceError)  # out of reach, locked for long, or its disk is full
TRY_AGAIN = 30  # seconds


def server_error(request: HttpRequest) -> HttpResponse:
    """503 where the database is to blame, which passes; 500 for a fault of ours. Asks the database nothing."""
    if isinstance(sys.exc_info()[1], AWAY):
        page = loader.get_template("503.html").render()
        return HttpResponse(page, status=503, headers={"Retry-After": str(TRY_AGAIN)})
    return defaults.server_error(request)


class DiscreetReporter(ExceptionReporter):
    """For mails to ADMINS, where somebody sets them: the kinds of the exceptions, and the lines they came by.

    Neither variables, nor what was asked for, nor the words of the exceptions: they hold secrets and buyers.
    """

    def get_traceback_text(self) -> str:
        parts, error, seen = [], self.exc_value, set()
        while error is not None and id(error) not in seen:
            seen.add(id(error))
            parts += [type(error).__qualname__, *traceback.format_tb(error.__traceback__)]
            error = error.__cause__ or error.__context__
        return "\n".join(part.rstrip() for part in parts)

    def get_traceback_html(self) -> str:
        return format_html("<pre>{}</pre>", self.get_traceback_text())
