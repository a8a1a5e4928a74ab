"""The platform's facts: who sells what, what was sold, and which carts were left.

Whoever changes a sale's status does it by `Transaction.save()` or by `record_status_changes()`; both tell the
listeners of `sales.signals`. The ways past them (`update()`, `bulk_update()`) refuse the field `status`.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .bulkwrite import insert
from .bundles import validate_content
from .commissions import validate_commissions
from .facts import BuyerFacts, LinkFacts, PaymentFacts
from .sessions import Session as Session  # a model too
from .signals import cart_abandoned, transaction_status_changed
from .statuses import InvoiceBy, LegalNature, SaleStatus
from .subscriptions import Plan as Plan  # models too
from .subscriptions import Subscription
from .validators import country_code, currency_code, digits


class Seller(models.Model):
    """One account: producer, affiliate or both. Known from an import alone, it has no user yet."""

    code = models.CharField(_("account code"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=200)
    email = models.EmailField(_("e-mail"), unique=True, null=True, blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="seller",
        verbose_name=_("user"),
    )
    legal_nature = models.CharField(
        _("legal nature"), max_length=20, choices=LegalNature, default=LegalNature.PERSON
    )
    document = models.CharField(_("document"), max_length=20, blank=True)
    language = models.CharField(_("language"), max_length=10, choices=settings.LANGUAGES, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, default="America/Sao_Paulo")
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("seller")
        verbose_name_plural = _("sellers")
        permissions = (("view_as_seller", _("Can see a seller’s pages as the seller does")),)

    def __str__(self) -> str:
        return f"{self.name} ({self.code})"


class ProductQuerySet(models.QuerySet["Product"]):
    def sold_by(self, seller: Seller) -> "ProductQuerySet":
        """The products that `seller` owns, or sold as an affiliate."""
        return self.filter(
            models.Q(owner=seller)
            | models.Q(pk__in=Transaction.objects.filter(affiliate=seller).values("product"))
            | models.Q(pk__in=AbandonedCart.objects.filter(affiliate=seller).values("product"))
        )


class Product(models.Model):
    code = models.PositiveBigIntegerField(_("product code"), unique=True)
    ucode = models.UUIDField(_("universal code"), default=uuid.uuid4, unique=True)
    name = models.CharField(_("name"), max_length=255)
    owner = models.ForeignKey(Seller, models.PROTECT, related_name="products", verbose_name=_("producer"))
    support_email = models.EmailField(_("support e-mail"), blank=True)
    has_co_production = models.BooleanField(_("co-produced"), default=False)
    is_physical = models.BooleanField(_("physical product"), default=False)
    category = models.PositiveIntegerField(_("number of the category"), default=0)
    content = models.JSONField(
        _("products of the bundle"), default=list, blank=True, validators=[validate_content]
    )
    shares_buyers = models.BooleanField(
        _("affiliates see the buyers"),
        default=False,
        help_text=_("The affiliate's posts hold the buyer's name, e-mail, document, phone and address."),
    )

    objects = ProductQuerySet.as_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")

    def __str__(self) -> str:
        return self.name

    def get_additional_data(self) -> dict[str, str]:
        """For the audit log: whose it is."""
        return {"owner": str(self.owner)}


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A sale came to a status. `previous` is None for a new sale."""

    sale: "Transaction"
    previous: str | None


class TransactionQuerySet(models.QuerySet["Transaction"]):
    def update(self, **values: Any) -> int:
        _refuse_status(values)
        return super().update(**values)

    def bulk_update(
        self, objs: Iterable["Transaction"], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        _refuse_status(fields := list(fields))
        return super().bulk_update(objs, fields, batch_size)

    def with_facts(self) -> "TransactionQuerySet":
        """With all that a post about the sale needs, in the same query."""
        return self.select_related("product__owner", "affiliate", "subscription__plan")

    def locked(self, codes: Iterable[str]) -> dict[str, "Transaction"]:
        """By their codes those that are there, locked until the transaction ends: in one order, so that two who lock
        some of the same do not wait for each other."""
        return {sale.code: sale for sale in self.select_for_update().filter(code__in=codes).order_by("code")}


def _refuse_status(fields: Iterable[str]) -> None:
    if "status" in fields:
        raise ValueError(
            "A status that changes past save() would be posted to nobody: use record_status_changes(sales)."
        )


class Transaction(BuyerFacts, PaymentFacts, LinkFacts):
    """One sale; each charge of a subscription is a sale with a code of its own."""

    code = models.CharField(_("transaction"), max_length=20, unique=True)  # "HP" and digits
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="transactions", verbose_name=_("product")
    )
    affiliate = models.ForeignKey(
        Seller,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="affiliate_sales",
        verbose_name=_("affiliate"),
    )
    status = models.CharField(_("status"), max_length=20, choices=SaleStatus, default=SaleStatus.STARTED)

    ordered_at = models.DateTimeField(_("ordered"), default=timezone.now)
    approved_at = models.DateTimeField(_("approved"), null=True, blank=True)
    warranty_until = models.DateTimeField(_("end of the guarantee"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    price = models.DecimalField(
        _("price"), max_digits=12, decimal_places=2, validators=[MinValueValidator(0)]
    )
    full_price = models.DecimalField(  # with interest and taxes; empty: as the price
        _("full price"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    original_offer_price = models.DecimalField(  # before discount; empty: as the price
        _("price of the offer"),
        max_digits=12,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
    )
    currency = models.CharField(_("currency"), max_length=3, default="BRL", validators=[currency_code])
    # What the offer is priced in, and what the buyer paid in; empty: as the price.
    offer_currency = models.CharField(
        _("currency of the offer"), max_length=3, blank=True, validators=[currency_code]
    )
    payment_currency = models.CharField(
        _("currency of the payment"), max_length=3, blank=True, validators=[currency_code]
    )
    commissions = models.JSONField(
        _("commissions"), default=list, blank=True, validators=[validate_commissions]
    )
    offer_code = models.CharField(_("offer"), max_length=40, blank=True)
    coupon_code = models.CharField(_("coupon"), max_length=60, blank=True)
    checkout_country = models.CharField(_("country of the checkout"), max_length=80, default="Brasil")
    checkout_country_iso = models.CharField(
        _("its code"), max_length=2, default="BR", validators=[country_code]
    )

    subscription = models.ForeignKey(
        Subscription,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="charges",
        verbose_name=_("subscription"),
    )
    recurrence_number = models.PositiveIntegerField(_("which charge"), null=True, blank=True)  # from 1

    is_order_bump = models.BooleanField(_("order bump"), default=False)
    parent_code = models.CharField(_("main sale of the order bump"), max_length=20, blank=True)
    is_funnel = models.BooleanField(_("sold in a funnel"), default=False)
    tickets = models.PositiveIntegerField(_("tickets"), null=True, blank=True)
    hotkey = models.CharField(_("serial for members’ sites"), max_length=100, blank=True)
    is_anticipation = models.BooleanField(_("charged before its day"), default=False)  # of a subscription
    invoice_by = models.CharField(
        _("invoiced by"), max_length=10, choices=InvoiceBy, default=InvoiceBy.HOTMART
    )

    objects = TransactionQuerySet.as_manager()

    class Meta:
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        permissions = (("export_transaction", _("Can export transactions")),)
        indexes = (
            models.Index(fields=["-ordered_at", "-id"], name="transaction_newest_first"),  # the admin's list
            models.Index(fields=["affiliate", "product"], name="transaction_sold_by"),  # Product.sold_by
            models.Index(fields=["buyer_email"], name="transaction_of_buyer"),
        )

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and tell the listeners once if the row's status is another than before.

        What counts is the row, not what this instance remembers: a rollback or another process would fool it.
        """
        update_fields = kwargs.get("update_fields")
        if update_fields is not None and "status" not in update_fields:
            return super().save(*args, **kwargs)
        with transaction.atomic(using=kwargs.get("using")):
            previous = None
            if self.pk is not None:
                rows = Transaction.objects.select_for_update().filter(pk=self.pk)
                previous = rows.values_list("status", flat=True).first()
            super().save(*args, **kwargs)
            if previous != self.status:
                transaction_status_changed.send(Transaction, changes=[StatusChange(self, previous)])
        return None

    def differing_facts(self, other: "Transaction") -> list[str]:
        """The names of the fields in which the two sales differ, but for the key and `updated_at`."""
        return [
            f.name
            for f in self._meta.concrete_fields
            if not f.primary_key
            and f.name != "updated_at"
            and getattr(self, f.attname) != getattr(other, f.attname)
        ]


@dataclass(slots=True)
class Recorded:
    """What `record_status_changes` did with each of the sales it was given."""

    created: list[Transaction] = field(default_factory=list)
    changed: list[StatusChange] = field(default_factory=list)  # of those that were there: the status is new
    updated: list[Transaction] = field(default_factory=list)  # other fields are new, the status is not
    unchanged: list[Transaction] = field(default_factory=list)


def record_status_changes(
    sales: Iterable[Transaction],
    *,
    notify: bool = True,
    standing: Mapping[str, Transaction] | None = None,
) -> Recorded:
    """Write many sales at once, found by their code, and tell the listeners with one signal.

    This is the way for imports and for whatever else writes in bulk: `bulk_create()` sends no signals, and
    `update()` refuses the status. Each sale is an unsaved Transaction with all its facts; a row with the same
    code takes them over, and gets a status change only if its status is another. All in one database
    transaction: a receiver that raises undoes it. The same code twice counts as two changes, in order, so give
    it in two calls; here it raises ValueError.

    `notify=False` writes without telling anyone: history that was posted long ago. `standing` has by their codes the
    rows that are there, for whoever has read and locked them in this transaction; they are left as they are.
    """
    sales = list(sales)
    by_code = {sale.code: sale for sale in sales}
    if len(by_code) < len(sales):
        raise ValueError("The same transaction stands twice in one batch: record the changes in two calls.")
    recorded, new_facts = Recorded(), {"updated_at"}
    with transaction.atomic():
        if standing is None:
            standing = Transaction.objects.locked(by_code)
        for sale in sales:
            row = standing.get(sale.code)
            if row is None:
                recorded.created.append(sale)
                continue
            sale.pk, sale._state.adding = row.pk, False
            differing = sale.differing_facts(row)
            new_facts.update(differing)
            if "status" in differing:
                recorded.changed.append(StatusChange(sale, row.status))
            elif differing:
                recorded.updated.append(sale)
            else:
                recorded.unchanged.append(sale)
        insert(recorded.created)
        # The rows are there and locked, so every insert becomes an update of the columns that differ: half the
        # time of bulk_update() of those, a fortieth of that of all.
        Transaction.objects.bulk_create(
            [change.sale for change in recorded.changed] + recorded.updated,
            update_conflicts=True,
            unique_fields=["pk"],
            update_fields=sorted(new_facts),
        )
        changes = [StatusChange(sale, None) for sale in recorded.created] + recorded.changed
        if notify and changes:
            transaction_status_changed.send(Transaction, changes=changes)
    return recorded


class AbandonedCart(models.Model):
    """A checkout that was left before it was paid. It never changes, so its creation is what is told."""

    code = models.UUIDField(_("code"), default=uuid.uuid4, unique=True, editable=False)
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="abandoned_carts", verbose_name=_("product")
    )
    affiliate = models.ForeignKey(
        Seller,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="affiliate_carts",
        verbose_name=_("affiliate"),
    )
    buyer_name = models.CharField(_("buyer"), max_length=200)
    buyer_email = models.EmailField(_("buyer's e-mail"))
    buyer_phone = models.CharField(_("phone"), max_length=28, blank=True, validators=[digits])
    offer_code = models.CharField(_("offer"), max_length=40, blank=True)
    plan_code = models.PositiveBigIntegerField(
        _("plan code"), null=True, blank=True
    )  # a plan was in the cart
    has_negotiation = models.BooleanField(_("a negotiation was offered"), default=False)
    checkout_country = models.CharField(_("country of the checkout"), max_length=80, default="Brasil")
    checkout_country_iso = models.CharField(
        _("its code"), max_length=2, default="BR", validators=[country_code]
    )
    abandoned_at = models.DateTimeField(_("abandoned"), default=timezone.now)

    class Meta:
        verbose_name = _("abandoned cart")
        verbose_name_plural = _("abandoned carts")
        indexes = (models.Index(fields=["affiliate", "product"], name="cart_sold_by"),)  # Product.sold_by

    def __str__(self) -> str:
        return f"{self.buyer_email}: {self.product_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and tell the listeners of a cart that is new."""
        with transaction.atomic(using=kwargs.get("using")):
            is_new = self._state.adding
            super().save(*args, **kwargs)
            if is_new:
                cart_abandoned.send(AbandonedCart, carts=[self])


def record_abandoned_carts(carts: Iterable[AbandonedCart], *, notify: bool = True) -> None:
    """Write many new carts at once and tell the listeners with one signal, or nobody (`notify=False`)."""
    with transaction.atomic():
        created = insert(carts)
        if notify and created:
            cart_abandoned.send(AbandonedCart, carts=created)
