from django.db import migrations, models

import sales.commissions


class Migration(migrations.Migration):
    dependencies = [
        ("sales", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="transaction",
            name="invoice_by",
            field=models.CharField(
                choices=[("HOTMART", "The platform"), ("SELLER", "The seller")],
                default="HOTMART",
                max_length=10,
                verbose_name="invoiced by",
            ),
        ),
        migrations.AddField(
            model_name="transaction",
            name="is_anticipation",
            field=models.BooleanField(default=False, verbose_name="charged before its day"),
        ),
        migrations.AlterField(
            model_name="transaction",
            name="commissions",
            field=models.JSONField(
                blank=True,
                default=list,
                validators=[sales.commissions.validate_commissions],
                verbose_name="commissions",
            ),
        ),
    ]
