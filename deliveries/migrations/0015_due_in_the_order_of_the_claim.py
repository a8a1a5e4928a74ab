from django.db import migrations

CREATE = (
    "CREATE INDEX delivery_due_nulls_first ON deliveries_delivery (lane, priority, next_try_at NULLS FIRST, id) "
    "WHERE state = 'waiting'"
)


def put_first_tries_first(apps, schema_editor):
    """PostgreSQL would put what has no time yet last, and a claim would have to sort all that is due."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE)
        _take_the_name(schema_editor)


def put_first_tries_last(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(CREATE.replace(" NULLS FIRST", ""))
        _take_the_name(schema_editor)


def _take_the_name(schema_editor):
    schema_editor.execute("DROP INDEX delivery_due_by_lane")
    schema_editor.execute("ALTER INDEX delivery_due_nulls_first RENAME TO delivery_due_by_lane")


class Migration(migrations.Migration):

    dependencies = [
        ('deliveries', '0014_fill_the_order_of_a_sale'),
    ]

    operations = [
        migrations.RunPython(put_first_tries_first, put_first_tries_last),
    ]
