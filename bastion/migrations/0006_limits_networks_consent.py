"""Limits of a group's sessions, networks that no cloud describes, grants of which somebody lets each session in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_entry_rules"), ("bastion", "0005_transfers_by_sha256")]

    operations = [
        migrations.RemoveConstraint(model_name="resourcegroup", name="one_group_per_network"),
        migrations.RemoveConstraint(model_name="resourcegroup", name="network_group_names_its_network"),
        migrations.AddField(
            model_name="grant",
            name="needs_consent",
            field=models.BooleanField(
                default=False,
                help_text="Whoever administers the resource or its group.",
                verbose_name="somebody lets each session in",
            ),
        ),
        migrations.AddField(
            model_name="resourcegroup",
            name="copies_mb",
            field=models.PositiveIntegerField(
                blank=True, null=True, verbose_name="copies of files up to, in megabytes"
            ),
        ),
        migrations.AddField(
            model_name="resourcegroup",
            name="idle_minutes",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="minutes without a key"),
        ),
        migrations.AddField(
            model_name="resourcegroup",
            name="ranges",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="Of a network that no cloud describes: what has an address there joins by itself.",
                verbose_name="address ranges",
            ),
        ),
        migrations.AddField(
            model_name="resourcegroup",
            name="total_minutes",
            field=models.PositiveSmallIntegerField(blank=True, null=True, verbose_name="minutes in all"),
        ),
        migrations.AlterField(
            model_name="bastionsession",
            name="ending",
            field=models.CharField(
                blank=True,
                choices=[
                    ("exit", "the command or shell ended"),
                    ("client", "the person went"),
                    ("idle", "nothing was done for too long"),
                    ("total", "it lasted too long"),
                    ("window", "the time of the grant was over"),
                    ("revoked", "the grant was taken back"),
                    ("killed", "somebody disconnected it"),
                    ("lost", "the server went away"),
                    ("recording", "it could not be recorded"),
                    ("grace", "the portal was away for too long"),
                    ("node", "the node stopped"),
                    ("silent", "the node was never heard of again"),
                    ("unused", "it was allowed and never begun"),
                    ("refused", "nobody let it in"),
                ],
                max_length=10,
                verbose_name="why it ended",
            ),
        ),
        migrations.AddConstraint(
            model_name="resourcegroup",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "network"), ("retired_at", None)),
                fields=("customer", "network"),
                name="one_group_per_network",
            ),
        ),
        migrations.AddConstraint(
            model_name="resourcegroup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "network"), models.Q(("network", ""), _negated=True)),
                    models.Q(("kind", "normal"), ("network", "")),
                    _connector="OR",
                ),
                name="network_group_names_its_network",
            ),
        ),
        migrations.AddConstraint(
            model_name="resourcegroup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("retired_at", None), ("kind", "normal"), ("network__contains", "/"), _connector="OR"
                ),
                name="group_of_a_vpc_stays",
            ),
        ),
        migrations.AddConstraint(
            model_name="resourcegroup",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("idle_minutes", None), ("idle_minutes__range", (1, 480)), _connector="OR"),
                    models.Q(("total_minutes", None), ("total_minutes__range", (5, 10080)), _connector="OR"),
                    models.Q(("copies_mb", None), ("copies_mb__lte", 512), _connector="OR"),
                ),
                name="group_limits_are_in_reason",
            ),
        ),
    ]
