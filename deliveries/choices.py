"""The words of a delivery: for whom it is, where it stands, what went wrong."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Audience(models.TextChoices):
    """For whom a post is made: the affiliate's copy holds fewer parameters."""

    PRODUCER = "producer", _("Producer")
    AFFILIATE = "affiliate", _("Affiliate")


class State(models.TextChoices):
    WAITING = "waiting", _("Waiting")  # to be posted at next_try_at, or at once where that is empty
    SENDING = "sending", _("Sending")  # claimed by claim_id until lease_until
    DELIVERED = "delivered", _("Delivered")
    FAILED = "failed", _("Failed")  # all tries are used up
    HELD = "held", _("Held")  # its configuration is disabled or off
    DISCARDED = "discarded", _("Discarded")  # by its owner, or with its configuration


FINISHED = (State.DELIVERED, State.FAILED, State.DISCARDED)


class Lane(models.IntegerChoices):
    """Which posts go first, before their priority is looked at."""

    FRESH = 0, _("Fresh")
    BULK = 1, _("Bulk reprocess")  # behind all that is fresh
    # The same where the configuration has its own queue: `own_queue` says why.
    OWN = 2, _("Fresh, in its own queue")
    OWN_BULK = 3, _("Bulk reprocess, in its own queue")

    @property
    def apart(self) -> "Lane":
        """The same, in its configuration's own queue."""
        return Lane.OWN_BULK if self in (Lane.BULK, Lane.OWN_BULK) else Lane.OWN


BULK_LANES = (Lane.BULK, Lane.OWN_BULK)
OWN_LANES = (Lane.OWN, Lane.OWN_BULK)


class BulkState(models.TextChoices):
    """How far a bulk reprocess may go; that it is finished shows in its posts."""

    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")  # what it had not sent is as it was before, and can be queued again
    STOPPED = "stopped", _("Stopped")  # the same, for good


class Problem(models.TextChoices):
    """What went wrong where no answer came, or none that can be read. The words are in `explain`."""

    DNS = "dns", _("No such host")  # NXDOMAIN: the name does not exist
    DNS_SILENT = "dns_silent", _("Name server")  # it failed or did not answer: passes
    NOT_PERMITTED = "not_permitted", _("Not permitted")
    REFUSED = "refused", _("Refused")
    UNREACHABLE = "unreachable", _("Unreachable")
    CONNECT_TIMEOUT = "connect_timeout", _("Connect timeout")
    TIMEOUT = "timeout", _("Timeout")
    TLS_EXPIRED = "tls_expired", _("Certificate expired")
    TLS_WRONG_HOST = "tls_wrong_host", _("Wrong certificate")
    TLS_UNTRUSTED = "tls_untrusted", _("Untrusted certificate")
    TLS = "tls", _("TLS")
    RESET = "reset", _("Cut off")
    NOT_HTTP = "not_http", _("Not HTTP")  # the answer cannot be read as HTTP
    OURS = "ours", _("Our error")  # the post could not be made: not the receiver's fault
