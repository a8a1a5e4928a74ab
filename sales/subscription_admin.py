"""Plans and subscriptions in the admin; what staff change of a subscription is posted like any other change."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from .adminfilters import AutocompleteFilter
from .adminkit import BigTable, WritesOnlyChanges, badge, link, links, list_link, when
from .statuses import CANCELLED, SubscriptionStatus
from .subscriptions import Plan, Subscription

_COLOURS = {SubscriptionStatus.ACTIVE: "ok", SubscriptionStatus.STARTED: "info"}
_COLOURS |= dict.fromkeys((SubscriptionStatus.DELAYED, SubscriptionStatus.OVERDUE), "wait")
_COLOURS |= dict.fromkeys((*CANCELLED, SubscriptionStatus.EXPIRED), "bad")


@admin.register(Plan)
class PlanAdmin(WritesOnlyChanges, BigTable):
    list_display = ("name", "code", "product_link", "recurrency_period", "amount", "subscriptions")
    list_filter = (("product", AutocompleteFilter), "recurrency_period")
    list_select_related = ("product",)
    search_fields = ("code__exact", "name", "product__name")
    search_help_text = _("Plan code, plan or product")
    ordering = ("product__name", "name", "pk")
    autocomplete_fields = ("product",)

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, plan: Plan) -> Any:
        return link(plan.product)

    @admin.display(description=_("price"), ordering="price")
    def amount(self, plan: Plan) -> str:
        return f"{plan.price} {plan.currency}"

    @admin.display(description=_("subscriptions"))
    def subscriptions(self, plan: Plan) -> str | SafeString:
        return list_link("sales_subscription", _("Subscriptions"), plan__id__exact=plan.pk)


@admin.register(Subscription)
class SubscriptionAdmin(WritesOnlyChanges, BigTable):
    list_display = (
        "subscriber_code", "state", "name", "email", "plan_link", "product_link", "next_charge", "charges", "posts",
    )  # fmt: skip
    list_filter = (
        "status",
        ("product", AutocompleteFilter),
        ("plan", AutocompleteFilter),
        "next_charge_at",
        "cancelled_at",
    )
    list_select_related = ("product", "plan")
    search_fields = ("subscriber_code__exact", "email__exact", "name__istartswith", "plan__code__exact")
    search_help_text = _("Subscriber code, the subscriber's e-mail, how the name begins, or the plan code")
    ordering = ("-pk",)
    autocomplete_fields = ("product", "plan")
    readonly_fields = ("charges", "posts")
    fieldsets = (
        (None, {"fields": ("subscriber_code", "code", "product", "plan", ("status", "cancelled_at"), "charges", "posts")}),
        (_("Subscriber"), {"fields": (("name", "email"), ("phone_code", "phone"), ("cell_code", "cell"))}),
        (
            _("Charges"),
            {
                "fields": (("next_charge_at", "charge_day"), ("recurrence_value", "last_recurrence_number")),
                "description": _("Of date and day, change one: the other follows."),
            },
        ),
    )  # fmt: skip

    @admin.display(description=_("status"), ordering="status")
    def state(self, subscription: Subscription) -> SafeString:
        colour = _COLOURS.get(SubscriptionStatus(subscription.status), "off")
        return badge(colour, subscription.get_status_display())

    @admin.display(description=_("plan"), ordering="plan__name")
    def plan_link(self, subscription: Subscription) -> Any:
        return link(subscription.plan, subscription.plan.name)

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, subscription: Subscription) -> Any:
        return link(subscription.product)

    @admin.display(description=_("next charge"), ordering="next_charge_at")
    def next_charge(self, subscription: Subscription) -> Any:
        return when(subscription.next_charge_at)

    @admin.display(description=_("charges"))
    def charges(self, subscription: Subscription) -> str | SafeString:
        return list_link("sales_transaction", _("Charges"), subscription__id__exact=subscription.pk)

    @admin.display(description=_("posts"))
    def posts(self, subscription: Subscription) -> Any:
        return links(
            list_link("deliveries_event", _("Events"), subscription__id__exact=subscription.pk),
            list_link("deliveries_delivery", _("Posts"), event__subscription__id__exact=subscription.pk),
        )

    def save_model(self, request: HttpRequest, obj: Subscription, form: ModelForm, change: bool) -> None:
        """Of the next charge and its day of the month, the one that was left alone follows the other."""
        changed = form.changed_data
        if "charge_day" in changed and "next_charge_at" not in changed and obj.charge_day:
            obj.charge_on(obj.charge_day)
            changed.append("next_charge_at")
        elif "next_charge_at" in changed and "charge_day" not in changed and obj.next_charge_at:
            obj.charge_day = timezone.localtime(obj.next_charge_at).day
            changed.append("charge_day")
        super().save_model(request, obj, form, change)
