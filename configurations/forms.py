"""What a seller fills in to be told of sales: name, URL, events, products, version."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.urls import reverse_lazy
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from sales.models import Product, Seller

from . import addresses
from .events import GROUPS, Description, EventType, Group
from .models import Version, WebhookConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """The events that go together for what a seller wants to do."""

    name: str  # in the page's address
    label: Promise
    events: tuple[EventType, ...]


PRESETS = (
    Preset(
        "grant-access",
        _("Grant access"),
        (
            EventType.APPROVED,
            EventType.CANCELED,
            EventType.REFUNDED,
            EventType.CHARGEBACK,
        ),
    ),
    Preset(
        "recover-sales",
        _("Recover sales"),
        (
            EventType.CANCELED,
            EventType.BILLET_PRINTED,
            EventType.EXPIRED,
            EventType.DELAYED,
            EventType.CART_ABANDONED,
        ),
    ),
)


_VERSION_HELP = {
    Version.V2: _("Recommended: one JSON object for each post. Choose it for whatever is made today."),
    Version.V1: _(
        "For receivers made for it: one form for each sale, and JSON for carts and subscriptions. "
        "It has no post of a charge date that moved."
    ),
}


class ConfigForm(forms.ModelForm):
    """`instance` is a WebhookConfig with its owner; the products to choose from are those the owner sells."""

    ALL, ONLY = "all", "only"

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        required=False,
        help_text=_("For you, in the list and in our mails. Left empty, it becomes the host of the URL."),
    )
    url = forms.CharField(
        label=_("URL"),
        max_length=2000,
        widget=forms.TextInput(
            attrs={
                "inputmode": "url",
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "placeholder": "https://members.example.com/webhook",
                "aria-describedby": "id_url_error",
                "hx-post": reverse_lazy("configurations:check_url"),
                "hx-trigger": "change delay:150ms",
                "hx-target": "#id_url_error",
            }
        ),
    )
    events = forms.MultipleChoiceField(
        label=_("Events"),
        choices=EventType,
        widget=forms.CheckboxSelectMultiple,
        required=False,  # as a whole group can be ticked instead: see clean()
    )
    all_of = forms.MultipleChoiceField(
        choices=[(group.name, group.label) for group in GROUPS], required=False
    )
    scope = forms.ChoiceField(
        label=_("Products"),
        choices=[(ALL, _("All products")), (ONLY, _("Only one"))],
        widget=forms.RadioSelect,
        initial=ALL,
    )
    product = forms.ModelChoiceField(
        label=_("Product"),
        queryset=None,
        required=False,
        empty_label=_("Choose a product"),
        widget=forms.Select(attrs={"data-with": "id_scope_1"}),
    )
    version = forms.ChoiceField(label=_("Version"), choices=Version, widget=forms.RadioSelect)

    class Meta:
        model = WebhookConfig
        fields = ("name", "url", "events", "product", "version", "token_in_body", "posts_per_second")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config: WebhookConfig = self.instance
        self.fields["product"].queryset = products = products_for(config.owner, config.product_id)
        self.sells = products.exists()
        if not self.sells:  # then there is nothing to choose one of
            self.fields["scope"].choices = self.fields["scope"].choices[:1]
        if config.product_id:
            self.initial["scope"] = self.ONLY
        self.fields["url"].error_messages["required"] = _("Write the URL that we post to.")
        url = self.fields["url"]
        url.help_text = addresses.also_permitted()
        if url.help_text:
            url.widget.attrs["aria-describedby"] += " id_url_helptext"

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())  # a line break would end the subject of our mails

    def clean_url(self) -> str:
        try:
            return addresses.check(self.cleaned_data["url"])
        except addresses.Refused as refused:
            raise ValidationError(refused.advice, code=refused.reason) from refused

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        ticked = set(cleaned.get("events", ()))
        for group in GROUPS:
            if group.name in cleaned.get("all_of", ()):
                ticked.update(event.type for event in group.events)
        cleaned["events"] = [
            str(event.type) for group in GROUPS for event in group.events if event.type in ticked
        ]
        if not cleaned["events"] and "events" not in self.errors:
            self.add_error("events", ValidationError(_("Choose at least one event."), code="required"))
        if cleaned.get("scope") == self.ALL:
            cleaned["product"] = None
            self.errors.pop("product", None)
        elif (
            cleaned.get("scope") == self.ONLY and not cleaned.get("product") and "product" not in self.errors
        ):
            self.add_error(
                "product", ValidationError(_("Choose the product, or all products."), code="required")
            )
        if not cleaned.get("name") and cleaned.get("url"):
            cleaned["name"] = (urlsplit(cleaned["url"]).hostname or "")[:100]
        return cleaned

    def save(self, commit: bool = True) -> WebhookConfig:
        """Writes what the form holds and nothing else: the state may be moving at this moment."""
        if not commit or self.instance.pk is None:
            return super().save(commit)
        config = super().save(commit=False)
        config.save(update_fields=self.Meta.fields)
        return config

    def versions(self) -> Iterator[tuple[Any, Promise]]:
        """For the page: the button of each version, and for whom it is."""
        for radio in self["version"]:
            yield radio, _VERSION_HELP[Version(radio.data["value"])]

    def event_groups(self) -> Iterator[tuple[Group, list[tuple[Description, Any]]]]:
        """For the page: each group with its events, each event with its tick box."""
        boxes = {box.data["value"]: box for box in self["events"]}
        for group in GROUPS:
            yield group, [(event, boxes[event.type]) for event in group.events]


class RotateTokenForm(forms.Form):
    """When a new token takes the place of the old one. `cleaned_data["at"]` is None for at once."""

    NOW, LATER = "now", "later"
    MOST_AHEAD = timedelta(days=90)

    when = forms.ChoiceField(
        label=_("When"),
        choices=[(LATER, _("At a time that I choose")), (NOW, _("At once"))],
        widget=forms.RadioSelect,
        initial=LATER,
    )
    at = forms.DateTimeField(
        label=_("Time"),
        required=False,
        widget=forms.DateTimeInput(
            attrs={"type": "datetime-local", "data-with": "id_when_0"}, format="%Y-%m-%dT%H:%M"
        ),
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("when") == self.NOW:
            self.errors.pop("at", None)
            cleaned["at"] = None
        elif "at" not in self.errors:
            self._check_time(cleaned.get("at"))
        return cleaned

    def _check_time(self, at: datetime | None) -> None:
        now = timezone.now()
        if at is None:
            self.add_error("at", ValidationError(_("Choose the time, or at once."), code="required"))
        elif at <= now:
            self.add_error("at", ValidationError(_("This time has passed: choose a later one."), code="past"))
        elif at > now + self.MOST_AHEAD:
            self.add_error(
                "at",
                ValidationError(
                    _("Choose a time within the next %(days)d days."),
                    code="far",
                    params={"days": self.MOST_AHEAD.days},
                ),
            )


def products_for(seller: Seller, chosen: int | None = None) -> Any:
    """The products that a configuration of `seller` can be for; the one it is for already stays among them."""
    sold = Product.objects.sold_by(seller)
    if chosen:
        sold = Product.objects.filter(Q(pk__in=sold.values("pk")) | Q(pk=chosen))
    return sold.order_by("name", "pk")
