"""Groups of RAM users, and what is found about them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("assets", "0004_reveal_request_kind"),
    ]

    operations = [
        migrations.AlterField(
            model_name="ramfinding",
            name="flaw",
            field=models.CharField(
                choices=[
                    ("no_mfa", "Signs in without a second factor"),
                    ("old_key", "AccessKey older than 90 days"),
                    ("unused_key", "AccessKey not used for 90 days"),
                    ("administrator_person", "A person with AdministratorAccess"),
                    ("reading_key_writes", "The read-only AccessKey can write"),
                    ("empty_group", "A group without members has rights"),
                ],
                max_length=24,
                verbose_name="finding",
            ),
        ),
        migrations.AlterField(
            model_name="ramfinding",
            name="user",
            field=models.CharField(max_length=64, verbose_name="RAM user or group"),
        ),
        migrations.CreateModel(
            name="RamGroup",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, verbose_name="name")),
                ("comments", models.CharField(blank=True, max_length=128, verbose_name="comment")),
                ("created_at", models.DateTimeField(null=True, verbose_name="created at")),
                ("members", models.JSONField(default=list, verbose_name="members")),
                ("policies", models.JSONField(default=list, verbose_name="policies")),
                ("seen_at", models.DateTimeField(verbose_name="last seen at")),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="ram_groups", to="assets.cloudaccount"
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
                    ),
                ),
            ],
            options={
                "verbose_name": "RAM group",
                "verbose_name_plural": "RAM groups",
                "ordering": ("name",),
                "constraints": [models.UniqueConstraint(fields=("account", "name"), name="ram_group_once_per_account")],
            },
        ),
    ]
