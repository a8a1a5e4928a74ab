"""Users and groups in the admin: Django's own pages, with their changes in the audit log, and the second factor."""

from typing import Any

import allauth.mfa.admin  # noqa: F401  its page shows what is secret: it is there before it is taken away
from allauth.mfa.models import Authenticator
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from . import audit, sessions
from .adminkit import Audited, Question, confirmed

User = get_user_model()
admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(Authenticator)


def _ask_to_take_away(users: QuerySet[Any], count: int) -> Question:
    title = ngettext(
        "Take the second factor of %(n)d user away?", "Take the second factor of %(n)d users away?", count
    )
    facts = [
        gettext(
            "Their password alone is enough to sign in from then on; staff are asked to set up a new one."
        ),
        gettext("They are signed out everywhere, and their recovery codes end."),
        gettext("Make sure first that it is really they who ask: whoever has the password would be in."),
    ]
    return Question(title % {"n": count}, gettext("Take it away"), facts, dangerous=True)


@admin.register(User)
class StaffUserAdmin(Audited, UserAdmin):
    list_display = (
        *("email", "username", "is_active", "is_staff", "is_superuser"),
        *("has_second_factor", "last_login"),
    )
    list_filter = ("is_staff", "is_superuser", "is_active", "groups")
    show_facets = admin.ShowFacets.NEVER
    show_full_result_count = False
    actions = ("take_second_factor_away",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        codes = Authenticator.objects.filter(user=OuterRef("pk"), type=Authenticator.Type.TOTP)
        return super().get_queryset(request).annotate(_has_second_factor=Exists(codes))

    @admin.display(description=_("second factor"), boolean=True)
    def has_second_factor(self, user: Any) -> bool:
        return user._has_second_factor

    @confirmed(_ask_to_take_away)
    @admin.action(description=_("Take the second factor away"), permissions=["change"])
    def take_second_factor_away(self, request: HttpRequest, users: QuerySet[Any]) -> None:
        """Of who has lost the phone and the recovery codes. Without the app the codes are none."""
        taken = 0
        for user in users.filter(_has_second_factor=True):
            Authenticator.objects.filter(user_id=user.pk).delete()
            sessions.end_all(user)
            audit.note(user, "second_factor_taken_away")
            taken += 1
        text = ngettext(
            "The second factor of %(n)d user was taken away.",
            "The second factor of %(n)d users was taken away.",
            taken,
        )
        self.message_user(request, text % {"n": taken}, messages.SUCCESS if taken else messages.WARNING)


@admin.register(Group)
class StaffGroupAdmin(Audited, GroupAdmin):
    pass
