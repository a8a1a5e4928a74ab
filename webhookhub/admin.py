"""The admin is part of the site: its name, and its login and password, which are everybody's. For staff only."""

from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

admin.site.site_header = settings.SITE_NAME
admin.site.site_title = settings.SITE_NAME
admin.site.index_title = _("Staff admin")
admin.site.login = secure_admin_login(admin.site.login)
admin.site.password_change = lambda request, **_: redirect("account_change_password")  # as everybody does it
