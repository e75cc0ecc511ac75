"""Who may enter from where, by role or person."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="EntryRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("customer_pm", "Customer project manager"),
                            ("customer_member", "Customer member"),
                            ("customer_viewer", "Customer, read only"),
                            ("engineer", "Engineer"),
                            ("manager", "Service manager"),
                            ("admin", "Administrator"),
                        ],
                        max_length=20,
                        verbose_name="role",
                    ),
                ),
                (
                    "ranges",
                    models.JSONField(
                        blank=True, default=list, help_text="Empty: from everywhere.", verbose_name="address ranges"
                    ),
                ),
                (
                    "needs_key_and_code",
                    models.BooleanField(
                        default=False,
                        help_text="At the bastion's SSH door both are asked for; "
                        "neither a password nor a ticket opens it.",
                        verbose_name="SSH key and one-time code",
                    ),
                ),
                ("changed_at", models.DateTimeField(verbose_name="changed at")),
                (
                    "changed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.customer",
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "rule of entry",
                "verbose_name_plural": "rules of entry",
                "ordering": ("customer", "role", "person"),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("person", None)),
                        fields=("customer", "role"),
                        name="one_entry_rule_per_role",
                        nulls_distinct=False,
                    ),
                    models.UniqueConstraint(fields=("person",), name="one_entry_rule_per_person"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("person__isnull", False), ("role", "")),
                            models.Q(
                                ("customer__isnull", False),
                                ("person", None),
                                ("role__in", ("customer_pm", "customer_member", "customer_viewer")),
                            ),
                            models.Q(
                                ("customer", None), ("person", None), ("role__in", ("engineer", "manager", "admin"))
                            ),
                            _connector="OR",
                        ),
                        name="entry_rule_is_for_a_role_or_a_person",
                    ),
                ],
            },
        )
    ]
