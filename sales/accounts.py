"""Accounts: login by e-mail, no public sign-up. Staff add a seller and so send an invitation."""

import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.signals import password_changed, password_reset, password_set
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.dispatch import receiver
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from . import audit, sessions
from .models import Seller


class AccountBackend(AuthenticationBackend):
    """Login by e-mail. Every page needs the user and the seller, so they come together; and, of staff, whether there is
    a second factor: `has_second_factor`."""

    def get_user(self, user_id: int) -> AbstractBaseUser | None:
        codes = Authenticator.objects.filter(user_id=OuterRef("pk"), type=Authenticator.Type.TOTP)
        users = get_user_model()._default_manager.annotate(has_second_factor=Exists(codes))
        user = users.select_related("seller").filter(pk=user_id).first()
        return user if user is not None and self.user_can_authenticate(user) else None


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": gettext_lazy("This e-mail and this password do not go together."),
        "incorrect_password": gettext_lazy("This is not your password."),
        "enter_current_password": gettext_lazy("This is not your present password."),
        "too_many_login_attempts": gettext_lazy("Too many tries. Wait 5 minutes, or ask for a new password."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts come from staff, who add a seller and so send an invitation."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whose tries are counted; see `audit.address_of`."""
        return audit.address_of(request) or "unknown"

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Never by the name that the request gave for us: it may be anybody's."""
        return settings.SITE_URL + reverse("account_reset_password_from_key", args=key.split("-", 1))

    def send_notification_mail(
        self, template_prefix: str, user: Any, context: dict[str, Any] | None = None, email: str | None = None
    ) -> None:
        """To the address that is signed in with: the first staff account has no other."""
        super().send_notification_mail(template_prefix, user, context, email or user.email)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Tries are counted by the account alone, under whichever of our names they are sent."""
        return str(credentials.get("email") or credentials.get("username", "")).strip().casefold()


audit.FACTS |= {
    "second_factor_on": gettext_lazy("A second factor was set up."),
    "second_factor_off": gettext_lazy("The second factor was switched off."),
    "second_factor_taken_away": gettext_lazy("The second factor was taken away by staff."),
    "recovery_codes": gettext_lazy("New recovery codes were made."),
}
_OF_A_CHANGE = {
    authenticator_added: "second_factor_on",
    authenticator_removed: "second_factor_off",
    authenticator_reset: "recovery_codes",
}


@receiver([password_changed, password_set, password_reset])
def _end_other_sessions(request: HttpRequest, user: AbstractBaseUser, **_kwargs: Any) -> None:
    """Whoever signed in with what was before is signed out."""
    sessions.end_all(user, but=request.session.session_key if request.user.is_authenticated else None)


@receiver([*_OF_A_CHANGE])
def _second_factor_changed(
    signal: Any, request: HttpRequest, user: AbstractBaseUser, authenticator: Authenticator, **_kwargs: Any
) -> None:
    _end_other_sessions(request, user)
    if authenticator.type == Authenticator.Type.TOTP or signal is authenticator_reset:
        audit.note(user, _OF_A_CHANGE[signal])


class NotInvited(Exception):
    """`str()` of it is a sentence that says why, for staff."""


def invite(seller: Seller) -> None:
    """Give the seller a login, where there is none, and mail the link that sets its password.

    The link is good for PASSWORD_RESET_TIMEOUT and until a password is set. Do not call it within a database
    transaction, which would stay open while the mail goes out. Raises NotInvited.
    """
    give_login(seller)
    send_invitation(seller)


def give_login(seller: Seller) -> None:
    """A user without a password, found by the seller's e-mail; nothing if there is one. Raises NotInvited."""
    if seller.user_id is not None:
        return
    if not seller.email:
        raise NotInvited(_("%(seller)s has no e-mail address.") % {"seller": seller})
    if email_taken(seller.email):
        raise NotInvited(
            _("There is a user with the e-mail %(email)s already: choose it as the user of %(seller)s.")
            % {"email": seller.email, "seller": seller}
        )
    with transaction.atomic():
        seller.user = get_user_model().objects.create_user(seller.email.lower(), seller.email.lower())
        EmailAddress.objects.create(user=seller.user, email=seller.user.email, verified=True, primary=True)
        seller.save(update_fields=["user"])


def email_taken(email: str, *, but_by: Any = None) -> bool:
    """Whether another user than `but_by` logs in with this e-mail address."""
    users = get_user_model().objects.filter(
        Q(username__iexact=email) | Q(email__iexact=email) | Q(emailaddress__email__iexact=email)
    )
    return users.exclude(pk=but_by.pk).exists() if but_by else users.exists()


def change_login(seller: Seller) -> None:
    """The seller's new e-mail becomes the one to log in with; links that were mailed to the old one end."""
    user, email = seller.user, seller.email.lower()
    with transaction.atomic():
        user.username = user.email = email
        user.save(update_fields=["username", "email"])
        EmailAddress.objects.filter(user=user).delete()
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)


def send_invitation(seller: Seller) -> None:
    """Mail the link, in the seller's language. Raises NotInvited."""
    user = seller.user
    if not user.is_active:
        raise NotInvited(_("The login of %(seller)s is blocked.") % {"seller": seller})
    if user.has_usable_password():
        raise NotInvited(
            _("%(seller)s has set a password already; a new one can be asked for on the login page.")
            % {"seller": seller}
        )
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    path = reverse("account_reset_password_from_key", args=key.split("-", 1))
    context = {
        "name": " ".join(seller.name.split()),  # a name, and no lines of its own
        "email": user.email,
        "link": settings.SITE_URL + path,
        "again": settings.SITE_URL + reverse("account_reset_password"),
        "days": settings.PASSWORD_RESET_TIMEOUT // (24 * 3600),
        "site": settings.SITE_NAME,
    }
    with translation.override(seller.language or settings.LANGUAGE_CODE):
        subject = _("Your account at %(site)s") % {"site": settings.SITE_NAME}
        text = render_to_string("sales/mails/invitation.txt", context)
    try:
        send_mail(subject, text, None, [user.email])
    except (smtplib.SMTPException, OSError) as error:
        raise NotInvited(
            _("The mail to %(email)s could not be sent: %(error)s. Invite again later.")
            % {"email": user.email, "error": error}
        ) from error
