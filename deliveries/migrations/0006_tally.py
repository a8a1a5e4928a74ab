import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('configurations', '0003_classic_version'),
        ('deliveries', '0005_event_redacted_at'),
    ]

    operations = [
        migrations.CreateModel(
            name='Tally',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(verbose_name='day')),
                ('event', models.CharField(choices=[('PURCHASE_APPROVED', 'Order approved'), ('PURCHASE_COMPLETE', 'Order complete'), ('PURCHASE_CANCELED', 'Order cancelled'), ('PURCHASE_BILLET_PRINTED', 'Bank slip printed'), ('PURCHASE_EXPIRED', 'Order expired'), ('PURCHASE_DELAYED', 'Payment overdue'), ('PURCHASE_PROTEST', 'Refund requested'), ('PURCHASE_REFUNDED', 'Order refunded'), ('PURCHASE_CHARGEBACK', 'Chargeback'), ('PURCHASE_OUT_OF_SHOPPING_CART', 'Cart abandoned'), ('SUBSCRIPTION_CANCELLATION', 'Subscription cancelled'), ('SWITCH_PLAN', 'Plan switched'), ('UPDATE_SUBSCRIPTION_CHARGE_DATE', 'Charge date updated')], max_length=40, verbose_name='event')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('sending', 'Sending'), ('delivered', 'Delivered'), ('failed', 'Failed'), ('held', 'Held'), ('discarded', 'Discarded')], max_length=10, verbose_name='status')),
                ('posts', models.PositiveIntegerField(verbose_name='posts')),
                ('attempts', models.PositiveIntegerField(verbose_name='attempts')),
                ('config', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tallies', to='configurations.webhookconfig', verbose_name='configuration')),
            ],
            options={
                'verbose_name': 'tally of deleted posts',
                'verbose_name_plural': 'tallies of deleted posts',
                'indexes': [models.Index(fields=['-day', '-id'], name='tally_newest_first')],
                'constraints': [models.UniqueConstraint(fields=('config', 'day', 'event', 'state'), name='tally_once')],
            },
        ),
    ]
