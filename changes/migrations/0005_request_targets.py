"""By when a request of the service catalogue is answered and done."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("changes", "0004_evidence"),
        ("incidents", "0003_request_owes_change"),
    ]

    operations = [
        migrations.CreateModel(
            name="RequestTarget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("operation", models.CharField(max_length=80, verbose_name="operation")),
                ("response_minutes", models.PositiveIntegerField(verbose_name="answered within, minutes")),
                ("completion_hours", models.PositiveIntegerField(verbose_name="done within, working hours")),
                ("started_at", models.DateTimeField(verbose_name="asked at")),
                ("due_at", models.DateTimeField(verbose_name="to be done by")),
                ("missed_at", models.DateTimeField(blank=True, null=True, verbose_name="missed at")),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
                    ),
                ),
                (
                    "incident",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="target", to="incidents.incident"
                    ),
                ),
            ],
            options={
                "verbose_name": "target of a request",
                "verbose_name_plural": "targets of requests",
                "ordering": ("due_at", "pk"),
                "indexes": [models.Index(fields=["customer", "due_at"], name="request_target_by_day")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("completion_hours__gte", 1), ("response_minutes__gte", 1)),
                        name="request_target_is_a_time",
                    )
                ],
            },
        ),
    ]
