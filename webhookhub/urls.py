"""Every address of the site."""

from allauth.account import views as account_views
from allauth.mfa.base import views as code_views
from allauth.mfa.recovery_codes import views as recovery_views
from allauth.mfa.totp import views as totp_views
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from . import view_as

# Of allauth's pages those that we have: accounts and their e-mail addresses come from staff, so there is no
# sign-up and no page of addresses. Its code asks for some of the names even so; the sign-up's says it is closed.
accounts = [
    path("login/", account_views.login, name="account_login"),
    path("logout/", account_views.logout, name="account_logout"),
    path("signup/", account_views.signup, name="account_signup"),
    path("inactive/", account_views.account_inactive, name="account_inactive"),
    path("reauthenticate/", account_views.reauthenticate, name="account_reauthenticate"),
    path("password/change/", account_views.password_change, name="account_change_password"),
    path("password/set/", account_views.password_set, name="account_set_password"),
    path("password/reset/", account_views.password_reset, name="account_reset_password"),
    path("password/reset/done/", account_views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        account_views.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        account_views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    # The second factor. Its overview is a part of the account page.
    path("second-factor/", RedirectView.as_view(pattern_name="account"), name="mfa_index"),
    path("second-factor/sign-in/", code_views.authenticate, name="mfa_authenticate"),
    path("second-factor/confirm/", code_views.reauthenticate, name="mfa_reauthenticate"),
    path("second-factor/set-up/", totp_views.activate_totp, name="mfa_activate_totp"),
    path("second-factor/switch-off/", totp_views.deactivate_totp, name="mfa_deactivate_totp"),
    path("second-factor/recovery-codes/", recovery_views.view_recovery_codes, name="mfa_view_recovery_codes"),
    path(
        "second-factor/recovery-codes/new/",
        recovery_views.generate_recovery_codes,
        name="mfa_generate_recovery_codes",
    ),
    path(
        "second-factor/recovery-codes/download/",
        recovery_views.download_recovery_codes,
        name="mfa_download_recovery_codes",
    ),
]

handler429 = "sales.limits.too_many_tries"  # allauth asks for it
handler500 = "webhookhub.errors.server_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="configurations:list"), name="home"),
    path("tools/webhook/configurations/", include("configurations.urls")),
    path("tools/webhook/documentation/", include("docs_tab.urls")),
    path("tools/webhook/", include("deliveries.urls")),
    path("tools/webhook/", include("legacy_posts.urls")),
    path("", include("sales.urls")),
    path("accounts/", include(accounts)),
    path("language/", set_language, name="set_language"),
    path("admin/", include("deliveries.staff.urls")),  # before the admin, whose last address catches all
    path("view-as/<int:seller>/", view_as.begin, name="view_as"),
    path("view-as/leave/", view_as.leave, name="view_as_leave"),
    path("admin/", admin.site.urls),
]
