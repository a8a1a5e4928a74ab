"""Groups of a sale's facts: who bought, how it was paid, and which link led to it."""

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from .statuses import PaymentMode, PaymentType
from .validators import country_code, digits


class BuyerFacts(models.Model):
    buyer_name = models.CharField(_("buyer"), max_length=200)
    buyer_email = models.EmailField(_("buyer's e-mail"))
    buyer_document = models.CharField(_("document"), max_length=40, blank=True)
    buyer_document_type = models.CharField(
        _("type of document"), max_length=20, blank=True
    )  # CPF, CNPJ, DNI, …
    # Given at the checkout:
    buyer_phone_code = models.CharField(_("area code"), max_length=8, blank=True, validators=[digits])
    buyer_phone = models.CharField(_("phone"), max_length=20, blank=True, validators=[digits])
    # Known of the buyer before:
    buyer_phone_record_code = models.CharField(
        _("area code on record"), max_length=8, blank=True, validators=[digits]
    )
    buyer_phone_record = models.CharField(
        _("phone on record"), max_length=20, blank=True, validators=[digits]
    )
    buyer_country = models.CharField(_("country"), max_length=80, blank=True)
    buyer_country_iso = models.CharField(
        _("country code"), max_length=2, blank=True, validators=[country_code]
    )
    buyer_zipcode = models.CharField(_("postcode"), max_length=20, blank=True)
    buyer_address = models.CharField(_("street"), max_length=255, blank=True)
    buyer_number = models.CharField(_("number"), max_length=20, blank=True)
    buyer_complement = models.CharField(_("complement"), max_length=100, blank=True)
    buyer_neighborhood = models.CharField(_("neighbourhood"), max_length=100, blank=True)
    buyer_city = models.CharField(_("city"), max_length=100, blank=True)
    buyer_state = models.CharField(_("state"), max_length=100, blank=True)

    class Meta:
        abstract = True


class PaymentFacts(models.Model):
    payment_type = models.CharField(
        _("payment"), max_length=30, choices=PaymentType, default=PaymentType.CREDIT_CARD
    )
    payment_engine = models.CharField(_("payment engine"), max_length=40, default="hotmart")
    payment_mode = models.CharField(
        _("how the offer is paid"),
        max_length=30,
        choices=PaymentMode,
        blank=True,
        help_text=_("Empty: as the subscription and the instalments tell."),
    )
    transaction_ext = models.CharField(_("code at the payment provider"), max_length=100, blank=True)
    installments = models.PositiveSmallIntegerField(
        _("instalments"), default=1, validators=[MinValueValidator(1)]
    )
    refusal_reason = models.CharField(_("why it was refused"), max_length=255, blank=True)
    billet_url = models.URLField(_("bank slip"), max_length=500, blank=True)
    billet_barcode = models.CharField(_("its barcode"), max_length=80, blank=True)
    billet_due_on = models.DateField(_("its due date"), null=True, blank=True)
    pix_code = models.CharField(_("PIX code"), max_length=500, blank=True)
    pix_qrcode = models.URLField(_("PIX QR code"), max_length=500, blank=True)
    pix_expires_at = models.DateTimeField(_("PIX valid until"), null=True, blank=True)

    class Meta:
        abstract = True


class LinkFacts(models.Model):
    """Tracking codes of the sales link."""

    src = models.CharField(max_length=255, blank=True)
    sck = models.CharField(max_length=255, blank=True)
    xcod = models.CharField(max_length=255, blank=True)
    utm_source = models.CharField(max_length=255, blank=True)
    utm_medium = models.CharField(max_length=255, blank=True)
    utm_campaign = models.CharField(max_length=255, blank=True)
    utm_term = models.CharField(max_length=255, blank=True)
    utm_content = models.CharField(max_length=255, blank=True)

    class Meta:
        abstract = True
