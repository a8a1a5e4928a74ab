"""The alarm that staff get by mail when we reach hardly anybody, each in their own language and time zone."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.core import mail
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from .letters import moment, on_one_line
from .models import Outage

SEES_POSTS = "deliveries.view_delivery"
NAMES = 10  # hosts that are named


def send(on: Outage) -> int:
    """One mail to each who may see posts. Returns how many; raises OSError or SMTPException."""
    messages = [_message(on, user) for user in _staff() if user.has_perm(SEES_POSTS)]
    if messages:
        with mail.get_connection() as connection:
            connection.send_messages(messages)
    return len(messages)


def _staff() -> QuerySet[AbstractBaseUser]:
    users = get_user_model().objects.filter(is_active=True, is_staff=True).exclude(email="")
    return users.select_related("seller").order_by("pk")


def _message(on: Outage, user: AbstractBaseUser) -> mail.EmailMessage:
    seller = getattr(user, "seller", None)
    language = (seller and seller.language) or settings.LANGUAGE_CODE
    zone = ZoneInfo(seller.time_zone if seller else settings.TIME_ZONE)
    with translation.override(language), timezone.override(zone):
        body = render_to_string(
            "deliveries/mail/outage.txt",
            {
                "since": moment(on.since),
                "count": len(on.hosts),
                "hosts": [on_one_line(host) for host in on.hosts[:NAMES]],
                "site": settings.SITE_NAME,
                "admin": settings.SITE_URL + reverse("admin:index"),
            },
        )
        return mail.EmailMessage(
            subject=_("Alarm: we reach hardly any server, and post nothing"),
            body=body.strip() + "\n",
            to=[user.email],
            headers={"Auto-Submitted": "auto-generated"},
        )
