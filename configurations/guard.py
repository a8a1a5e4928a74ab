"""What is secret is shown, and replaced, only to who has just typed the password again."""

import time

from allauth.account.forms import ReauthenticateForm
from allauth.core import ratelimit
from allauth.core.exceptions import ImmediateHttpResponse
from django.http import HttpRequest

WINDOW = 5 * 60  # seconds in which it is not asked for again
_GIVEN_AT = "password_given_at"  # in the session, which ends with the login


def password_form(request: HttpRequest) -> ReauthenticateForm | None:
    """The field that a guarded page shows; None while nothing is asked for."""
    if 0 <= time.time() - request.session.get(_GIVEN_AT, 0) < WINDOW:
        return None
    return ReauthenticateForm(request.POST if request.method == "POST" else None, user=request.user)


def lets_in(request: HttpRequest, form: ReauthenticateForm | None) -> bool:
    """Whether the guarded thing may be done; else `form`, from password_form(), says why not.

    Raises ImmediateHttpResponse, which becomes the page of too many tries, where a password is being guessed.
    """
    if form is None:
        return True
    if refused := ratelimit.consume_or_429(request, action="reauthenticate", user=request.user):
        raise ImmediateHttpResponse(refused)
    if not form.is_valid():
        return False
    request.session[_GIVEN_AT] = time.time()
    return True
