"""Evidence of checks, what went wrong with a change, and who verified its end."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("changes", "0003_run_is_backup"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="checkrecord",
            name="change_check_once",
        ),
        migrations.AddField(
            model_name="change",
            name="failure",
            field=models.TextField(blank=True, verbose_name="what went wrong"),
        ),
        migrations.AddField(
            model_name="change",
            name="verified_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="that it is as before, verified by",
            ),
        ),
        migrations.AddField(
            model_name="checkrecord",
            name="evidence",
            field=models.JSONField(blank=True, default=dict, verbose_name="evidence"),
        ),
    ]
