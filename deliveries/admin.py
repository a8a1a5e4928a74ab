from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from configurations.models import SECRETS, Mismatch, WebhookConfig
from sales.adminfilters import AutocompleteFilter, ResponseFilter
from sales.adminkit import (
    EMPTY,
    BigTable,
    Evidence,
    badge,
    link,
    links,
    list_link,
    preformatted,
    pretty_json,
    when,
)

from . import order, phases, showing
from .bulk_admin import BulkReprocessAdmin as BulkReprocessAdmin
from .explain import explain
from .models import BEHIND, CONFIG_SECRETS, Delivery, DeliveryAttempt, EndpointHealth, Event, State, Tally
from .reprocess_admin import Reprocesses

_COLOURS = {
    State.WAITING: "wait", State.SENDING: "info", State.DELIVERED: "ok", State.FAILED: "bad",
    State.HELD: "held", State.DISCARDED: "off",
}  # fmt: skip


def outcome(status: int | None, problem: str, *, delivered: bool, page: bool = False) -> str | SafeString:
    """A code or a problem in its colour, with a link to what it means."""
    words = explain(status, problem, page=page, delivered=delivered)
    if words is None:
        return EMPTY
    url = reverse("deliveries:code", args=[words.slug])
    return format_html('<a class="badge {}" href="{}">{}</a>', words.kind, url, status or words.title)


# --- Events -------------------------------------------------------------------------------------------


@admin.register(Event)
class EventAdmin(Evidence, BigTable):
    list_display = (
        "type",
        "subject",
        "product_link",
        "producer_link",
        "buyer_email",
        "total",
        "at",
        "posts",
    )
    list_filter = ("type", ("producer", AutocompleteFilter), ("product", AutocompleteFilter), "occurred_at")
    list_select_related = ("product", "producer", "sale", "cart", "subscription")
    search_fields = ("transaction_code__exact", "buyer_email__exact", "id__exact")
    search_help_text = _("Transaction code, the buyer's e-mail, or the id of the posts")
    date_hierarchy = "occurred_at"
    ordering = ("-occurred_at", "-pk")
    fields = (
        "type", "id", "occurred_at", "subject", "product_link", "producer_link", "buyer_name", "buyer_email",
        "total", "posts", "why_not", "the_snapshot",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        events = super().get_queryset(request)
        return events.defer("snapshot", "mismatches", "sale__commissions")

    @admin.display(description=_("transaction, cart or subscription"), ordering="transaction_code")
    def subject(self, event: Event) -> Any:
        return link(event.sale or event.cart or event.subscription)

    @admin.display(description=_("occurred"), ordering="occurred_at")
    def at(self, event: Event) -> Any:
        return when(event.occurred_at)

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, event: Event) -> Any:
        return link(event.product) if event.product else event.product_name or EMPTY

    @admin.display(description=_("producer"), ordering="producer__name")
    def producer_link(self, event: Event) -> Any:
        return link(event.producer)

    @admin.display(description=_("amount"), ordering="amount")
    def total(self, event: Event) -> str | None:
        return None if event.amount is None else f"{event.amount} {event.currency}"

    @admin.display(description=_("posts"))
    def posts(self, event: Event) -> str | SafeString:
        return list_link("deliveries_delivery", _("Posts"), event__id__exact=event.pk)

    @admin.display(description=_("why not posted"))
    def why_not(self, event: Event) -> Any:
        """The configurations that the event did not match, and why."""
        configs = WebhookConfig.objects.defer(*SECRETS).in_bulk([int(pk) for pk in event.mismatches])
        lines = [(link(configs.get(int(pk))), Mismatch(why).label) for pk, why in event.mismatches.items()]
        return format_html_join("", "<p>{}: {}</p>", lines) or EMPTY

    @admin.display(description=_("snapshot"))
    def the_snapshot(self, event: Event) -> Any:
        return pretty_json(event.snapshot)


# --- Deliveries and their attempts --------------------------------------------------------------------


class AttemptInline(Evidence, admin.TabularInline):
    model = DeliveryAttempt
    fields = ("open", "started_at", "result", "duration_ms", "url", "detail", "late")
    readonly_fields = fields
    ordering = ("number",)
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeliveryAttempt]:
        return super().get_queryset(request).defer("request_headers", "response_headers", "response_body")

    @admin.display(description=_("attempt"))
    def open(self, attempt: DeliveryAttempt) -> str | SafeString:
        return link(attempt, attempt.number)

    @admin.display(description=_("result"))
    def result(self, attempt: DeliveryAttempt) -> Any:
        return outcome(attempt.status, attempt.problem, delivered=attempt.delivered)


class DeliveryResponseFilter(ResponseFilter):
    tried = Q(attempts_made__gt=0)


class AttemptResponseFilter(ResponseFilter):
    field = "status"


@admin.register(Delivery)
class DeliveryAdmin(Reprocesses, Evidence, BigTable):
    list_display = (
        "name", "status", "result", "attempts_made", "config_link", "owner_link", "at", "next_at",
    )  # fmt: skip
    list_filter = (
        "state",
        DeliveryResponseFilter,
        ("owner", AutocompleteFilter),
        ("config", AutocompleteFilter),
        ("event__product", AutocompleteFilter),
        "event__type",
        "last_problem",
        "created_at",
        "audience",
    )
    list_select_related = ("event", "config", "owner")
    search_fields = ("webhook_id__exact", "event__transaction_code__exact", "event__buyer_email__exact")
    search_help_text = _("Id of the post, transaction code or the buyer's e-mail")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    fields = (
        "webhook_id", "status", "event_link", "subject", "config_link", "owner_link", "audience", "version", "result",
        "tries", "attempts_made", "created_at", "next_try_at", "waits_for", "finished_at", "payload",
    )  # fmt: skip
    readonly_fields = fields
    inlines = (AttemptInline,)
    actions = ("reprocess",)
    view_on_site = False  # the seller's page is the owner's only

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        return (
            super()
            .get_queryset(request)
            .defer("body", "event__snapshot", "event__mismatches", *CONFIG_SECRETS)
        )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """The links of a transaction, a cart and a subscription lead to their posts."""
        links_here = (
            "event__sale__id__exact",
            "event__cart__id__exact",
            "event__subscription__id__exact",
            "event__buyer_email__exact",
            "config__host__exact",
        )
        return lookup in links_here or super().lookup_allowed(lookup, value, request)

    @admin.display(description=_("post"), ordering="event__type")
    def name(self, delivery: Delivery) -> str:
        return str(delivery.event)

    @admin.display(description=_("time"), ordering="created_at")
    def at(self, delivery: Delivery) -> Any:
        return when(delivery.created_at)

    @admin.display(description=_("next try"), ordering="next_try_at")
    def next_at(self, delivery: Delivery) -> Any:
        return when(delivery.next_try_at)

    @admin.display(description=_("status"), ordering="state")
    def status(self, delivery: Delivery) -> SafeString:
        return badge(_COLOURS[State(delivery.state)], delivery.get_state_display())

    @admin.display(description=_("event"))
    def event_link(self, delivery: Delivery) -> Any:
        return link(delivery.event)

    @admin.display(description=_("transaction, cart or subscription"))
    def subject(self, delivery: Delivery) -> Any:
        return link(delivery.event.sale or delivery.event.cart or delivery.event.subscription)

    @admin.display(description=_("configuration"), ordering="config__name")
    def config_link(self, delivery: Delivery) -> Any:
        return link(delivery.config)

    @admin.display(description=_("owner"), ordering="owner__name")
    def owner_link(self, delivery: Delivery) -> Any:
        return link(delivery.owner)

    @admin.display(description=_("last result"), ordering="last_status")
    def result(self, delivery: Delivery) -> Any:
        delivered = delivery.state == State.DELIVERED
        return outcome(
            delivery.last_status, delivery.last_problem, delivered=delivered, page=delivery.answered_page
        )

    @admin.display(description=_("waits for"))
    def waits_for(self, delivery: Delivery) -> Any:
        ahead = order.waits_for([delivery]).get(delivery.pk)
        if ahead is None:
            return EMPTY
        url = reverse("admin:deliveries_delivery_change", args=[ahead])
        return format_html('{} <a href="{}">#{}</a>', BEHIND, url, ahead)

    @admin.display(description=_("payload"))
    def payload(self, delivery: Delivery) -> Any:
        if delivery.event.redacted_at:
            return _("Erased, with the data of the buyer.")
        shown = showing.payload(delivery)
        return EMPTY if shown is None else preformatted(shown.html)


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(Evidence, BigTable):
    list_display = ("delivery_link", "number", "result", "duration_ms", "config_link", "at", "late")
    list_filter = (
        "delivered", AttemptResponseFilter, ("delivery__owner", AutocompleteFilter), "problem", "late", "started_at",
    )  # fmt: skip
    list_select_related = ("delivery__config",)
    search_fields = ("delivery__webhook_id__exact", "delivery__event__transaction_code__exact")
    search_help_text = _("Id of the post or transaction code")
    ordering = ("-pk",)
    fields = (
        "delivery_link", "event_link", "config_link", "number", "started_at", "duration_ms", "time_went", "url",
        "result", "happened", "detail", "late", "request", "response", "response_cut",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[DeliveryAttempt]:
        attempts = super().get_queryset(request)
        return attempts.defer(
            "request_headers",
            "response_headers",
            "response_body",
            "delivery__body",
            *(f"delivery__{name}" for name in CONFIG_SECRETS),
        )

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest) -> bool:
        """The bars of a host's page lead to its tries."""
        return lookup == "delivery__config__host" or super().lookup_allowed(lookup, value, request)

    @admin.display(description=_("started"), ordering="started_at")
    def at(self, attempt: DeliveryAttempt) -> Any:
        return when(attempt.started_at)

    @admin.display(description=_("post"), ordering="delivery")
    def delivery_link(self, attempt: DeliveryAttempt) -> Any:
        return link(attempt.delivery)

    @admin.display(description=_("Where the time went"))
    def time_went(self, attempt: DeliveryAttempt) -> str:
        return phases.in_words(attempt)

    @admin.display(description=_("event"))
    def event_link(self, attempt: DeliveryAttempt) -> Any:
        return link(attempt.delivery.event)

    @admin.display(description=_("configuration"))
    def config_link(self, attempt: DeliveryAttempt) -> Any:
        return link(attempt.delivery.config)

    @admin.display(description=_("result"), ordering="status")
    def result(self, attempt: DeliveryAttempt) -> Any:
        return outcome(attempt.status, attempt.problem, delivered=attempt.delivered)

    @admin.display(description=_("what happened"))
    def happened(self, attempt: DeliveryAttempt) -> Any:
        words = explain(
            attempt.status,
            attempt.problem,
            attempt.detail,
            url=attempt.url,
            headers=attempt.response_headers,
            delivered=attempt.delivered,
        )
        return words and f"{words.happened} {words.what_to_do}"

    @admin.display(description=_("request headers"))
    def request(self, attempt: DeliveryAttempt) -> Any:
        return preformatted(showing.headers(attempt.request_headers).html)

    @admin.display(description=_("response"))
    def response(self, attempt: DeliveryAttempt) -> Any:
        head = showing.headers(attempt.response_headers).html
        body = showing.body(bytes(attempt.response_body), showing.content_type(attempt.response_headers)).html
        return format_html("{}{}", preformatted(head), preformatted(body) if attempt.response_body else "")


@admin.register(EndpointHealth)
class EndpointHealthAdmin(Evidence, BigTable):
    list_display = (
        "config_link", "owner_link", "failures", "first_failure", "last_failure", "last_success", "next_probe",
    )  # fmt: skip
    list_filter = (
        ("config__owner", AutocompleteFilter), "fault", "told", "last_success_at", "first_failure_at",
    )  # fmt: skip
    list_select_related = ("config__owner",)
    search_fields = ("config__name", "url", "config__owner__name")
    search_help_text = _("The configuration's name, its URL, or its owner's name")
    ordering = ("-failures", "-pk")
    fields = (
        "config_link", "owner_link", "url", "last_success_at", "works_since", "failures", "first_failure_at",
        "last_failure_at", "last_status", "last_problem", "last_detail", "fault", "fault_since", "next_probe_at",
        "told", "told_at", "posts",
    )  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[EndpointHealth]:
        return super().get_queryset(request).defer(*CONFIG_SECRETS)

    @admin.display(description=_("configuration"), ordering="config__name")
    def config_link(self, health: EndpointHealth) -> Any:
        return link(health.config)

    @admin.display(description=_("owner"), ordering="config__owner__name")
    def owner_link(self, health: EndpointHealth) -> Any:
        return link(health.config.owner)

    @admin.display(description=_("failing since"), ordering="first_failure_at")
    def first_failure(self, health: EndpointHealth) -> Any:
        return when(health.first_failure_at)

    @admin.display(description=_("last failure"), ordering="last_failure_at")
    def last_failure(self, health: EndpointHealth) -> Any:
        return when(health.last_failure_at)

    @admin.display(description=_("last success"), ordering="last_success_at")
    def last_success(self, health: EndpointHealth) -> Any:
        return when(health.last_success_at)

    @admin.display(description=_("next probe"), ordering="next_probe_at")
    def next_probe(self, health: EndpointHealth) -> Any:
        return when(health.next_probe_at)

    @admin.display(description=_("posts"))
    def posts(self, health: EndpointHealth) -> str | SafeString:
        return links(list_link("deliveries_delivery", _("Posts"), config__id__exact=health.pk))


@admin.register(Tally)
class TallyAdmin(Evidence, BigTable):
    """What is left of posts that were deleted for their age."""

    list_display = ("day", "config_link", "owner_link", "event", "status", "posts", "attempts")
    list_filter = ("state", "event", "day")
    list_select_related = ("config__owner",)
    search_fields = ("config__name", "config__owner__name", "config__owner__code__exact")
    search_help_text = _("The configuration's name, or its owner's name or code")
    ordering = ("-day", "-pk")
    fields = list_display
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tally]:
        return super().get_queryset(request).defer(*CONFIG_SECRETS)

    @admin.display(description=_("configuration"), ordering="config__name")
    def config_link(self, tally: Tally) -> Any:
        return link(tally.config)

    @admin.display(description=_("owner"), ordering="config__owner__name")
    def owner_link(self, tally: Tally) -> Any:
        return link(tally.config.owner)

    @admin.display(description=_("status"), ordering="state")
    def status(self, tally: Tally) -> SafeString:
        return badge(_COLOURS[State(tally.state)], tally.get_state_display())
