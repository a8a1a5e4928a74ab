"""In the state alone: the column is as it was."""

from django.db import migrations, models

import sales.fast_json


class Migration(migrations.Migration):
    dependencies = [
        ("deliveries", "0016_where_the_time_went"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="event",
                    name="snapshot",
                    field=models.JSONField(decoder=sales.fast_json.Decoder, verbose_name="snapshot"),
                ),
            ]
        ),
    ]
