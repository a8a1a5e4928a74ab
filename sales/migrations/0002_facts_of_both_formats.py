import django.core.validators
import sales.bundles
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sales', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='transaction',
            name='buyer_phone_record_code',
            field=models.CharField(blank=True, max_length=8, validators=[django.core.validators.RegexValidator('\\A[0-9]*\\Z', 'Write digits only.')], verbose_name='area code on record'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='buyer_phone_record',
            field=models.CharField(blank=True, max_length=20, validators=[django.core.validators.RegexValidator('\\A[0-9]*\\Z', 'Write digits only.')], verbose_name='phone on record'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='payment_engine',
            field=models.CharField(default='hotmart', max_length=40, verbose_name='payment engine'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='payment_mode',
            field=models.CharField(blank=True, choices=[('pagamento_unico', 'One payment'), ('multiplos_pagamentos', 'Several payments'), ('pagamento_vista', 'Cash only'), ('assinatura', 'Subscription')], help_text='Empty: as the subscription and the instalments tell.', max_length=30, verbose_name='how the offer is paid'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='transaction_ext',
            field=models.CharField(blank=True, max_length=100, verbose_name='code at the payment provider'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='utm_source',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='transaction',
            name='utm_medium',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='transaction',
            name='utm_campaign',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='transaction',
            name='utm_term',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='transaction',
            name='utm_content',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='transaction',
            name='offer_currency',
            field=models.CharField(blank=True, max_length=3, validators=[django.core.validators.RegexValidator('\\A[A-Z]{3}\\Z', 'Write the three capital letters of ISO 4217, such as BRL.')], verbose_name='currency of the offer'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='payment_currency',
            field=models.CharField(blank=True, max_length=3, validators=[django.core.validators.RegexValidator('\\A[A-Z]{3}\\Z', 'Write the three capital letters of ISO 4217, such as BRL.')], verbose_name='currency of the payment'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='hotkey',
            field=models.CharField(blank=True, max_length=100, verbose_name='serial for members’ sites'),
        ),
        migrations.AddField(
            model_name='product',
            name='category',
            field=models.PositiveIntegerField(default=0, verbose_name='number of the category'),
        ),
        migrations.AddField(
            model_name='product',
            name='content',
            field=models.JSONField(blank=True, default=list, validators=[sales.bundles.validate_content], verbose_name='products of the bundle'),
        ),
        migrations.AddField(
            model_name='abandonedcart',
            name='plan_code',
            field=models.PositiveBigIntegerField(blank=True, null=True, verbose_name='plan code'),
        ),
        migrations.AddField(
            model_name='abandonedcart',
            name='has_negotiation',
            field=models.BooleanField(default=False, verbose_name='a negotiation was offered'),
        ),
    ]
