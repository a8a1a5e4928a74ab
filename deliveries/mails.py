"""What the owner of a configuration is told by mail: buyers wait, we disabled it, it works again.

There is no outbox. A mail is owed for as long as what is differs from what the owner was told (`told` and `told_at`
of EndpointHealth), so none is lost with a process or a mail server, and what is no longer true when it could go is
never sent. `send_owed` looks once a minute, from the sweep; the engine never waits for a mail server.
"""

import logging
import smtplib
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import mail
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.fields import DurationField
from django.db.models.functions import Now
from django.utils import timezone, translation

from configurations.events import Priority
from configurations.models import State as ConfigState

from . import history
from .letters import disabled_letter, recovered_letter, warning_letter
from .models import CONFIG_SECRETS, Delivery, DeliveryQuerySet, EndpointHealth, HeldHost, Problem, State, Told

logger = logging.getLogger(__name__)

WARN_AFTER = timedelta(minutes=15)  # that an approved was not accepted
WARN_AGAIN = timedelta(hours=6)  # at the earliest, and only of buyers who came since
LOOKS_BACK = timedelta(days=1)  # for approved ones that nobody was warned of
SETTLED = timedelta(minutes=5)  # without a failure: it works again, though older posts are not through yet
TRY_AGAIN = timedelta(minutes=5)  # a mail that failed
BUDGET = 20.0  # seconds for one look; a slow mail server must not keep a worker from its posts


def send_owed() -> int:
    """Send the mails that are owed, and note what the owners know now. Returns how many were sent.

    Raises nothing but DatabaseError: where the mail server is away or slow, it is logged, and the mails stay owed.
    """
    owed = _owed()
    if not owed:
        return 0
    until, sent = time.monotonic() + BUDGET, 0
    try:
        with mail.get_connection() as connection:
            for health, told in owed:
                if time.monotonic() > until:
                    break
                sent += _send(health, told, connection)
    except (OSError, smtplib.SMTPException) as error:
        logger.error("The mail server cannot be used (%s: %s); mails wait.", type(error).__name__, error)
    return sent


# --- What is owed -------------------------------------------------------------------------------------------


def _owed() -> list[tuple[EndpointHealth, str]]:
    """Whom to tell, and what `told` is then: disabled, failing, or empty where it works again. One mail each."""
    found: dict[int, tuple[EndpointHealth, str]] = {}
    now = timezone.now()
    for rows, told in ((_disabled(), Told.DISABLED), (_failing(now), Told.FAILING), (_working_again(), "")):
        for health in rows.select_related("config__owner__user"):
            found.setdefault(health.config_id, (health, told))
    return list(found.values())


def _reachable() -> QuerySet[EndpointHealth]:
    has_address = Q(config__owner__user__email__gt="") | Q(config__owner__email__gt="")
    tried = Q(mail_tried_at__gte=_ago(TRY_AGAIN), mail_tried_at__lte=Now())
    return EndpointHealth.objects.filter(has_address).exclude(tried).defer(*CONFIG_SECRETS)


def _disabled() -> QuerySet[EndpointHealth]:
    knows = Q(told=Told.DISABLED, told_at__gte=F("config__state_changed_at"))
    return _reachable().filter(config__state=ConfigState.DISABLED).exclude(knows)


def _failing(now: datetime) -> QuerySet[EndpointHealth]:
    waiting = overdue(now).filter(config=OuterRef("pk"))
    # Those that were too young for the last warning.
    news = waiting.filter(created_at__gt=OuterRef("told_at") - Value(WARN_AFTER, DurationField()))
    rows = _reachable().filter(config__state__in=(ConfigState.ON, ConfigState.DISABLED))
    return rows.filter(Q(Exists(waiting), told_at=None) | Q(Exists(news), told_at__lt=_ago(WARN_AGAIN)))


def overdue(now: datetime) -> DeliveryQuerySet:
    """The approved of the last day that were not accepted for 15 minutes, by no fault of ours.

    Where staff hold the host it is we who do not post, and the pages say so.
    """
    indexed = Delivery.objects.filter(~Q(state=State.DELIVERED), priority=Priority.GRANTS_ACCESS)
    return indexed.filter(
        history.without_access(now), created_at__lt=now - WARN_AFTER, created_at__gte=now - LOOKS_BACK
    ).exclude(Q(last_problem=Problem.OURS) | Q(config__host__in=HeldHost.objects.values("host")))


def _working_again() -> QuerySet[EndpointHealth]:
    on_its_way = Delivery.objects.filter(
        Q(created_at__lt=OuterRef("told_at")) | Q(created_at__lt=OuterRef("works_since")),
        config=OuterRef("pk"),
        state__in=(State.WAITING, State.SENDING),
    )
    accepts = Q(works_since__gt=F("told_at"), works_since__lt=_ago(SETTLED))
    rows = _reachable().exclude(told="").filter(config__state=ConfigState.ON, works_since__isnull=False)
    return rows.filter(accepts | ~Exists(on_its_way), last_success_at__gt=F("told_at"))


def _ago(span: timedelta):
    return Now() - Value(span, DurationField())


# --- One mail -----------------------------------------------------------------------------------------------


def _send(health: EndpointHealth, told: str, connection) -> bool:
    """Whether it was sent. Raises OSError or SMTPException if the mail server is at fault."""
    if not _claim(health):
        return False
    about = {"configuration": health.config_id}
    try:
        message = _message(health, told)
        message.connection = connection
        message.send()
    except smtplib.SMTPRecipientsRefused as error:
        if any(code < 500 for code, _reason in error.recipients.values()):  # for now only
            logger.warning("The mail about %s was put off: %s", health.config_id, error, extra=about)
            return False
        logger.error("The mail about %s goes nowhere: %s", health.config_id, error, extra=about)
        _note(health, told)
        return False
    except (OSError, smtplib.SMTPException):
        raise
    except Exception:  # this one cannot be written: the others can
        logger.exception("The mail about %s cannot be written.", health.config_id, extra=about)
        return False
    _note(health, told)
    return True


def _claim(health: EndpointHealth) -> bool:
    """Whether it is this call that sends it; whoever has claimed and died leaves it to the next in five minutes."""
    as_read = {name: getattr(health, name) for name in ("told", "told_at", "mail_tried_at")}
    return bool(EndpointHealth.objects.filter(pk=health.pk, **as_read).update(mail_tried_at=Now()))


def _note(health: EndpointHealth, told: str) -> None:
    """What the owner knows now. Who hears of more buyers while it is disabled still knows that it is."""
    if not told:
        changes = {"told": ""}
    elif told == Told.FAILING and health.config.state == ConfigState.DISABLED:
        changes = {"told_at": Now()}
    else:
        changes = {"told": told, "told_at": Now()}
    EndpointHealth.objects.filter(pk=health.pk).update(mail_tried_at=None, **changes)


def _message(health: EndpointHealth, told: str) -> mail.EmailMessage:
    """In the owner's language and time zone."""
    owner = health.config.owner
    with (
        translation.override(owner.language or settings.LANGUAGE_CODE),
        timezone.override(ZoneInfo(owner.time_zone)),
    ):
        letter = _LETTERS[told](health)
        return mail.EmailMessage(
            subject=letter.subject,
            body=letter.body,
            to=[(owner.user and owner.user.email) or owner.email],
            headers={"Auto-Submitted": "auto-generated"},  # no automatic answer, please
        )


_LETTERS = {Told.DISABLED: disabled_letter, Told.FAILING: warning_letter, "": recovered_letter}
