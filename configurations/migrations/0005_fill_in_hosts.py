from urllib.parse import urlsplit

from django.db import migrations

BATCH = 1000


def host_of(url):
    """URLs are stored in their canonical spelling: a lower-case host in punycode."""
    try:
        return (urlsplit(url).hostname or "").removesuffix(".")[:253]
    except ValueError:
        return ""


def fill_in(apps, schema_editor):
    """By key, a batch in each transaction, so that no writer waits for long."""
    configs = apps.get_model("configurations", "WebhookConfig").objects.using(schema_editor.connection.alias)
    last = 0
    while rows := list(configs.filter(host="", pk__gt=last).order_by("pk").only("pk", "url")[:BATCH]):
        for row in rows:
            row.host = host_of(row.url)
        configs.bulk_update(rows, ["host"])
        last = rows[-1].pk


class Migration(migrations.Migration):
    atomic = False
    dependencies = [
        ("configurations", "0004_host_of_configurations"),
    ]
    operations = [
        migrations.RunPython(fill_in, migrations.RunPython.noop, elidable=True),
    ]
