"""Since when an AccessKey may not read bills, what is found stopped, and which days of an anomaly were unusual."""

from django.db import migrations, models

DENIED = """
UPDATE costs_billreading SET denied_since = problem_since
WHERE problem_code IN ('NoPermission', 'AccessDenied', 'NotAuthorized') OR problem_code LIKE 'Forbidden%';
"""


class Migration(migrations.Migration):
    dependencies = [("costs", "0002_issued_months_stand")]

    operations = [
        migrations.AddField(
            "billreading", "denied_since", models.DateTimeField(blank=True, null=True, verbose_name="without permission since")
        ),
        migrations.AddField(
            "billreading", "stopped", models.JSONField(default=dict, verbose_name="found stopped, and since when")
        ),
        migrations.AddField(
            "costanomaly", "days", models.JSONField(default=list, verbose_name="unusual days, as they were found")
        ),
        migrations.RunSQL(DENIED, migrations.RunSQL.noop),
    ]
