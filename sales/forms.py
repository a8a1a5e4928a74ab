"""The account page."""

from itertools import groupby
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.translation import gettext_lazy as _

from .models import Seller


def time_zones() -> list[tuple[str, Any]]:
    """Choices: the zones of each continent under its name, UTC first."""
    names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
    groups: list[tuple[str, Any]] = [("UTC", "UTC")]
    for continent, zones in groupby(names, key=lambda name: name.split("/", 1)[0]):
        groups.append((continent, [(zone, zone.split("/", 1)[1].replace("_", " ")) for zone in zones]))
    return groups


class AccountForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=time_zones, help_text=_("Every time on these pages is shown in it.")
    )

    class Meta:
        model = Seller
        fields = ("name", "language", "time_zone")
        labels = {"name": _("Name"), "language": _("Language")}  # noqa: RUF012
        help_texts = {"language": _("Of these pages and of the mails we send you.")}  # noqa: RUF012
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "name"})}  # noqa: RUF012

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        languages = self.fields["language"]
        languages.choices = [("", _("As my browser asks")), *languages.choices[1:]]
