from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from deliveries.held import HeldHost


class HoldForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=HeldHost._meta.get_field("reason").max_length,
        help_text=_("The owners of its configurations read it, so write it for them, as a sentence."),
        error_messages={"required": _("Write why: the owners of its configurations are told.")},
        widget=forms.TextInput(attrs={"size": 80, "autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        return " ".join(self.cleaned_data["reason"].split())


class HoldAllForm(HoldForm):
    """The same, with what it says for all sellers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = _("All sellers read it, so write it for them, as a sentence.")
        self.fields["reason"].error_messages["required"] = _("Write why: all sellers are told.")


class ReleaseForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        max_length=300,
        required=False,
        help_text=_("For the audit log. It can stay empty."),
        widget=forms.TextInput(attrs={"size": 80, "autocomplete": "off"}),
    )
