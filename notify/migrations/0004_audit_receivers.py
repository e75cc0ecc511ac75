"""Receivers of the audit log: where it goes besides, and how far each has it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("notify", "0003_outage_without_delivery"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditReceiver",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80, verbose_name="name")),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("syslog_tls", "Syslog over TLS"),
                            ("syslog", "Syslog over TCP"),
                            ("webhook", "Webhook"),
                        ],
                        default="syslog_tls",
                        max_length=10,
                        verbose_name="kind",
                    ),
                ),
                ("host", models.CharField(blank=True, max_length=253, verbose_name="host")),
                ("port", models.PositiveIntegerField(blank=True, null=True, verbose_name="port")),
                ("authority", models.TextField(blank=True, verbose_name="certificate authority")),
                ("url", models.CharField(blank=True, max_length=500, verbose_name="URL")),
                ("is_on", models.BooleanField(default=True, verbose_name="in use")),
                ("sent", models.PositiveBigIntegerField(default=0, verbose_name="entries sent")),
                ("sent_at", models.DateTimeField(blank=True, null=True, verbose_name="sent last at")),
                ("failures", models.PositiveIntegerField(default=0, verbose_name="failures in a row")),
                ("failing_since", models.DateTimeField(blank=True, null=True, verbose_name="failing since")),
                ("problem", models.CharField(blank=True, max_length=300, verbose_name="problem")),
                ("retry_at", models.DateTimeField(blank=True, null=True)),
                ("leased_until", models.DateTimeField(blank=True, null=True)),
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
            ],
            options={
                "verbose_name": "receiver of the audit log",
                "verbose_name_plural": "receivers of the audit log",
                "ordering": ("customer", "name"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("customer", "name"),
                        name="audit_receiver_named_once",
                        nulls_distinct=False,
                        violation_error_message="There is a receiver of this name already.",
                    ),
                    models.CheckConstraint(
                        condition=Q(kind="webhook", port=None, host="") & ~Q(url="")
                        | Q(kind__in=("syslog", "syslog_tls"), url="", port__range=(1, 65535)) & ~Q(host=""),
                        name="audit_receiver_has_its_address",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditCursor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("sequence", models.PositiveBigIntegerField(default=0, verbose_name="number sent last")),
                (
                    "chain",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.customer",
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
                    "receiver",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="cursors", to="notify.auditreceiver"
                    ),
                ),
            ],
            options={
                "verbose_name": "audit log sent so far",
                "verbose_name_plural": "audit logs sent so far",
                "ordering": ("receiver", "chain"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("receiver", "chain"), name="audit_cursor_once", nulls_distinct=False
                    )
                ],
            },
        ),
    ]
