"""A customer who has nobody to be told anything: an outage without a message."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("notify", "0002_returned_mail")]

    operations = [
        migrations.AlterField(
            model_name="outage",
            name="delivery",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="notify.delivery"
            ),
        ),
    ]
