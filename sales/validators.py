"""What several models ask of their fields."""

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

currency_code = RegexValidator(
    r"\A[A-Z]{3}\Z", _("Write the three capital letters of ISO 4217, such as BRL.")
)
country_code = RegexValidator(r"\A[A-Z]{2}\Z", _("Write the two capital letters of ISO 3166-1, such as BR."))
digits = RegexValidator(r"\A[0-9]*\Z", _("Write digits only."))
