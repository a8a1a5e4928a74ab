"""The one order that is promised: what takes an access away is not posted before what opened it.

Of one sale and one configuration, a refund, chargeback, cancellation or expiry waits for an approved post that arose
before it and is waiting or being sent. Nothing else waits, and an approved waits for nothing. A held approved keeps
nobody waiting, since it may be held for ever; what is held together is released in one step, and so in order.

The rule is a condition on the rows as they stand (`DeliveryQuerySet.in_turn`), and nothing that would have to be taken
off again: however the approved ends, what waited for it is due in that same moment.
"""

from collections.abc import Iterable

from configurations.events import BY_TYPE, EventType, Priority

from .models import Delivery, Event, State


def keys_of(event: Event) -> dict[str, str | None]:
    """The columns `opens` and `closes` of its deliveries."""
    code = event.transaction_code or None
    return {
        "opens": code if event.type == EventType.APPROVED else None,
        "closes": code if event.type in TAKE_AWAY else None,
    }


# Of a sale: the end of a subscription takes away nothing that an approved post on its way would open.
TAKE_AWAY = frozenset(
    event.type for event in BY_TYPE.values() if event.priority == Priority.TAKES_ACCESS_AWAY and event.status
)


def waits_for(posts: Iterable[Delivery]) -> dict[int, int]:
    """{id of a post: id of the approved that it waits for}. One query, and none where no post may wait."""
    pks = [post.pk for post in posts if post.state == State.WAITING and post.closes]
    if not pks:
        return {}
    behind = Delivery.objects.filter(pk__in=pks).with_approved_ahead()
    return {pk: ahead for pk, ahead in behind.values_list("pk", "approved_ahead") if ahead}
