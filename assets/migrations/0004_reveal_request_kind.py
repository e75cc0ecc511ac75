"""A request by which somebody takes an administrator's mark off a login, besides one to see a secret."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("assets", "0003_ssh_legacy_algorithms"),
    ]

    operations = [
        migrations.AddField(
            model_name="revealrequest",
            name="kind",
            field=models.CharField(
                choices=[("show", "See the secret"), ("unmark", "No longer an administrator login")],
                default="show",
                max_length=10,
                verbose_name="what for",
            ),
        ),
    ]
