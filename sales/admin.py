from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from .accounts import NotInvited, change_login, email_taken, give_login, invite, send_invitation
from .adminfilters import AutocompleteFilter
from .adminkit import (
    Audited,
    BigTable,
    Evidence,
    Question,
    WritesOnlyChanges,
    badge,
    confirmed,
    link,
    links,
    list_link,
    named_link,
    when,
)
from .audit_admin import LogEntryAdmin
from .forms import time_zones
from .models import AbandonedCart, Product, Seller, Transaction
from .statuses import SaleStatus
from .subscription_admin import PlanAdmin, SubscriptionAdmin
from .templatetags.formats import number
from .transaction_exchange import TransactionExchange
from .user_admin import StaffGroupAdmin, StaffUserAdmin

__all__ = (
    "LogEntryAdmin",
    "PlanAdmin",
    "StaffGroupAdmin",
    "StaffUserAdmin",
    "SubscriptionAdmin",
)  # registered there

# --- Sellers ------------------------------------------------------------------------------------------


class LoginFilter(admin.SimpleListFilter):
    title = _("login")
    parameter_name = "login"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("none", _("No login")),
            ("invited", _("Invited")),
            ("set", _("Password set")),
            ("blocked", _("Blocked")),
        ]

    def queryset(self, request: HttpRequest, sellers: QuerySet[Seller]) -> QuerySet[Seller]:
        match self.value():
            case "none":
                return sellers.filter(user=None)
            case "blocked":
                return sellers.filter(user__is_active=False)
            case "invited":
                return sellers.filter(
                    user__is_active=True, user__password__startswith=UNUSABLE_PASSWORD_PREFIX
                )
            case "set":
                return sellers.filter(user__is_active=True).exclude(
                    user__password__startswith=UNUSABLE_PASSWORD_PREFIX
                )
        return sellers


class SellerForm(forms.ModelForm):
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=time_zones, initial="America/Sao_Paulo")

    class Meta:
        model = Seller
        fields = ("code", "name", "email", "user", "legal_nature", "document", "language", "time_zone")
        help_texts = {  # noqa: RUF012
            "email": _("A new seller gets a login and an invitation to set a password there."),
            "user": _("Only to choose a login that is there already; left empty, the e-mail becomes one."),
        }

    def clean_email(self) -> str | None:
        email = self.cleaned_data["email"]
        if not email:
            return None
        if Seller.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError(_("Another seller has this e-mail address."), code="unique")
        return email

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        email, user = cleaned.get("email"), cleaned.get("user")
        if "email" in self.errors:
            return cleaned
        if user and not email:
            self.add_error(
                "email", ValidationError(_("A seller with a login needs an e-mail address."), code="login")
            )
        elif email and (user or not self.instance.pk) and email_taken(email, but_by=user):
            self.add_error(
                "email",
                ValidationError(
                    _(
                        "A user logs in with this e-mail address already: choose it as the user, or another address."
                    ),
                    code="taken",
                ),
            )
        return cleaned


def _ask_to_invite(sellers: QuerySet[Seller], count: int) -> Question:
    new = sellers.filter(user=None).count()
    facts = [gettext("Each gets a login by e-mail address, and a mail with a link that sets its password.")]
    if count > new:
        text = ngettext(
            "%(n)s of the chosen has a login already and gets no mail.",
            "%(n)s of the chosen have a login already and get no mail.",
            count - new,
        )
        facts.append(text % {"n": number(count - new)})
    return _to_invite(new, facts)


def _ask_to_invite_again(sellers: QuerySet[Seller], count: int) -> Question:
    waiting = sellers.filter(user__password__startswith=UNUSABLE_PASSWORD_PREFIX).count()
    facts = [gettext("Each gets the mail with the link that sets a password once more.")]
    if count > waiting:
        text = ngettext(
            "%(n)s of the chosen was never invited or has set a password, and gets no mail.",
            "%(n)s of the chosen were never invited or have set a password, and get no mail.",
            count - waiting,
        )
        facts.append(text % {"n": number(count - waiting)})
    return _to_invite(waiting, facts)


def _to_invite(count: int, facts: list[str]) -> Question:
    if not count:
        return Question(gettext("There is nobody to invite"), "", facts[1:])
    title = ngettext("Invite %(n)s seller?", "Invite %(n)s sellers?", count) % {"n": number(count)}
    return Question(title, gettext("Send the mail"), facts)


@admin.register(Seller)
class SellerAdmin(WritesOnlyChanges, Audited, BigTable):
    form = SellerForm
    list_display = ("name", "code", "email", "login", "legal_nature", "language", "since")
    list_filter = (LoginFilter, "legal_nature", "language")
    list_select_related = ("user",)
    search_fields = ("code", "name", "email")
    ordering = ("name", "pk")
    autocomplete_fields = ("user",)
    readonly_fields = ("login", "more", "created_at")
    actions = ("invite", "invite_again")

    @admin.display(description=_("login"))
    def login(self, seller: Seller) -> SafeString:
        if seller.user is None:
            return badge("off", _("No login"))
        if not seller.user.is_active:
            return badge("bad", _("Blocked"))
        if not seller.user.has_usable_password():
            return badge("wait", _("Invited"))
        return badge("ok", _("Password set"))

    @admin.display(description=_("created"), ordering="created_at")
    def since(self, seller: Seller) -> Any:
        return when(seller.created_at)

    @admin.display(description=_("more"))
    def more(self, seller: Seller) -> Any:
        return links(
            list_link("sales_product", _("Products"), owner__id__exact=seller.pk),
            list_link("configurations_webhookconfig", _("Configurations"), owner__id__exact=seller.pk),
            list_link("deliveries_delivery", _("Posts"), owner__id__exact=seller.pk),
            list_link("sales_transaction", _("Sales as an affiliate"), affiliate__id__exact=seller.pk),
        )

    def save_model(self, request: HttpRequest, seller: Seller, form: SellerForm, change: bool) -> None:
        super().save_model(request, seller, form, change)
        if not change and seller.email and seller.user is None:
            give_login(seller)
            # After the commit: no transaction stays open while the mail goes out.
            transaction.on_commit(partial(self._invite, request, [seller], send_invitation))
        elif change and "email" in form.changed_data and seller.user:
            change_login(seller)

    @confirmed(_ask_to_invite)
    @admin.action(description=_("Invite: give a login and send the invitation"), permissions=["change"])
    def invite(self, request: HttpRequest, sellers: QuerySet[Seller]) -> None:
        """For sellers that an import made known."""
        there = list(sellers.exclude(user=None))
        self._invite(request, sellers.filter(user=None), invite)
        self._skipped(request, there, gettext("These have a login already:"))

    @confirmed(_ask_to_invite_again)
    @admin.action(description=_("Send the invitation again"), permissions=["change"])
    def invite_again(self, request: HttpRequest, sellers: QuerySet[Seller]) -> None:
        self._invite(request, sellers.exclude(user=None), send_invitation)
        self._skipped(request, list(sellers.filter(user=None)), gettext("These were never invited:"))

    def _invite(self, request: HttpRequest, sellers: Any, how: Callable[[Seller], None]) -> None:
        sent = 0
        for seller in list(sellers):
            try:
                how(seller)
            except NotInvited as reason:
                self.message_user(request, str(reason), messages.WARNING)
            else:
                sent += 1
        if sent:
            self.message_user(
                request,
                ngettext("%(n)d invitation was sent.", "%(n)d invitations were sent.", sent) % {"n": sent},
                messages.SUCCESS,
            )

    def _skipped(self, request: HttpRequest, sellers: list[Seller], why: str) -> None:
        if sellers:
            self.message_user(request, f"{why} {', '.join(map(str, sellers))}", messages.WARNING)


# --- Products -----------------------------------------------------------------------------------------


@admin.register(Product)
class ProductAdmin(WritesOnlyChanges, Audited, BigTable):
    list_display = ("name", "code", "seller", "shares_buyers", "is_physical", "has_co_production", "sales")
    list_filter = (("owner", AutocompleteFilter), "shares_buyers", "is_physical", "has_co_production")
    list_select_related = ("owner",)
    search_fields = ("code__exact", "name", "owner__name", "owner__code__exact")
    search_help_text = _("Name, product code, or the producer's name or code")
    ordering = ("name", "pk")
    autocomplete_fields = ("owner",)

    @admin.display(description=_("producer"), ordering="owner__name")
    def seller(self, product: Product) -> Any:
        return link(product.owner)

    @admin.display(description=_("sales"))
    def sales(self, product: Product) -> str | SafeString:
        return list_link("sales_transaction", _("Sales"), product__id__exact=product.pk)


# --- Sales and carts ----------------------------------------------------------------------------------

_COLOURS = {
    SaleStatus.APPROVED: "ok", SaleStatus.COMPLETED: "ok",
    SaleStatus.CANCELED: "bad", SaleStatus.REFUNDED: "bad", SaleStatus.CHARGEBACK: "bad", SaleStatus.EXPIRED: "bad",
    SaleStatus.DISPUTE: "wait", SaleStatus.DELAYED: "wait", SaleStatus.BILLET_PRINTED: "info",
}  # fmt: skip


@admin.register(Transaction)
class TransactionAdmin(TransactionExchange, WritesOnlyChanges, BigTable):
    list_display = (
        "code",
        "state",
        "product_link",
        "buyer",
        "amount",
        "payment_type",
        "at",
        "posts",
    )
    list_filter = (
        "status",
        ("product", AutocompleteFilter),
        ("product__owner", AutocompleteFilter),
        ("affiliate", AutocompleteFilter),
        "payment_type",
        "ordered_at",
        ("affiliate", admin.EmptyFieldListFilter),
        ("subscription", admin.EmptyFieldListFilter),
    )
    list_select_related = ("product",)
    search_fields = ("code__exact", "buyer_email__exact", "buyer_document__exact", "buyer_name__istartswith")
    search_help_text = _("Transaction code, the buyer's e-mail or document, or how the name begins")
    date_hierarchy = "ordered_at"
    ordering = ("-ordered_at", "-pk")
    autocomplete_fields = ("product", "affiliate", "subscription")
    readonly_fields = ("updated_at", "posts")
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}  # noqa: RUF012
    fieldsets = (
        (None, {"fields": ("code", "product", "affiliate", "status", "posts", ("ordered_at", "approved_at"), ("warranty_until", "updated_at"))}),
        (_("Buyer"), {"fields": (("buyer_name", "buyer_email"), ("buyer_document", "buyer_document_type"), ("buyer_phone_code", "buyer_phone"), ("buyer_phone_record_code", "buyer_phone_record"))}),
        (_("Address"), {"classes": ("collapse",), "fields": (("buyer_country", "buyer_country_iso", "buyer_zipcode"), ("buyer_address", "buyer_number", "buyer_complement"), ("buyer_neighborhood", "buyer_city", "buyer_state"))}),
        (_("Price"), {"fields": (("price", "currency"), ("full_price", "original_offer_price"), ("offer_currency", "payment_currency"), ("offer_code", "coupon_code"), ("checkout_country", "checkout_country_iso"), "commissions", "invoice_by")}),
        (_("Payment"), {"fields": (("payment_type", "installments", "payment_mode"), ("payment_engine", "transaction_ext"), "refusal_reason", ("billet_url", "billet_barcode", "billet_due_on"), ("pix_code", "pix_qrcode", "pix_expires_at"))}),
        (_("Subscription"), {"fields": (("subscription", "recurrence_number"), "is_anticipation")}),
        (_("Where it came from"), {"classes": ("collapse",), "fields": (("src", "sck", "xcod"), ("utm_source", "utm_medium", "utm_campaign"), ("utm_term", "utm_content"), ("is_order_bump", "parent_code", "is_funnel"), ("tickets", "hotkey"))}),
    )  # fmt: skip

    @admin.display(description=_("buyer"), ordering="buyer_name")
    def buyer(self, sale: Transaction) -> SafeString:
        return format_html('{}<div class="quiet">{}</div>', sale.buyer_name, sale.buyer_email)

    @admin.display(description=_("ordered"), ordering="ordered_at")
    def at(self, sale: Transaction) -> Any:
        return when(sale.ordered_at)

    @admin.display(description=_("status"), ordering="status")
    def state(self, sale: Transaction) -> SafeString:
        return badge(_COLOURS.get(sale.status, "off"), sale.get_status_display())

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, sale: Transaction) -> Any:
        return link(sale.product)

    @admin.display(description=_("amount"), ordering="price")
    def amount(self, sale: Transaction) -> str:
        return f"{sale.price} {sale.currency}"

    @admin.display(description=_("posts"))
    def posts(self, sale: Transaction) -> Any:
        return links(
            list_link("deliveries_event", _("Events"), sale__id__exact=sale.pk),
            list_link("deliveries_delivery", _("Posts"), event__sale__id__exact=sale.pk),
            named_link("deliveries:timeline", _("Why, or why not?"), sale.code) if sale.pk else "",
        )


@admin.register(AbandonedCart)
class AbandonedCartAdmin(BigTable):
    """A cart can be added, which is posted, and never changes."""

    list_display = ("code", "buyer_name", "buyer_email", "product_link", "at", "posts")
    list_filter = (
        ("product", AutocompleteFilter),
        ("product__owner", AutocompleteFilter),
        "abandoned_at",
        ("affiliate", admin.EmptyFieldListFilter),
    )
    list_select_related = ("product",)
    search_fields = ("buyer_email__exact", "buyer_name__istartswith", "code__exact")
    search_help_text = _("The buyer's e-mail, how the name begins, or the cart's code")
    date_hierarchy = "abandoned_at"
    ordering = ("-abandoned_at", "-pk")
    autocomplete_fields = ("product", "affiliate")
    readonly_fields = ("code", "posts")

    has_change_permission = Evidence.has_change_permission

    @admin.display(description=_("abandoned"), ordering="abandoned_at")
    def at(self, cart: AbandonedCart) -> Any:
        return when(cart.abandoned_at)

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, cart: AbandonedCart) -> Any:
        return link(cart.product)

    @admin.display(description=_("posts"))
    def posts(self, cart: AbandonedCart) -> Any:
        return links(
            list_link("deliveries_event", _("Events"), cart__id__exact=cart.pk),
            list_link("deliveries_delivery", _("Posts"), event__cart__id__exact=cart.pk),
        )
