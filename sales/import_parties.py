"""Sellers, products, plans and subscriptions that an import names: found by their code, created where unknown.

Sellers, products and plans that are known stay as they are: staff look after them, not the import.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import models
from django.utils.translation import gettext as _

from . import audit
from .import_rows import SALE, SUBSCRIPTION, BadRow, Row
from .models import AbandonedCart, Plan, Product, Seller, Subscription, Transaction
from .subscriptions import record_subscription_changes

Known = TypeVar("Known", bound=models.Model)


# What a row says about whom it concerns: "product", "affiliate", "plan", "subscription". None: the row says that there
# is none; missing: the row does not say.
Related = dict[str, Product | Seller | Plan | Subscription | None]


Standing = Transaction | AbandonedCart | Subscription | None


@dataclass(slots=True)
class Parties:
    """What is known so far, by code. What is new waits unsaved for `save_new()`."""

    notify: bool = True
    dry_run: bool = False
    sellers: dict[str, Seller] = field(default_factory=dict)
    products: dict[int, Product] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)  # of new sellers: {e-mail in lower case: code}
    new: list[Seller | Product | Plan | Subscription] = field(default_factory=list)
    renewed: list[Subscription] = field(default_factory=list)  # in order; one may stand there several times

    def load(self, rows: Iterable[Row]) -> None:
        """Look up, in four queries at most, what the rows name and is not known yet.

        Subscriptions are read afresh for each round, since others may change them meanwhile; a dry run keeps what
        it imagines.
        """
        rows = list(rows)
        if not self.dry_run:
            self.subscriptions.clear()
        sellers = {row.producer.get("code") for row in rows} | {row.affiliate.get("code") for row in rows}
        _look_up(Seller.objects.all(), "code", sellers, self.sellers)
        products = {row.product.get("code") for row in rows}
        _look_up(Product.objects.select_related("owner"), "code", products, self.products)
        plans = {row.plan.get("code") for row in rows}
        _look_up(Plan.objects.select_related("product"), "code", plans, self.plans)
        subscriptions = {row.subscription.get("subscriber_code") for row in rows}
        subscriptions |= {row.code for row in rows if row.kind == SUBSCRIPTION}
        _look_up(
            Subscription.objects.select_related("product", "plan__product"),
            "subscriber_code",
            subscriptions,
            self.subscriptions,
        )

    def resolve(self, row: Row, standing: Standing) -> Related:
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
            if row.kind == SALE:
                subscription = self._subscription(row, related.get("product"), standing)
                if "subscriber_code" in row.subscription:
                    related["subscription"] = subscription
            elif row.kind == SUBSCRIPTION and row.plan:
                related["plan"] = self._plan(
                    row.plan, related.get("product") or (standing and standing.product)
                )
        except BadRow:
            self._forget(self.new[before:])
            del self.new[before:]
            raise
        return related

    def save_new(self) -> tuple[int, int]:
        """Write what is new; how many sellers and products that were. A subscription that is new is told."""
        new, self.new = self.new, []
        rows = {model: [row for row in new if isinstance(row, model)] for model in (Seller, Product, Plan)}
        if not self.dry_run:
            for model in rows:
                model.objects.bulk_create(rows[model])
            audit.created(rows[Seller])
            audit.created(rows[Product])
            record_subscription_changes(
                [row for row in new if isinstance(row, Subscription)], notify=self.notify
            )
        return len(rows[Seller]), len(rows[Product])

    def renew(self, row: Row) -> Subscription:
        """The subscription with the row's facts: a copy, so that each sale's post tells it as its row does."""
        known = self.subscriptions[row.subscription["subscriber_code"]]
        subscription = copy(known)
        for name, value in row.subscription.items():
            setattr(subscription, name, value)
        if row.plan:
            subscription.plan = self.plans[row.plan["code"]]
        if row.own.get("recurrence_number"):
            subscription.last_recurrence_number = row.own["recurrence_number"]
        if subscription.differing_facts(known):
            self.keep(subscription)
        return subscription

    def keep(self, subscription: Subscription) -> None:
        """Have it written by `save_renewed()`; the rows that follow see it so."""
        self.subscriptions[subscription.subscriber_code] = subscription
        self.renewed.append(subscription)

    def save_renewed(self) -> None:
        """Write what rows said of subscriptions that were there, and tell it."""
        renewed, self.renewed = self.renewed, []
        record_subscription_changes(renewed, notify=self.notify)

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

    def _plan(self, facts: dict[str, Any], product: Product | None) -> Plan:
        code = facts.get("code")
        if code is None:
            raise BadRow(_("plan_code is missing."))
        plan = self.plans.get(code)
        if plan is None:
            if not facts.get("name") or product is None:
                raise BadRow(
                    _("The plan %(code)s is new here, so it needs: plan_name, product_code.") % {"code": code}
                )
            plan = self.plans[code] = Plan(**facts, product=product)
            self.new.append(plan)
        elif product is not None and plan.product != product:
            raise BadRow(_("The plan %(code)s is one of another product.") % {"code": code})
        return plan

    def _subscription(self, row: Row, product: Any, standing: Any) -> Subscription | None:
        facts = row.subscription
        code = facts.get("subscriber_code")
        if not code:
            if any(value is not None for value in (facts | row.plan).values()):
                raise BadRow(_("subscriber_code is missing."))
            return None
        subscription = self.subscriptions.get(code)
        product = product or (standing and standing.product)
        if subscription is None:
            missing = {"code", "name"} - row.plan.keys() if row.plan.get("code") not in self.plans else ()
            if missing:
                raise BadRow(
                    _("The subscription %(code)s is new here, so it needs: %(columns)s.")
                    % {"code": code, "columns": ", ".join(f"plan_{name}" for name in sorted(missing))}
                )
            subscription = Subscription(
                **facts, **_subscriber(row, standing), product=product, plan=self._plan(row.plan, product)
            )
            self.subscriptions[code] = subscription
            self.new.append(subscription)
        elif product is not None and subscription.product != product:
            raise BadRow(_("The subscription %(code)s is one of another product.") % {"code": code})
        elif row.plan:
            self._plan(row.plan, product)
        return subscription

    def _forget(self, rows: Iterable[Seller | Product | Plan | Subscription]) -> None:
        for row in rows:
            if isinstance(row, Seller):
                del self.sellers[row.code]
                self.emails.pop((row.email or "").lower(), None)
            elif isinstance(row, Product):
                del self.products[row.code]
            elif isinstance(row, Plan):
                del self.plans[row.code]
            else:
                del self.subscriptions[row.subscriber_code]


def _subscriber(row: Row, standing: Transaction | None) -> dict[str, Any]:
    """Who subscribes, where a sale makes the subscription known: its buyer."""
    names = {
        "name": "buyer_name",
        "email": "buyer_email",
        "cell_code": "buyer_phone_code",
        "cell": "buyer_phone",
    }
    facts = {name: row.own.get(fact, getattr(standing, fact, "")) for name, fact in names.items()}
    return facts | {"last_recurrence_number": row.own.get("recurrence_number")}


def _look_up(rows: "models.QuerySet[Known]", name: str, codes: set[Any], known: dict[Any, Known]) -> None:
    if unknown := {code for code in codes if code is not None and code not in known}:
        known |= {getattr(row, name): row for row in rows.filter(**{f"{name}__in": unknown})}
