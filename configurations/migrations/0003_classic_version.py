from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("configurations", "0002_rotation_of_secrets_and_tokens"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhookconfig",
            name="version",
            field=models.CharField(
                choices=[("2.0.0", "2.0.0 (JSON)"), ("1.0.0", "1.0.0, classic (form fields)")],
                default="2.0.0",
                max_length=10,
                verbose_name="version",
            ),
        ),
    ]
