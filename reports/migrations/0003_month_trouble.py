"""Months whose report could not be made, and why."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("incidents", "0003_request_owes_change"),
        ("reports", "0002_service_reports"),
    ]

    operations = [
        migrations.CreateModel(
            name="MonthTrouble",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("period", models.CharField(max_length=7, verbose_name="month")),
                ("reason", models.CharField(max_length=400, verbose_name="reason")),
                ("since", models.DateTimeField(verbose_name="since")),
                ("over_at", models.DateTimeField(blank=True, null=True, verbose_name="over at")),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
                    ),
                ),
                (
                    "incident",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="incidents.incident",
                    ),
                ),
            ],
            options={
                "verbose_name": "trouble with a monthly report",
                "verbose_name_plural": "troubles with monthly reports",
                "ordering": ("pk",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("over_at", None)),
                        fields=("customer", "period"),
                        name="one_trouble_per_month",
                    )
                ],
            },
        )
    ]
