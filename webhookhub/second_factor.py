"""The second factor: a code that changes every 30 seconds, from an app on the user's phone; of allauth's mfa.

Who sells something chooses whether to have one; staff need one where STAFF_NEEDS_SECOND_FACTOR says so. Its secret is
encrypted as ours are. A code is good once, from half a minute before to half a minute after its time; five wrong ones
lock for five minutes, as wrong passwords do. Who has lost the phone signs in with a recovery code, or asks staff, who
take the second factor away in the admin.
"""

from collections.abc import Callable
from typing import Any

from allauth.core.internal.cryptokit import normalize_user_code
from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.base.internal.flows import check_rate_limit
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy as _

from configurations import encryption

encryption.also_in("mfa.Authenticator", "data")

# What staff without a second factor may ask for: what leads to one, and the way out.
_OPEN = {
    "account_login", "account_logout", "account_reauthenticate", "account_change_password", "set_language",
    "mfa_activate_totp", "mfa_view_recovery_codes", "admin:logout", "admin:jsi18n",
}  # fmt: skip


class SecondFactorAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": _("This code is not right, or was used already. Wait for the next one."),
        "too_many_codes": _("Too many wrong codes. Wait 5 minutes."),
    }

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text)

    def get_totp_issuer(self) -> str:
        return settings.SITE_NAME

    def build_totp_svg(self, url: str) -> SafeString:
        """For the page itself: the policy lets no image through that is written into an address."""
        import qrcode
        from qrcode.image.svg import SvgPathImage

        drawn = qrcode.make(url, image_factory=SvgPathImage, border=2)
        return mark_safe(drawn.to_string(encoding="unicode"))  # noqa: S308  squares, and no text at all


# --- Each code once -----------------------------------------------------------------------------------


class _Once:
    """A code that was accepted is refused for as long as the clocks' tolerance would let it through again."""

    user: Any
    cleaned_data: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["code"]
        field.label = _("Code")
        field.max_length = 20
        field.widget.attrs = {"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}

    def clean_code(self) -> str:
        used = f"code-used:{self.user.pk}:{normalize_user_code(self.cleaned_data['code'])}"
        try:
            if cache.get(used):
                check_rate_limit(self.user)
                raise get_adapter().validation_error("incorrect_code")
            code = super().clean_code()
        except ValidationError as error:
            if error.code == "too_many_login_attempts":
                raise get_adapter().validation_error("too_many_codes") from error
            raise
        lasts = (2 * app_settings.TOTP_TOLERANCE + 1) * app_settings.TOTP_PERIOD
        if not cache.add(used, 1, lasts):
            raise get_adapter().validation_error("incorrect_code")
        return code


class SignInForm(_Once, AuthenticateForm):
    pass


class ConfirmForm(_Once, ReauthenticateForm):
    pass


class SetUpForm(_Once, ActivateTOTPForm):
    pass


# --- Staff --------------------------------------------------------------------------------------------


class SecondFactorMiddleware:
    """Staff who need a second factor and have none are led to where it is set up, whatever they ask for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.STAFF_NEEDS_SECOND_FACTOR and is_missing(request.user) and not _is_open(request):
            return redirect("mfa_activate_totp")
        return self.get_response(request)


def is_missing(user: Any) -> bool:
    """Whether this is a member of staff without a second factor."""
    if not (user.is_authenticated and user.is_staff):
        return False
    known = getattr(user, "has_second_factor", None)  # came with the user
    return not (is_mfa_enabled(user, [Authenticator.Type.TOTP]) if known is None else known)


def _is_open(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).view_name in _OPEN
    except Resolver404:
        return False
