import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

CREATE = (
    "CREATE INDEX delivery_own_nulls_first ON deliveries_delivery "
    "(config_id, lane, priority, next_try_at NULLS FIRST, id) WHERE state = 'waiting' AND lane >= 2"
)


def put_first_tries_first(apps, schema_editor):
    """PostgreSQL would put what has no time yet last, and a claim would have to sort all that waits there."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)
        schema_editor.execute("DROP INDEX delivery_in_own_queue")
        schema_editor.execute("ALTER INDEX delivery_own_nulls_first RENAME TO delivery_in_own_queue")


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0007_posts_per_second'),
        ('deliveries', '0018_hold_all_sending'),
        ('sales', '0005_export_permissions'),
    ]

    operations = [
        migrations.CreateModel(
            name='OwnQueue',
            fields=[
                ('config', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='own_queue', serialize=False, to='configurations.webhookconfig', verbose_name='configuration')),
                ('since', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='since')),
                ('slow', models.BooleanField(db_default=False, default=False, verbose_name='slow')),
                ('mean_answer', models.FloatField(null=True, verbose_name='mean answer')),
                ('next_free_at', models.DateTimeField(null=True)),
                ('paused_until', models.DateTimeField(null=True, verbose_name='paused until')),
            ],
            options={
                'verbose_name': 'own queue',
                'verbose_name_plural': 'own queues',
            },
        ),
        migrations.AlterField(
            model_name='delivery',
            name='lane',
            field=models.PositiveSmallIntegerField(choices=[(0, 'Fresh'), (1, 'Bulk reprocess'), (2, 'Fresh, in its own queue'), (3, 'Bulk reprocess, in its own queue')], db_default=0, default=0, verbose_name='lane'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('lane__gte', 2), ('state', 'waiting')), fields=['config', 'lane', 'priority', 'next_try_at', 'id'], name='delivery_in_own_queue'),
        ),
        migrations.RunPython(put_first_tries_first, migrations.RunPython.noop),
    ]
