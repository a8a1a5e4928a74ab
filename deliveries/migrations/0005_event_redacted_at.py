from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('deliveries', '0004_last_sweep'),
    ]

    operations = [
        migrations.AddField(
            model_name='event',
            name='redacted_at',
            field=models.DateTimeField(editable=False, null=True, verbose_name="buyer's data erased"),
        ),
    ]
