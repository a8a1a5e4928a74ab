"""What staff fill in of a configuration, whosever it is; rows of an import are judged by it too."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from . import addresses
from .events import EventType
from .forms import ConfigForm, products_for
from .models import WebhookConfig


class StaffConfigForm(forms.ModelForm):
    """As the sellers' own form asks, for any owner."""

    events = forms.MultipleChoiceField(
        label=_("Events"), choices=EventType, widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = WebhookConfig
        fields = ("owner", "name", "url", "events", "product", "version", "token_in_body", "posts_per_second")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "url" in self.fields:  # not where it is only looked at
            self.fields["url"].help_text = addresses.also_permitted()

    clean_url = ConfigForm.clean_url

    def clean_name(self) -> str:
        return " ".join(self.cleaned_data["name"].split())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        owner = cleaned.get("owner") or (self.instance.owner if self.instance.pk else None)
        product = cleaned.get("product")
        if (
            owner
            and product
            and not products_for(owner, self.initial.get("product")).filter(pk=product.pk).exists()
        ):
            self.add_error(
                "product",
                ValidationError(_("The owner neither owns this product nor sold it."), code="product"),
            )
        return cleaned
