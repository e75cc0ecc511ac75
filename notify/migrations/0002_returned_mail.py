"""Mails that came back."""

from django.db import migrations, models

from accounts.postgres.operations import Together


class Migration(migrations.Migration):
    dependencies = [("notify", "0001_initial")]

    operations = [
        Together(
            operations=[
                migrations.AddField(
                    model_name="delivery",
                    name="returned_at",
                    field=models.DateTimeField(blank=True, null=True, verbose_name="came back at"),
                ),
                migrations.AddField(
                    model_name="delivery",
                    name="returned_because",
                    field=models.CharField(blank=True, max_length=340, verbose_name="why it came back"),
                ),
            ],
        ),
    ]
