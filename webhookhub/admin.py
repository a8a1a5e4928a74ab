"""The admin is part of the site: its name, and its login and password, which are everybody's. For staff only."""

import django_q.admin
from allauth.account.decorators import secure_admin_login
from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django_q.models import Schedule

from sales.adminkit import Evidence

admin.site.site_header = settings.SITE_NAME
admin.site.site_title = settings.SITE_NAME
admin.site.index_title = _("Staff admin")
admin.site.login = secure_admin_login(admin.site.login)
admin.site.password_change = lambda request, **_: redirect("account_change_password")  # as everybody does it


admin.site.unregister(Schedule)


@admin.register(Schedule)
class ScheduleAdmin(Evidence, django_q.admin.ScheduleAdmin):
    """A schedule names a function to run and its arguments: here it is only looked at, or the password of one of
    the staff would run code on our machines.
    """
