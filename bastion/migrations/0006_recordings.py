import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

FIND = """
CREATE FUNCTION {name}(grams varchar[], most int) RETURNS SETOF bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT id FROM {table} WHERE trigrams @> grams AND (
        current_setting('rdmp.customers', true) = '*'
        OR customer_id = ANY (
            string_to_array(nullif(nullif(current_setting('rdmp.customers', true), '*'), ''), ',')::bigint[]
        )
    ) LIMIT most
$$;
"""
"""Numbers of rows within the scope, by the index that row policies hide (`bastion.services.searching`)."""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("assets", "0001_initial"),
        ("bastion", "0005_hardening"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PortalKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public_key", models.CharField(max_length=64, unique=True, verbose_name="public key")),
                ("made_at", models.DateTimeField(verbose_name="made at")),
                ("retired_at", models.DateTimeField(blank=True, null=True, verbose_name="retired at")),
            ],
            options={
                "verbose_name": "key of the portal",
                "verbose_name_plural": "keys of the portal",
                "ordering": ("-made_at", "-pk"),
            },
        ),
        migrations.CreateModel(
            name="RecordingHold",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("reason", models.CharField(max_length=300, verbose_name="reason")),
                ("placed_at", models.DateTimeField(verbose_name="placed at")),
                ("lifted_at", models.DateTimeField(blank=True, null=True, verbose_name="lifted at")),
            ],
            options={
                "verbose_name": "legal hold",
                "verbose_name_plural": "legal holds",
                "ordering": ("-placed_at", "-pk"),
            },
        ),
        migrations.CreateModel(
            name="RecordingPolicy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "keep_days",
                    models.PositiveSmallIntegerField(
                        default=365,
                        validators=[
                            django.core.validators.MinValueValidator(184),
                            django.core.validators.MaxValueValidator(3650),
                        ],
                        verbose_name="days that recordings are kept",
                    ),
                ),
                (
                    "tells_watched",
                    models.BooleanField(
                        default=True,
                        help_text="A line on their screen names whoever begins to watch.",
                        verbose_name="tell people that somebody looks on",
                    ),
                ),
                ("changed_at", models.DateTimeField(verbose_name="changed at")),
            ],
            options={
                "verbose_name": "rule for recordings",
                "verbose_name_plural": "rules for recordings",
            },
        ),
        migrations.CreateModel(
            name="RecordingPurge",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("keep_days", models.PositiveSmallIntegerField(verbose_name="days that it was kept")),
                ("pieces", models.PositiveIntegerField(verbose_name="pieces")),
                ("size", models.BigIntegerField(verbose_name="bytes")),
                ("purged_at", models.DateTimeField(verbose_name="purged at")),
            ],
            options={
                "verbose_name": "purged recording",
                "verbose_name_plural": "purged recordings",
            },
        ),
        migrations.AddField(
            model_name="filetransfer",
            name="trigrams",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=3), default=list, editable=False, size=None
            ),
        ),
        migrations.AddField(
            model_name="recordingpiece",
            name="has_keyframe",
            field=models.BooleanField(default=False, verbose_name="begins with the whole screen"),
        ),
        migrations.AddField(
            model_name="recordingpiece",
            name="node_key",
            field=models.CharField(blank=True, max_length=64, verbose_name="public key of the node"),
        ),
        migrations.AddField(
            model_name="recordingpiece",
            name="offset",
            field=models.BigIntegerField(default=0, verbose_name="begins at byte"),
        ),
        migrations.AddField(
            model_name="recordingpiece",
            name="plain_bytes",
            field=models.BigIntegerField(default=0, verbose_name="bytes of text"),
        ),
        migrations.AddIndex(
            model_name="filetransfer",
            index=django.contrib.postgres.indexes.GinIndex(fields=["trigrams"], name="session_transfer_by_path"),
        ),
        migrations.AddIndex(
            model_name="filetransfer",
            index=models.Index(fields=["-at"], name="session_transfer_latest"),
        ),
        migrations.AddIndex(
            model_name="sessioncommand",
            index=models.Index(fields=["-at"], name="session_command_latest"),
        ),
        migrations.AddField(
            model_name="portalkey",
            name="customer",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.customer",
            ),
        ),
        migrations.AddField(
            model_name="recordingpiece",
            name="portal_key",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="bastion.portalkey"
            ),
        ),
        migrations.AddField(
            model_name="recordinghold",
            name="customer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
            ),
        ),
        migrations.AddField(
            model_name="recordinghold",
            name="lifted_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="recordinghold",
            name="placed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="recordinghold",
            name="session",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="holds", to="bastion.bastionsession"
            ),
        ),
        migrations.AddField(
            model_name="recordingpolicy",
            name="changed_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="recordingpolicy",
            name="customer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
            ),
        ),
        migrations.AddField(
            model_name="recordingpurge",
            name="customer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="accounts.customer"
            ),
        ),
        migrations.AddField(
            model_name="recordingpurge",
            name="session",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="purge", to="bastion.bastionsession"
            ),
        ),
        migrations.AddConstraint(
            model_name="portalkey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired_at", None)),
                fields=("customer",),
                name="one_portal_key_signs",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="recordinghold",
            constraint=models.UniqueConstraint(
                condition=models.Q(("lifted_at", None)), fields=("session",), name="held_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="recordinghold",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lifted_at", None), ("lifted_by", None)),
                    models.Q(("lifted_at__isnull", False), ("lifted_by__isnull", False)),
                    _connector="OR",
                ),
                name="lifted_hold_says_by_whom",
            ),
        ),
        migrations.AddConstraint(
            model_name="recordingpolicy",
            constraint=models.UniqueConstraint(fields=("customer",), name="recording_policy_once"),
        ),
        migrations.AddConstraint(
            model_name="recordingpolicy",
            constraint=models.CheckConstraint(
                condition=models.Q(("keep_days__gte", 184)), name="recordings_stay_six_months"
            ),
        ),
        migrations.RunSQL(
            FIND.format(name="bastion_commands_with", table="bastion_sessioncommand"),
            "DROP FUNCTION bastion_commands_with(varchar[], int)",
        ),
        migrations.RunSQL(
            FIND.format(name="bastion_files_with", table="bastion_filetransfer"),
            "DROP FUNCTION bastion_files_with(varchar[], int)",
        ),
    ]
