"""What is told of an error of ours: where it happened, and not with what."""

import traceback

from django.utils.html import format_html
from django.views.debug import ExceptionReporter


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
