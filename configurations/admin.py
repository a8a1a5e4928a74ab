from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from sales.adminfilters import AutocompleteFilter
from sales.adminkit import (
    EMPTY,
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
from sales.exchange import Exchange
from sales.templatetags.formats import number

from .exchange import ConfigResource
from .models import SECRETS, State, Token, WebhookConfig
from .staff_form import StaffConfigForm

_COLOURS = {State.ON: "ok", State.OFF: "off", State.DISABLED: "bad", State.REMOVED: "off"}


def _ask_to_enable(configs: QuerySet[WebhookConfig], count: int) -> Question:
    off = configs.filter(state__in=(State.OFF, State.DISABLED)).count()
    return Question(
        ngettext("Enable %(n)s configuration?", "Enable %(n)s configurations?", off) % {"n": number(off)}
        if off
        else gettext("There is nothing to enable"),
        gettext("Enable") if off else "",
        [
            gettext("From then on each new event is posted to them again."),
            gettext("What is held stays held until its owner sends it."),
            *_staying(count - off),
        ],
        example=_named,
    )


def _ask_to_switch_off(configs: QuerySet[WebhookConfig], count: int) -> Question:
    on = configs.filter(state__in=(State.ON, State.DISABLED)).count()
    return Question(
        ngettext("Switch off %(n)s configuration?", "Switch off %(n)s configurations?", on)
        % {"n": number(on)}
        if on
        else gettext("There is nothing to switch off"),
        gettext("Switch off") if on else "",
        [
            gettext(
                "What waits is held. Events that arise while a configuration is off are not posted to it."
            ),
            gettext("Its owner gets no mail about it, and can enable it again."),
            *_staying(count - on),
        ],
        dangerous=True,
        example=_named,
    )


def _staying(count: int) -> list[str]:
    if not count:
        return []
    text = ngettext(
        "%(n)s of the chosen stays as it is: it stands so already, or is removed.",
        "%(n)s of the chosen stay as they are: they stand so already, or are removed.",
        count,
    )
    return [text % {"n": number(count)}]


def _named(config: WebhookConfig) -> SafeString:
    """Name, address and owner, each as its own part, for a question."""
    return links(config.name, Truncator(config.url).chars(60), config.owner.name)


@admin.register(WebhookConfig)
class WebhookConfigAdmin(Exchange, WritesOnlyChanges, Audited, BigTable):
    """The state moves by the actions, and nobody deletes a configuration: its owner removes it, its history stays."""

    form = StaffConfigForm
    resource_classes = (ConfigResource,)
    import_template_name = "admin/exchange/configurations.html"
    list_display = (
        "name",
        "owner_link",
        "status",
        "address",
        "host_link",
        "asked",
        "product_link",
        "version",
        "posts",
    )
    list_filter = (
        "state",
        ("owner", AutocompleteFilter),
        ("product", AutocompleteFilter),
        "disabled_because",
        "version",
        "created_at",
    )
    date_hierarchy = "created_at"
    list_select_related = ("owner", "product")
    search_fields = ("name", "url", "owner__name", "owner__code__exact", "owner__email")
    search_help_text = _("Name, URL, or the owner's name, code or e-mail")
    ordering = ("name", "pk")
    autocomplete_fields = ("owner", "product")
    readonly_fields = (
        "host_link",
        "status",
        "state_changed_at",
        "disabled_detail",
        "created_at",
        "posts",
        "in_words",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "owner",
                    "name",
                    "url",
                    "host_link",
                    "events",
                    "product",
                    "version",
                    "token_in_body",
                    "posts_per_second",
                )
            },
        ),
        (_("State"), {"fields": ("status", "state_changed_at", "disabled_detail", "created_at", "posts")}),
    )
    actions = ("enable", "disable")
    view_on_site = False  # the seller's page is the owner's only

    has_delete_permission = Evidence.has_delete_permission

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookConfig]:
        return super().get_queryset(request).defer(*SECRETS)  # staff never see it, so nothing decrypts it

    def get_readonly_fields(
        self, request: HttpRequest, config: WebhookConfig | None = None
    ) -> tuple[str, ...]:
        return self.readonly_fields if config is None else (*self.readonly_fields, "owner")

    def get_fieldsets(self, request: HttpRequest, config: WebhookConfig | None = None) -> Any:
        """Who only reads gets the events in words."""
        if self.has_change_permission(request, config):
            return self.fieldsets
        (title, first), *others = self.fieldsets
        fields = tuple("in_words" if name == "events" else name for name in first["fields"])
        return ((title, {"fields": fields}), *others)

    @admin.display(description=_("events"))
    def in_words(self, config: WebhookConfig) -> str:
        return ", ".join(str(event.type.label) for event in config.asked_for)

    @admin.display(description=_("owner"), ordering="owner__name")
    def owner_link(self, config: WebhookConfig) -> Any:
        return link(config.owner)

    @admin.display(description=_("state"), ordering="state")
    def status(self, config: WebhookConfig) -> SafeString:
        shown = badge(_COLOURS[State(config.state)], config.get_state_display())
        if config.disabled_because:
            return links(shown, config.get_disabled_because_display())
        return shown

    @admin.display(description=_("URL"), ordering="url")
    def address(self, config: WebhookConfig) -> str:
        return Truncator(config.url).chars(60)

    @admin.display(description=_("host"), ordering="host")
    def host_link(self, config: WebhookConfig) -> Any:
        return named_link("staff:host", config.host, config.host) if config.host else EMPTY

    @admin.display(description=_("events"))
    def asked(self, config: WebhookConfig) -> int:
        return len(config.asked_for)

    @admin.display(description=_("product"), ordering="product__name", empty_value=_("All products"))
    def product_link(self, config: WebhookConfig) -> Any:
        return config.product and link(config.product)

    @admin.display(description=_("posts"))
    def posts(self, config: WebhookConfig) -> str | SafeString:
        return links(
            list_link("deliveries_delivery", _("Posts"), config__id__exact=config.pk),
            list_link("deliveries_endpointhealth", _("Health"), config__id__exact=config.pk),
        )

    @confirmed(_ask_to_enable)
    @admin.action(description=_("Enable"), permissions=["change"])
    def enable(self, request: HttpRequest, configs: QuerySet[WebhookConfig]) -> None:
        enabled = self._move(request, configs, WebhookConfig.enable)
        self.message_user(
            request,
            ngettext(
                "%(n)d configuration was enabled. What is held stays held until its owner sends it.",
                "%(n)d configurations were enabled. What is held stays held until its owner sends it.",
                enabled,
            )
            % {"n": enabled},
            messages.SUCCESS,
        )

    @confirmed(_ask_to_switch_off)
    @admin.action(description=_("Switch off"), permissions=["change"])
    def disable(self, request: HttpRequest, configs: QuerySet[WebhookConfig]) -> None:
        disabled = self._move(request, configs, WebhookConfig.switch_off)
        self.message_user(
            request,
            ngettext(
                "%(n)d configuration was switched off. What waits is held.",
                "%(n)d configurations were switched off. What waits is held.",
                disabled,
            )
            % {"n": disabled},
            messages.SUCCESS,
        )

    def _move(
        self, request: HttpRequest, configs: QuerySet[WebhookConfig], move: Callable[[WebhookConfig], bool]
    ) -> int:
        """How many moved; says how many stood there already, or are removed."""
        moved = [move(config) for config in configs]
        if stayed := moved.count(False):
            self.message_user(
                request,
                ngettext(
                    "%(n)d configuration stays as it is: it stands so already, or is removed.",
                    "%(n)d configurations stay as they are: they stand so already, or are removed.",
                    stayed,
                )
                % {"n": stayed},
                messages.WARNING,
            )
        return moved.count(True)


@admin.register(Token)
class TokenAdmin(Evidence, Audited, BigTable):
    """Whose token is how old; the token itself is the seller's alone."""

    list_display = ("seller", "rotated", "will_rotate")
    list_select_related = ("seller",)
    list_filter = (("seller", AutocompleteFilter), "rotated_at", "rotates_at")
    search_fields = ("seller__name", "seller__code__exact")
    ordering = ("-rotated_at", "-pk")
    fields = ("seller_link", "rotated_at", "rotates_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Token]:
        return super().get_queryset(request).defer("value", "next_value")

    @admin.display(description=_("rotated"), ordering="rotated_at")
    def rotated(self, token: Token) -> Any:
        return when(token.rotated_at)

    @admin.display(description=_("will be rotated"), ordering="rotates_at")
    def will_rotate(self, token: Token) -> Any:
        return when(token.rotates_at)

    @admin.display(description=_("seller"))
    def seller_link(self, token: Token) -> Any:
        return link(token.seller)
