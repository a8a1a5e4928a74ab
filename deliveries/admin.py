from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from configurations.models import SECRETS, Mismatch, WebhookConfig
from configurations.models import State as ConfigState
from sales.adminkit import (
    EMPTY,
    BigTable,
    Evidence,
    Question,
    badge,
    confirmed,
    link,
    links,
    list_link,
    preformatted,
    pretty_json,
)
from sales.templatetags.formats import number

from . import showing
from .explain import explain
from .models import (
    CONFIG_SECRETS,
    Delivery,
    DeliveryAttempt,
    DeliveryQuerySet,
    EndpointHealth,
    Event,
    State,
    Tally,
)

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
        "occurred_at",
        "posts",
    )
    list_filter = ("type", "occurred_at")
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

    @admin.display(description=_("product"), ordering="product__name")
    def product_link(self, event: Event) -> Any:
        return link(event.product)

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


def _ask_to_reprocess(posts: DeliveryQuerySet, count: int) -> Question:
    found = posts.order_by().aggregate(
        sends=Count("pk", filter=_CAN_GO),
        arrived=Count("pk", filter=_CAN_GO & Q(state=State.DELIVERED)),
        receivers=Count("config", filter=_CAN_GO, distinct=True),
    )
    sends, arrived, stays = found["sends"], found["arrived"], count - found["sends"]
    facts = []
    if sends:
        text = ngettext(
            "They go to the URL of %(n)s configuration, each with a fresh set of tries.",
            "They go to the URLs of %(n)s configurations, each with a fresh set of tries.",
            found["receivers"],
        )
        facts.append(text % {"n": number(found["receivers"])})
    if arrived:
        text = ngettext(
            "%(n)s of them arrived already: its receiver gets it a second time, with the same webhook-id.",
            "%(n)s of them arrived already: their receivers get them a second time, with the same webhook-id.",
            arrived,
        )
        facts.append(text % {"n": number(arrived)})
    if stays:
        text = ngettext(
            "%(n)s of the chosen stays as it is: it is on its way, or its configuration is not on.",
            "%(n)s of the chosen stay as they are: they are on their way, or their configurations are not on.",
            stays,
        )
        facts.append(text % {"n": number(stays)})
    if not sends:
        return Question(gettext("There is nothing to send"), "", facts, example=_named)
    title = ngettext("Send %(n)s post?", "Send %(n)s posts?", sends) % {"n": number(sends)}
    return Question(title, gettext("Send"), facts, example=_named)


_CAN_GO = ~Q(state=State.SENDING) & Q(config__state=ConfigState.ON)


def _named(post: Delivery) -> str | SafeString:
    """Event, receiver and status, for a question."""
    return links(str(post.event), post.config.name, post.get_state_display())


@admin.register(Delivery)
class DeliveryAdmin(Evidence, BigTable):
    list_display = (
        "name",
        "status",
        "result",
        "attempts_made",
        "config_link",
        "owner_link",
        "created_at",
        "next_try_at",
    )
    list_filter = ("state", "event__type", "last_status", "last_problem", "created_at", "audience")
    list_select_related = ("event", "config", "owner")
    search_fields = ("webhook_id__exact", "event__transaction_code__exact", "event__buyer_email__exact")
    search_help_text = _("Id of the post, transaction code or the buyer's e-mail")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    fields = (
        "webhook_id", "status", "event_link", "subject", "config_link", "owner_link", "audience", "version", "result",
        "tries", "attempts_made", "created_at", "next_try_at", "finished_at", "payload",
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
        )
        return lookup in links_here or super().lookup_allowed(lookup, value, request)

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("deliveries.change_delivery")

    @confirmed(_ask_to_reprocess)
    @admin.action(description=_("Reprocess, or send now what waits"), permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, deliveries: DeliveryQuerySet) -> None:
        chosen = deliveries.count()
        sent = deliveries.send_again()
        self.message_user(
            request,
            ngettext("%(n)d post is sent now.", "%(n)d posts are sent now.", sent) % {"n": sent},
            messages.SUCCESS if sent else messages.WARNING,
        )
        if stayed := chosen - sent:
            self.message_user(
                request,
                ngettext(
                    "%(n)d post stays as it is: it is on its way, or its configuration is not on.",
                    "%(n)d posts stay as they are: they are on their way, or their configurations are not on.",
                    stayed,
                )
                % {"n": stayed},
                messages.WARNING,
            )

    @admin.display(description=_("post"), ordering="event__type")
    def name(self, delivery: Delivery) -> str:
        return str(delivery.event)

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

    @admin.display(description=_("payload"))
    def payload(self, delivery: Delivery) -> Any:
        if delivery.event.redacted_at:
            return _("Erased, with the data of the buyer.")
        shown = showing.payload(delivery)
        return EMPTY if shown is None else preformatted(shown.html)


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(Evidence, BigTable):
    list_display = ("delivery_link", "number", "result", "duration_ms", "config_link", "started_at", "late")
    list_filter = ("delivered", "status", "problem", "late", "started_at")
    list_select_related = ("delivery__config",)
    search_fields = ("delivery__webhook_id__exact", "delivery__event__transaction_code__exact")
    search_help_text = _("Id of the post or transaction code")
    ordering = ("-pk",)
    fields = (
        "delivery_link", "event_link", "config_link", "number", "started_at", "duration_ms", "url", "result",
        "happened", "detail", "late", "request", "response", "response_cut",
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

    @admin.display(description=_("post"), ordering="delivery")
    def delivery_link(self, attempt: DeliveryAttempt) -> Any:
        return link(attempt.delivery)

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
        "config_link",
        "owner_link",
        "failures",
        "first_failure_at",
        "last_failure_at",
        "last_success_at",
        "next_probe_at",
    )
    list_filter = ("fault", "told", "last_success_at", "first_failure_at")
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
