"""Users and groups in the admin: Django's own pages, with their changes in the audit log."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group

from .adminkit import Audited

User = get_user_model()
admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class StaffUserAdmin(Audited, UserAdmin):
    list_display = ("email", "username", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False


@admin.register(Group)
class StaffGroupAdmin(Audited, GroupAdmin):
    pass
