"""Ideas of what could be automated, and what was decided about them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("changes", "0005_request_targets"),
        ("incidents", "0003_request_owes_change"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AutomationIdea",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=200, verbose_name="title")),
                ("what", models.TextField(verbose_name="what is to be automated")),
                (
                    "found_in",
                    models.CharField(
                        help_text="An incident, a report, a meeting: where somebody saw it.",
                        max_length=200,
                        verbose_name="found in",
                    ),
                ),
                (
                    "tool",
                    models.CharField(
                        blank=True,
                        help_text="A tool that the customer has a licence of.",
                        max_length=120,
                        verbose_name="with which tool",
                    ),
                ),
                ("effort_hours", models.PositiveIntegerField(verbose_name="effort, hours")),
                ("saving_hours", models.PositiveIntegerField(verbose_name="saving, hours a month")),
                (
                    "state",
                    models.CharField(
                        choices=[("proposed", "Proposed"), ("accepted", "Accepted"), ("rejected", "Rejected")],
                        default="proposed",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                ("proposed_at", models.DateTimeField(verbose_name="proposed at")),
                ("decided_at", models.DateTimeField(blank=True, null=True, verbose_name="decided at")),
                ("reason", models.CharField(blank=True, max_length=1000, verbose_name="reason")),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "proposed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "request",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="incidents.incident",
                    ),
                ),
            ],
            options={
                "verbose_name": "idea for automation",
                "verbose_name_plural": "ideas for automation",
                "ordering": ("-proposed_at", "-pk"),
                "indexes": [models.Index(fields=["customer", "state"], name="automation_idea_by_state")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "proposed"),
                            models.Q(("decided_at__isnull", False), ("decided_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="automation_idea_is_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "rejected"), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="automation_refusal_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "accepted"), _negated=True), ("request__isnull", False), _connector="OR"
                        ),
                        name="accepted_automation_is_a_request",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("effort_hours__gte", 1)), name="automation_takes_some_time"
                    ),
                ],
            },
        )
    ]
