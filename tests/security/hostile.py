"""Rows in which every text that a stranger can choose is one that would run, were it not escaped.

`data/hostile.jsonl` has the texts, a JSON string a line. Row n has them beginning with the n-th, so that over all rows
each field has had each of them.
"""

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from django.utils import timezone

from configurations.models import WebhookConfig
from deliveries import hosts
from deliveries.models import BulkReprocess, Delivery, DeliveryAttempt, SamplePost, State
from legacy_posts.models import LegacyImport, LegacyPost
from sales.models import Seller
from tests import factories

TEXTS: list[str] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "hostile.jsonl").read_text("utf-8").splitlines()
]
BINARY = bytes(range(256)) + b"\0\xff\xfe<i data-hostile>\x1b[2J\xe2\x80\xae\xed\xa0\x80"


@dataclass
class Hostile:
    """`posts`, `tests`, `bulks`, `sent` and `pending` are one a text."""

    owner: Seller
    affiliate: Seller
    posts: list[Delivery]
    tests: list[SamplePost]
    bulks: list[BulkReprocess]
    sent: list[LegacyPost]
    pending: list[LegacyPost]
    host: str


def make(texts: list[str] | None = None) -> Hostile:
    texts = texts or TEXTS
    owner, affiliate = factories.make_seller(), factories.make_seller()
    made = Hostile(owner, affiliate, [], [], [], [], [], "hostile.example.com")
    for n, text in enumerate(texts):
        _make(made, [text, *TEXTS[n + 1 :], *TEXTS[:n]], text)
    # Last, so that the rows above are each others'.
    Seller.objects.filter(pk=owner.pk).update(name=texts[0][:200], document=texts[1][:20])
    Seller.objects.filter(pk=affiliate.pk).update(name=texts[1][:200])
    hosts.hold(made.host, texts[2][:200], factories.make_staff(first_name=texts[3][:100]))
    return made


def _make(made: Hostile, texts: list[str], text: str) -> None:
    turn = count()

    def next_text(longest: int = 2000) -> str:
        """The next of them that fits."""
        while True:
            if len(found := texts[next(turn) % len(texts)]) <= longest:
                return found

    product = factories.make_product(made.owner, name=text)
    url = f"https://{made.host}/?{next_text()}" if len(made.posts) % 2 else next_text()
    config = factories.make_config(made.owner, name=text[:100], product=product)
    sale = factories.make_sale(
        product,
        affiliate=made.affiliate,
        buyer_name=next_text(200),
        buyer_email=f"{next_text(200)}@example.com",
        offer_code=next_text(40),
        coupon_code=next_text(60),
        checkout_country=next_text(80),
    )
    factories.make_cart(product, buyer_name=next_text(200))
    WebhookConfig.objects.filter(pk=config.pk).update(
        url=url, host=made.host, disabled_detail=next_text(300), disabled_because="gone"
    )
    post = config.deliveries.get(event__sale=sale)
    answered: dict[str, Any] = {
        "started_at": timezone.now(),
        "duration_ms": 12,
        "url": url,
        "request_headers": [["X-A", next_text()]],
        "response_headers": [
            [next_text(), next_text()],
            ["Content-Type", "text/html; charset=" + next_text()],
        ],
        "response_body": next_text().encode() + (BINARY if len(made.posts) % 3 == 0 else b""),
        "detail": next_text(300),
        "delivered": False,
        "status": 500,
    }
    DeliveryAttempt.objects.create(delivery=post, number=1, **answered)
    Delivery.objects.filter(pk=post.pk).update(state=State.FAILED, tries=5, last_status=500)
    made.posts.append(post)
    made.tests.append(
        SamplePost.objects.create(
            config=config, owner=made.owner, type=post.event.type, version=post.version, audience=post.audience,
            body=f'{{"a": {json.dumps(next_text())}}}', **answered,
        )
    )  # fmt: skip
    made.bulks.append(
        BulkReprocess.objects.create(
            owner=made.owner, total=1, queued_to=None, asked_for=next_text(), by=made.owner.user,
            asked_at=timezone.now(),
        )
    )  # fmt: skip
    source = LegacyImport.objects.create(
        file_name=next_text(255), encoding="utf-8", finished_at=timezone.now()
    )
    for kind, rows in (("sent", made.sent), ("pending", made.pending)):
        facts = {
            "kind": kind,
            "product_name": next_text(255),
            "buyer_email": f"{next_text(200)}@example.com",
            "url": next_text(),
            "host": next_text(253),
            "problem": next_text(300),
            "payload": next_text(),
            "response": next_text(),
            "transaction_code": next_text(20),
            "source": source,
        }
        rows += LegacyPost.objects.bulk_create([factories.legacy_post(made.owner, **facts)])
