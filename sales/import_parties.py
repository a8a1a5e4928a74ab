"""Sellers, products and subscriptions that an import names: found by their code, created where unknown.

Those that are known stay as they are: staff look after sellers and products, not the import.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import models
from django.utils.translation import gettext as _

from .import_rows import BadRow, Row
from .models import AbandonedCart, Product, Seller, Subscription, Transaction

_RENEWED = ("plan_code", "plan_name", "status", "next_charge_at")
Known = TypeVar("Known", bound=models.Model)


# What a row says about whom it concerns: "product", "affiliate", "subscription". None: the row says that there
# is none; missing: the row does not say.
Related = dict[str, Product | Seller | Subscription | None]


@dataclass(slots=True)
class Parties:
    """What is known so far, by code. What is new waits unsaved for `save_new()`."""

    sellers: dict[str, Seller] = field(default_factory=dict)
    products: dict[int, Product] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)  # of new sellers: {e-mail in lower case: code}
    new: list[Seller | Product | Subscription] = field(default_factory=list)
    renewed: dict[str, Subscription] = field(default_factory=dict)

    def load(self, rows: Iterable[Row]) -> None:
        """Look up, in three queries at most, what the rows name and is not known yet."""
        rows = list(rows)
        sellers = {row.producer.get("code") for row in rows} | {row.affiliate.get("code") for row in rows}
        _look_up(Seller.objects.all(), "code", sellers, self.sellers)
        products = {row.product.get("code") for row in rows}
        _look_up(Product.objects.select_related("owner"), "code", products, self.products)
        subscriptions = {row.subscription.get("subscriber_code") for row in rows}
        _look_up(
            Subscription.objects.select_related("product"),
            "subscriber_code",
            subscriptions,
            self.subscriptions,
        )

    def resolve(self, row: Row, standing: Transaction | AbandonedCart | None) -> Related:
        """Whom the row is about, with new ones unsaved. Raises BadRow, and then keeps nothing new."""
        related: Related = {}
        before = len(self.new)
        try:
            producer = self._seller("producer", row.producer)
            if "code" in row.product:
                related["product"] = self._product(row.product, producer)
            affiliate = self._seller("affiliate", row.affiliate)
            if "code" in row.affiliate:
                related["affiliate"] = affiliate
            subscription = self._subscription(row.subscription, related.get("product"), standing)
            if "subscriber_code" in row.subscription:
                related["subscription"] = subscription
        except BadRow:
            self._forget(self.new[before:])
            del self.new[before:]
            raise
        return related

    def save_new(self, *, dry_run: bool) -> tuple[int, int]:
        """Write what is new; how many sellers and products that were."""
        new, self.new = self.new, []
        counts = []
        for model in (Seller, Product, Subscription):
            rows = [row for row in new if isinstance(row, model)]
            counts.append(len(rows))
            if rows and not dry_run:
                model.objects.bulk_create(rows)
        return counts[0], counts[1]

    def renew(self, row: Row) -> Subscription:
        """The subscription with the row's facts: a copy, so that each sale's post tells it as its row does."""
        code = row.subscription["subscriber_code"]
        subscription = copy(self.subscriptions[code])
        for name, value in row.subscription.items():
            setattr(subscription, name, value)
        if any(getattr(subscription, name) != getattr(self.subscriptions[code], name) for name in _RENEWED):
            self.subscriptions[code] = self.renewed[code] = subscription
        return subscription

    def save_renewed(self) -> None:
        renewed, self.renewed = list(self.renewed.values()), {}
        if renewed:
            Subscription.objects.bulk_update(renewed, _RENEWED, batch_size=100)

    def _seller(self, role: str, facts: dict[str, Any]) -> Seller | None:
        code = facts.get("code")
        if not code:
            if any(facts.values()):
                raise BadRow(_("%(role)s_code is missing.") % {"role": role})
            return None
        if code not in self.sellers:
            if not facts.get("name"):
                raise BadRow(
                    _("The seller %(code)s is new here, so it needs: %(role)s_name.")
                    % {"code": code, "role": role}
                )
            self._take_email(code, facts.get("email"))
            self.sellers[code] = Seller(**facts)
            self.new.append(self.sellers[code])
        return self.sellers[code]

    def _take_email(self, code: str, email: str | None) -> None:
        if not email:
            return
        owner = self.emails.get(email.lower())
        owner = owner or Seller.objects.filter(email__iexact=email).values_list("code", flat=True).first()
        if owner:
            raise BadRow(
                _("The e-mail %(email)s is the seller %(code)s's.") % {"email": email, "code": owner}
            )
        self.emails[email.lower()] = code

    def _product(self, facts: dict[str, Any], producer: Seller | None) -> Product:
        code = facts["code"]
        product = self.products.get(code)
        if product is None:
            if producer is None or not facts.get("name"):
                raise BadRow(
                    _("The product %(code)s is new here, so it needs: product_name, producer_code.")
                    % {"code": code}
                )
            product = self.products[code] = Product(**facts, owner=producer)
            self.new.append(product)
        elif producer is not None and product.owner.code != producer.code:
            raise BadRow(
                _("The product %(code)s belongs to the seller %(owner)s.")
                % {"code": code, "owner": product.owner.code}
            )
        return product

    def _subscription(
        self, facts: dict[str, Any], product: Any, standing: Transaction | AbandonedCart | None
    ) -> Subscription | None:
        code = facts.get("subscriber_code")
        if not code:
            if any(value is not None for value in facts.values()):
                raise BadRow(_("subscriber_code is missing."))
            return None
        subscription = self.subscriptions.get(code)
        if subscription is None:
            if missing := sorted({"plan_code", "plan_name"} - facts.keys()):
                raise BadRow(
                    _("The subscription %(code)s is new here, so it needs: %(columns)s.")
                    % {"code": code, "columns": ", ".join(missing)}
                )
            subscription = Subscription(**facts, product=product or standing.product)
            self.subscriptions[code] = subscription
            self.new.append(subscription)
        elif product is not None and subscription.product != product:
            raise BadRow(_("The subscription %(code)s is one of another product.") % {"code": code})
        return subscription

    def _forget(self, rows: Iterable[Seller | Product | Subscription]) -> None:
        for row in rows:
            if isinstance(row, Seller):
                del self.sellers[row.code]
                self.emails.pop((row.email or "").lower(), None)
            elif isinstance(row, Product):
                del self.products[row.code]
            else:
                del self.subscriptions[row.subscriber_code]


def _look_up(rows: "models.QuerySet[Known]", name: str, codes: set[Any], known: dict[Any, Known]) -> None:
    if unknown := {code for code in codes if code is not None and code not in known}:
        known |= {getattr(row, name): row for row in rows.filter(**{f"{name}__in": unknown})}
