"""The groups of staff: support reads everything, reprocesses and looks at a seller's pages; operations also edits.

Each `migrate` adds to them what they lack of the rights below, also those of models that are new. It takes nothing
away, so what a superuser added stays; who shall have fewer gets a group of their own (docs/staff.md).
"""

from typing import Any

from auditlog.context import disable_auditlog
from django.apps import AppConfig
from django.contrib.auth.management import create_permissions

SUPPORT, OPERATIONS = "support", "operations"

OURS = ("sales", "configurations", "deliveries", "legacy_posts")
ALSO_SEEN = ("auditlog", "auth", "account", "django_q")
# Of ours, what is no view, add, change or delete of a model, and is support's too. Operations have all of these.
SUPPORTS = ("reprocess_delivery", "view_as_seller")


def fill(app_config: AppConfig, using: str = "default", **_kwargs: Any) -> None:
    """After the migrations of an app: give the groups the rights on its models."""
    from django.contrib.auth.models import Group

    if app_config.label not in (*OURS, *ALSO_SEEN):
        return
    create_permissions(app_config, verbosity=0, using=using)
    for name in (SUPPORT, OPERATIONS):
        with disable_auditlog():  # it is the code that changes them, not a person
            group, _created = Group.objects.using(using).get_or_create(name=name)
            group.permissions.add(*_rights_of(name, app_config.label, using))


def _rights_of(group: str, app: str, using: str) -> list[Any]:
    from django.contrib.auth.models import Permission

    rights = (
        Permission.objects.using(using).filter(content_type__app_label=app).select_related("content_type")
    )
    if app not in OURS:
        return [right for right in rights if right.codename.startswith("view_")]
    if group == OPERATIONS:
        return [right for right in rights if not _is_deletion(right)]
    return [right for right in rights if right.codename in SUPPORTS or _is_view(right)]


def _is_view(right: Any) -> bool:
    return right.codename == f"view_{right.content_type.model}"


def _is_deletion(right: Any) -> bool:
    return right.codename == f"delete_{right.content_type.model}"
