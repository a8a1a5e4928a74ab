from django.db import migrations
from django.db.models import Max, Min, OuterRef, Subquery

BATCH = 5000  # ids of one short transaction: sales are saved in between
OPENS = ("PURCHASE_APPROVED",)
CLOSES = ("PURCHASE_CANCELED", "PURCHASE_EXPIRED", "PURCHASE_REFUNDED", "PURCHASE_CHARGEBACK")


def fill(apps, schema_editor):
    """From the events. It may be interrupted, and run again."""
    Delivery, Event = apps.get_model("deliveries", "Delivery"), apps.get_model("deliveries", "Event")
    alias = schema_editor.connection.alias
    deliveries = Delivery.objects.using(alias)
    code = Subquery(Event.objects.filter(pk=OuterRef("event")).values("transaction_code")[:1])
    ends = deliveries.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return
    for start in range(ends["first"], ends["last"] + 1, BATCH):
        batch = deliveries.filter(pk__gte=start, pk__lt=start + BATCH).exclude(event__transaction_code="")
        batch.filter(event__type__in=OPENS, opens=None).update(opens=code)
        batch.filter(event__type__in=CLOSES, closes=None).update(closes=code)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('deliveries', '0013_order_of_a_sale'),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
