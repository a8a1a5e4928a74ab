"""The statuses of a sale and of a subscription, in the spelling of the 2.0.0 posts.

Source: the contract's tables of events and of `subscription.status`.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class SaleStatus(models.TextChoices):
    """Where a transaction stands. The first four are announced by no event."""

    STARTED = "STARTED", _("Started")
    WAITING_PAYMENT = "WAITING_PAYMENT", _("Waiting for payment")
    UNDER_ANALYSIS = "UNDER_ANALYSIS", _("Under analysis")
    BLOCKED = "BLOCKED", _("Blocked")
    BILLET_PRINTED = "BILLET_PRINTED", _("Bank slip printed")  # also: PIX waiting to be paid
    APPROVED = "APPROVED", _("Approved")
    COMPLETED = "COMPLETED", _("Complete")  # the guarantee period is over
    CANCELED = "CANCELED", _("Cancelled")  # also: payment refused
    DISPUTE = "DISPUTE", _("Refund requested")
    REFUNDED = "REFUNDED", _("Refunded")
    CHARGEBACK = "CHARGEBACK", _("Chargeback")
    EXPIRED = "EXPIRED", _("Expired")
    DELAYED = "DELAYED", _("Overdue")


class SubscriptionStatus(models.TextChoices):
    STARTED = "STARTED", _("Started")
    ACTIVE = "ACTIVE", _("Active")
    INACTIVE = "INACTIVE", _("Inactive")
    DELAYED = "DELAYED", _("Delayed")
    OVERDUE = "OVERDUE", _("Overdue")
    EXPIRED = "EXPIRED", _("Expired")
    CANCELLED_BY_CUSTOMER = "CANCELLED_BY_CUSTOMER", _("Cancelled by the customer")
    CANCELLED_BY_SELLER = "CANCELLED_BY_SELLER", _("Cancelled by the seller")
    CANCELLED_BY_ADMIN = "CANCELLED_BY_ADMIN", _("Cancelled by staff")


CANCELLED = (
    SubscriptionStatus.CANCELLED_BY_CUSTOMER,
    SubscriptionStatus.CANCELLED_BY_SELLER,
    SubscriptionStatus.CANCELLED_BY_ADMIN,
)


class SubscriptionChangeKind(models.TextChoices):
    """What is told of a subscription."""

    CANCELLED = "cancelled", _("Cancelled")
    PLAN_SWITCHED = "plan_switched", _("Plan switched")
    CHARGE_DAY_MOVED = "charge_day_moved", _("Charge day moved")


class RecurrencyPeriod(models.IntegerChoices):
    """Days between two charges."""

    WEEKLY = 7, _("weekly")
    MONTHLY = 30, _("monthly")
    BIMONTHLY = 60, _("every two months")
    QUARTERLY = 90, _("every three months")
    HALF_YEARLY = 180, _("every six months")
    YEARLY = 360, _("yearly")


class PaymentType(models.TextChoices):
    """How the buyer pays, as `purchase.payment.type` of the 2.0.0 posts spells it."""

    BILLET = "BILLET", _("Bank slip")
    CASH_PAYMENT = "CASH_PAYMENT", _("Cash")
    CREDIT_CARD = "CREDIT_CARD", _("Credit card")
    DIRECT_BANK_TRANSFER = "DIRECT_BANK_TRANSFER", _("Direct bank transfer")
    DIRECT_DEBIT = "DIRECT_DEBIT", _("Direct debit")
    FINANCED_BILLET = "FINANCED_BILLET", _("Financed bank slip")
    FINANCED_INSTALLMENT = "FINANCED_INSTALLMENT", _("Financed instalments")
    GOOGLE_PAY = "GOOGLE_PAY", "Google Pay"
    HOTCARD = "HOTCARD", "Hotcard"
    HYBRID = "HYBRID", _("Several means")
    MANUAL_TRANSFER = "MANUAL_TRANSFER", _("Manual transfer")
    PAYPAL = "PAYPAL", "PayPal"
    PICPAY = "PICPAY", "PicPay"
    PIX = "PIX", "PIX"
    SAMSUNG_PAY = "SAMSUNG_PAY", "Samsung Pay"
    WALLET = "WALLET", _("Wallet")


class PaymentMode(models.TextChoices):
    """How an offer is paid, as the 1.0.0 posts spell it."""

    ONCE = "pagamento_unico", _("One payment")
    SEVERAL = "multiplos_pagamentos", _("Several payments")
    CASH = "pagamento_vista", _("Cash only")
    SUBSCRIPTION = "assinatura", _("Subscription")


class LegalNature(models.TextChoices):
    """As the posts spell it, in every language of the page."""

    PERSON = "Pessoa Física", _("Person")
    COMPANY = "Pessoa Jurídica", _("Company")


class InvoiceBy(models.TextChoices):
    """Who writes the buyer's invoice, as `purchase.invoice_by` of the 2.0.0 posts spells it."""

    HOTMART = "HOTMART", _("The platform")
    SELLER = "SELLER", _("The seller")
