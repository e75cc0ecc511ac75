"""How many months the clocks began in: believing that there are as many as moments, PostgreSQL sorted them all."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("incidents", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE STATISTICS clock_months ON (date_trunc('month', started_at AT TIME ZONE 'Asia/Shanghai'))"
            " FROM incidents_clock",
            "DROP STATISTICS clock_months",
        )
    ]
