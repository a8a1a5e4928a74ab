"""What legacy_posts hears: of a buyer whose data are asked for, or erased."""

from typing import Any
from urllib.parse import quote, quote_plus

from django.db import transaction
from django.db.models import Q
from django.dispatch import receiver
from django.utils.translation import ngettext

from sales.models import Transaction
from sales.privacy import BATCH, Buyer, Held, Mentions, batches
from sales.signals import buyer_asked, buyer_redacted

from .models import Format, LegacyImport, LegacyPost, LegacyPostQuerySet

WHAT = "legacy_posts.legacypost"
_FILES = Mentions(LegacyImport, ("file_name",))


@receiver(buyer_asked)
def tell_of_buyer(buyer: Buyer, **_kwargs: Any) -> list[Held]:
    facts = (
        "transaction_code", "event", "occurred_at", "product_name", "buyer_email", "url", "payload", "response",
        "problem",
    )  # fmt: skip
    posts = _of(buyer)
    pending = posts.to_send().exclude(format=Format.OTHER).count()
    note = (
        ngettext(
            "%(n)d of these posts is pending and could not be sent any more.",
            "%(n)d of these posts are pending and could not be sent any more.",
            pending,
        )
        % {"n": pending}
        if pending
        else ""
    )
    return [Held.of(WHAT, posts, facts, note), _FILES.held(buyer)]


@receiver(buyer_redacted)
def erase_buyer(buyer: Buyer, by: str, **_kwargs: Any) -> dict[str, int]:
    """Payload, answer and what was noted go whole; one that was pending cannot be sent any more."""
    done, files = 0, _FILES.forget(buyer)
    for keys in batches(_of(buyer), BATCH):
        with transaction.atomic():
            rows = LegacyPost.objects.filter(pk__in=keys)
            for post in rows.select_for_update().only("url", "product_name"):
                strays = [name for name in ("url", "product_name") if buyer.is_in(getattr(post, name))]
                if strays:
                    LegacyPost.objects.filter(pk=post.pk).update(**dict.fromkeys(strays, ""))
            done += rows.update(
                payload="", response="", problem="", format=Format.OTHER, buyer_email=buyer.pseudonym
            )
    return {WHAT: done, _FILES.model._meta.label_lower: files}


def _of(buyer: Buyer) -> LegacyPostQuerySet:
    """By the e-mail, which is kept in lower case, and by the codes of the sales that name the buyer. Of posts that no
    e-mail was found in, as in a payload that cannot be taken apart, by the e-mail in their texts.

    What was erased already has the pseudonym for its e-mail.
    """
    sales = Transaction.objects.filter(buyer.owns("buyer_email")).values("code")
    named = Q(buyer_email=buyer.email) | Q(transaction_code__in=sales)
    for way in {buyer.email, quote(buyer.email), quote_plus(buyer.email)}:
        for column in ("payload", "response", "url", "problem"):
            named |= Q(buyer_email="", **{f"{column}__icontains": way})
    return LegacyPost.objects.filter(named).exclude(buyer_email=buyer.pseudonym)
