import django.db.models.deletion
from django.db import migrations, models


def drop_the_one_for_like(apps, schema_editor):
    """PostgreSQL has one more for a text that is unique; a webhook-id is only ever asked for as a whole."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {_name(schema_editor)}")


def make_it_again(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            f"CREATE INDEX {_name(schema_editor)} ON deliveries_delivery (webhook_id varchar_pattern_ops)"
        )


def _name(schema_editor):
    return schema_editor._create_index_name("deliveries_delivery", ["webhook_id"], suffix="_like")


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0007_posts_per_second'),
        ('deliveries', '0021_circuit'),
        ('sales', '0006_sessions_that_know_whose'),
    ]

    operations = [
        migrations.AlterField(
            model_name='delivery',
            name='config',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='configurations.webhookconfig', verbose_name='configuration'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='event',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='deliveries.event', verbose_name='event'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='owner',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='sales.seller', verbose_name='owner'),
        ),
        migrations.AlterField(
            model_name='deliveryattempt',
            name='delivery',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='attempts', to='deliveries.delivery', verbose_name='delivery'),
        ),
        migrations.RunPython(drop_the_one_for_like, make_it_again),
    ]
