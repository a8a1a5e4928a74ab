"""Configurations as rows of a file, in and out of the admin. A secret is never among them."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from import_export.fields import Field

from sales.exchange import LimitedResource
from sales.models import Product, Seller

from .models import SECRETS, Version, WebhookConfig
from .staff_form import StaffConfigForm

_YES = {"1", "true", "yes"}


class ConfigResource(LimitedResource):
    """A row is judged by the form that staff fill in; nothing is written past it."""

    owner = Field(column_name="owner", attribute="owner__code")
    product = Field(column_name="product", attribute="product__code")
    events = Field(column_name="events", attribute="events")
    state = Field(column_name="state", attribute="state", readonly=True)

    class Meta:
        model = WebhookConfig
        fields = (
            "id", "owner", "name", "url", "events", "product", "version", "token_in_body", "posts_per_second",
            "state",
        )  # fmt: skip
        export_order = fields
        import_order = fields
        skip_unchanged = True

    def filter_export(self, queryset: QuerySet[WebhookConfig], **kwargs: Any) -> QuerySet[WebhookConfig]:
        return queryset.select_related("owner", "product")

    def dehydrate_events(self, config: WebhookConfig) -> str:
        return " ".join(config.events or ())

    def dehydrate_owner(self, config: WebhookConfig) -> str:
        return config.owner.code if config.owner_id else ""

    def get_import_id_fields(self) -> list[str]:
        return []  # get_instance() finds them

    def get_instance(self, instance_loader: Any, row: Mapping[str, Any]) -> WebhookConfig | None:
        configs = WebhookConfig.objects.not_removed().select_related("owner", "product").defer(*SECRETS)
        if pk := _text(row, "id"):
            found = configs.filter(pk=int(pk)).first() if pk.isdecimal() and len(pk) < 19 else None
            if found is None:
                raise ValidationError({"id": _("There is no configuration with this id.")})
            if "owner" in row and _text(row, "owner") != found.owner.code:
                raise ValidationError({"owner": _("A configuration keeps its owner.")})
            return found
        named = list(configs.filter(owner__code=_text(row, "owner"), name=_text(row, "name"))[:2])
        if len(named) > 1:
            raise ValidationError({"id": _("Two configurations of this owner have this name: give the id.")})
        return named[0] if named else None

    def import_instance(self, instance: WebhookConfig, row: Mapping[str, Any], **kwargs: Any) -> None:
        form = StaffConfigForm(_form_data(instance, row), instance=instance)
        if not form.is_valid():
            raise ValidationError(dict(form.errors.as_data()))

    def skip_row(self, instance: Any, original: Any, row: Any, import_validation_errors: Any = None) -> bool:
        if import_validation_errors or original.pk is None:
            return False
        names = StaffConfigForm.Meta.fields
        return all(_value(instance, name) == _value(original, name) for name in names)

    def validate_instance(self, instance: Any, import_validation_errors: Any = None, **kwargs: Any) -> None:
        if import_validation_errors:  # the form has looked at all else
            raise ValidationError(import_validation_errors)

    def do_instance_save(self, instance: WebhookConfig, is_create: bool) -> None:
        """The state may be moving at this moment: nothing is written but what a row holds."""
        if is_create:
            instance.save()
        else:
            instance.save(update_fields=[n for n in StaffConfigForm.Meta.fields if n != "owner"])


def _value(config: WebhookConfig, name: str) -> Any:
    return getattr(config, config._meta.get_field(name).attname)


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value).strip()


def _form_data(config: WebhookConfig, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the form would be sent: the row's cells, and for columns that it has not, what the configuration is."""
    data = {
        "owner": config.owner_id or "",
        "name": config.name,
        "url": config.url,
        "events": config.events,
        "product": config.product_id or "",
        "version": config.version or Version.V2,
        "token_in_body": config.token_in_body,
        "posts_per_second": config.posts_per_second,
    }
    as_they_are = ("name", "url", "version", "posts_per_second")
    data |= {name: _text(row, name) for name in as_they_are if name in row}
    data["version"] = data["version"] or Version.V2
    if config.pk is None:
        data["owner"] = _pk_of(Seller, "owner", _text(row, "owner"))
    if "events" in row:
        given = row["events"]
        data["events"] = given if isinstance(given, list) else _text(row, "events").replace(",", " ").split()
    if "product" in row:
        code = _text(row, "product")
        data["product"] = _pk_of(Product, "product", code) if code else ""
    if "token_in_body" in row:
        data["token_in_body"] = _text(row, "token_in_body").lower() in _YES
    return data


def _pk_of(model: Any, column: str, code: str) -> int:
    fits = code.isdecimal() and len(code) < 19 if model is Product else bool(code)
    pk = model.objects.filter(code=code).values_list("pk", flat=True).first() if fits else None
    if pk is None:
        raise ValidationError({column: _("“%(code)s” is not known here.") % {"code": code}})
    return pk
