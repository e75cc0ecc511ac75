from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0016_change_requests")]

    operations = [
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["title", "id"], name="incident_by_title"),
        ),
    ]
