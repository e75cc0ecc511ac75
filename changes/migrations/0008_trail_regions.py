"""The audit trail is read region by region: what was read so far was the account's first region alone."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

BEFORE = "cn-hangzhou"
"""What was asked of an account that names no region."""


def name_the_region(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    for reading in apps.get_model("changes", "TrailReading").objects.select_related("cloud_account"):
        reading.region = (reading.cloud_account.regions or [BEFORE])[0]
        reading.save(update_fields=["region"])


def keep_one_region(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    kept: set[int] = set()
    for reading in apps.get_model("changes", "TrailReading").objects.order_by("began_at", "pk"):
        if reading.cloud_account_id in kept:
            reading.delete()
        kept.add(reading.cloud_account_id)


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0007_one_run_at_a_time_per_account'),
    ]

    operations = [
        migrations.AddField(
            model_name='trailreading',
            name='region',
            field=models.CharField(default='', max_length=40, verbose_name='region'),
            preserve_default=False,
        ),
        migrations.AlterField(
            model_name='trailreading',
            name='cloud_account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount'),
        ),
        migrations.RunPython(name_the_region, keep_one_region),
        migrations.AddConstraint(
            model_name='trailreading',
            constraint=models.UniqueConstraint(fields=('cloud_account', 'region'), name='trail_reading_once_per_region'),
        ),
    ]
