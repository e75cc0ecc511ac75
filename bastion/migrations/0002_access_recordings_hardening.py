import accounts.postgres.operations
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
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('assets', '0001_initial'),
        ('bastion', '0001_initial'),
        ('changes', '0001_initial'),
        ('incidents', '0002_statistics'),
    ]

    operations = [
        accounts.postgres.operations.Together(
            operations=[
                migrations.CreateModel(
                    name='NodeLoad',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('at', models.DateTimeField(verbose_name='at')),
                        ('cpu', models.FloatField(default=0)),
                        ('memory', models.FloatField(default=0)),
                        ('disk_free', models.FloatField(default=0)),
                        ('sessions', models.FloatField(default=0)),
                        ('spooled', models.FloatField(default=0)),
                        ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('node', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='loads', to='bastion.node')),
                    ],
                    options={
                        'verbose_name': 'load of a node',
                        'verbose_name_plural': 'load of nodes',
                        'ordering': ('node', 'at'),
                        'constraints': [models.UniqueConstraint(fields=('node', 'at'), name='node_load_once')],
                    },
                ),
                migrations.CreateModel(
                    name='CommandRule',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('position', models.PositiveIntegerField(verbose_name='position')),
                        ('name', models.CharField(max_length=120, verbose_name='name')),
                        ('pattern', models.CharField(max_length=1000, verbose_name='pattern')),
                        ('verdict', models.CharField(choices=[('allow', 'Allow'), ('warn', 'Warn'), ('deny', 'Deny'), ('review', 'Hold for review')], max_length=8, verbose_name='verdict')),
                        ('words', models.CharField(blank=True, max_length=300, verbose_name='words for the person')),
                        ('is_on', models.BooleanField(default=True, verbose_name='in force')),
                        ('shipped_as', models.CharField(blank=True, max_length=40, verbose_name='one of the usual rules')),
                        ('changed_at', models.DateTimeField(verbose_name='changed at')),
                        ('retired_at', models.DateTimeField(blank=True, null=True, verbose_name='retired at')),
                        ('changed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('group', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='bastion.resourcegroup')),
                    ],
                    options={
                        'verbose_name': 'command rule',
                        'verbose_name_plural': 'command rules',
                        'ordering': ('customer', 'position', 'pk'),
                        'indexes': [models.Index(fields=['customer', 'position'], name='command_rule_in_order')],
                        'constraints': [models.UniqueConstraint(condition=models.Q(('retired_at', None), models.Q(('shipped_as', ''), _negated=True)), fields=('customer', 'shipped_as'), name='usual_rule_once')],
                    },
                ),
                migrations.CreateModel(
                    name='CommandReview',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('number', models.PositiveIntegerField(verbose_name='number')),
                        ('text', models.TextField(verbose_name='command')),
                        ('state', models.CharField(choices=[('waiting', 'Waiting'), ('allowed', 'Allowed'), ('denied', 'Denied'), ('lapsed', 'Nobody answered')], default='waiting', max_length=8, verbose_name='state')),
                        ('asked_at', models.DateTimeField(verbose_name='asked at')),
                        ('until', models.DateTimeField(verbose_name='waits until')),
                        ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                        ('words', models.CharField(blank=True, max_length=300, verbose_name='remark')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('session', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reviews', to='bastion.bastionsession')),
                        ('rule', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='bastion.commandrule')),
                    ],
                    options={
                        'verbose_name': 'review of a command',
                        'verbose_name_plural': 'reviews of commands',
                        'ordering': ('-asked_at', '-pk'),
                        'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['until'], name='command_review_waiting')],
                        'constraints': [models.UniqueConstraint(fields=('session', 'number'), name='command_review_once'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at', None), ('state', 'waiting')), models.Q(models.Q(('state', 'waiting'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='settled_review_says_when')],
                    },
                ),
                migrations.CreateModel(
                    name='Favourite',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('starred_at', models.DateTimeField(verbose_name='starred at')),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('person', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'favourite',
                        'verbose_name_plural': 'favourites',
                        'ordering': ('person', 'asset'),
                        'constraints': [models.UniqueConstraint(fields=('person', 'asset'), name='favourite_once')],
                    },
                ),
                migrations.CreateModel(
                    name='HostKeySighting',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('host', models.CharField(max_length=253, verbose_name='host')),
                        ('port', models.PositiveIntegerField(verbose_name='port')),
                        ('key', models.TextField(verbose_name='host key')),
                        ('fingerprint', models.CharField(max_length=80, verbose_name='fingerprint')),
                        ('fingerprint_before', models.CharField(blank=True, max_length=80, verbose_name='fingerprint before')),
                        ('kind', models.CharField(choices=[('first', 'First sight'), ('changed', 'Changed')], max_length=8, verbose_name='kind')),
                        ('state', models.CharField(choices=[('waiting', 'Not confirmed'), ('confirmed', 'Confirmed'), ('rejected', 'Rejected'), ('replaced', 'Another was confirmed')], default='waiting', max_length=10, verbose_name='state')),
                        ('times', models.PositiveIntegerField(default=1, verbose_name='times seen')),
                        ('seen_at', models.DateTimeField(verbose_name='first seen at')),
                        ('last_seen_at', models.DateTimeField(verbose_name='last seen at')),
                        ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                        ('words', models.CharField(blank=True, max_length=300, verbose_name='remark')),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('session', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='bastion.bastionsession')),
                    ],
                    options={
                        'verbose_name': 'host key met',
                        'verbose_name_plural': 'host keys met',
                        'ordering': ('-last_seen_at', '-pk'),
                        'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['asset'], name='host_key_waiting')],
                        'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ('waiting', 'rejected'))), fields=('asset', 'host', 'port', 'fingerprint'), name='host_key_met_once')],
                    },
                ),
                migrations.CreateModel(
                    name='SessionShare',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('may_type', models.BooleanField(default=False, verbose_name='may type')),
                        ('invited_at', models.DateTimeField(verbose_name='invited at')),
                        ('joined_at', models.DateTimeField(blank=True, null=True, verbose_name='first joined at')),
                        ('revoked_at', models.DateTimeField(blank=True, null=True, verbose_name='taken back at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('guest', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('invited_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('session', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shares', to='bastion.bastionsession')),
                    ],
                    options={
                        'verbose_name': 'invitation to a session',
                        'verbose_name_plural': 'invitations to sessions',
                        'ordering': ('-invited_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('session', 'guest'), name='session_shared_once_with_a_guest')],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningRun',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('why', models.CharField(choices=[('asked', 'Asked for'), ('weekly', 'Every week'), ('remedy', 'After a change')], default='asked', max_length=8, verbose_name='why')),
                        ('state', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('cancelled', 'Cancelled')], default='running', max_length=10, verbose_name='state')),
                        ('wants_stop', models.BooleanField(default=False)),
                        ('started_at', models.DateTimeField(verbose_name='started at')),
                        ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                        ('leased_until', models.DateTimeField(blank=True, null=True)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('started_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'run of hardening checks',
                        'verbose_name_plural': 'runs of hardening checks',
                        'ordering': ('-started_at', '-pk'),
                        'indexes': [models.Index(fields=['customer', '-started_at'], name='hardening_run_by_time')],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningRemedy',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('item', models.CharField(max_length=40, verbose_name='item')),
                        ('proposed_at', models.DateTimeField(verbose_name='proposed at')),
                        ('settled_at', models.DateTimeField(blank=True, null=True, verbose_name='settled at')),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('change', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='changes.change')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('proposed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='bastion.hardeningrun')),
                    ],
                    options={
                        'verbose_name': 'hardening remedy',
                        'verbose_name_plural': 'hardening remedies',
                        'ordering': ('-proposed_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('settled_at', None)), fields=('asset', 'item'), name='one_open_hardening_remedy')],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningCheck',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('state', models.CharField(choices=[('planned', 'To come'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Not reached'), ('skipped', 'Left out')], default='planned', max_length=8, verbose_name='state')),
                        ('problem_code', models.CharField(blank=True, max_length=40)),
                        ('attempts', models.PositiveSmallIntegerField(default=0)),
                        ('is_root', models.BooleanField(default=False, verbose_name="with root's rights")),
                        ('system', models.CharField(blank=True, max_length=120, verbose_name='operating system')),
                        ('score', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='score')),
                        ('passed', models.PositiveSmallIntegerField(default=0, verbose_name='fulfilled')),
                        ('failed', models.PositiveSmallIntegerField(default=0, verbose_name='not fulfilled')),
                        ('unknown', models.PositiveSmallIntegerField(default=0, verbose_name='not checked')),
                        ('excepted', models.PositiveSmallIntegerField(default=0, verbose_name='accepted')),
                        ('started_at', models.DateTimeField(blank=True, null=True, verbose_name='started at')),
                        ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='hardening_checks', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='checks', to='bastion.hardeningrun')),
                    ],
                    options={
                        'verbose_name': 'hardening check',
                        'verbose_name_plural': 'hardening checks',
                        'ordering': ('run', 'pk'),
                        'indexes': [models.Index(condition=models.Q(('state', 'done')), fields=['asset', '-ended_at'], name='hardening_check_history')],
                        'constraints': [models.UniqueConstraint(fields=('run', 'asset'), name='hardening_check_once')],
                    },
                ),
                migrations.CreateModel(
                    name='DirectLogin',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('at', models.DateTimeField(verbose_name='at')),
                        ('account', models.CharField(max_length=128, verbose_name='account')),
                        ('source', models.GenericIPAddressField(blank=True, help_text='Empty: the console.', null=True, verbose_name='from')),
                        ('port', models.PositiveIntegerField(default=0, verbose_name='port')),
                        ('method', models.CharField(blank=True, max_length=40, verbose_name='method')),
                        ('key', models.CharField(blank=True, max_length=160, verbose_name='key')),
                        ('found_in', models.CharField(choices=[('journal', 'Journal'), ('file', 'Log file'), ('wtmp', 'Log-in records (wtmp)')], max_length=8, verbose_name='found in')),
                        ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                        ('seen_at', models.DateTimeField(verbose_name='found at')),
                        ('explanation', models.CharField(blank=True, max_length=500, verbose_name='explanation')),
                        ('explained_at', models.DateTimeField(blank=True, null=True, verbose_name='explained at')),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('explained_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('incident', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.incident')),
                    ],
                    options={
                        'verbose_name': 'direct log-in',
                        'verbose_name_plural': 'direct log-ins',
                        'ordering': ('-at', '-pk'),
                        'indexes': [models.Index(fields=['customer', '-at'], name='direct_login_by_time'), models.Index(fields=['asset', '-at'], name='direct_login_by_asset'), models.Index(condition=models.Q(('explained_at', None)), fields=['customer'], name='direct_login_unexplained')],
                        'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('explained_at', None), ('explanation', '')), models.Q(('explained_at__isnull', False), ('explained_by__isnull', False), models.Q(('explanation', ''), _negated=True)), _connector='OR'), name='explained_login_says_how')],
                    },
                ),
                migrations.CreateModel(
                    name='HardenedServer',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('score', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='score')),
                        ('failed', models.PositiveSmallIntegerField(default=0, verbose_name='not fulfilled')),
                        ('unknown', models.PositiveSmallIntegerField(default=0, verbose_name='not checked')),
                        ('excepted', models.PositiveSmallIntegerField(default=0, verbose_name='accepted')),
                        ('failing', models.JSONField(blank=True, default=list, verbose_name='items not fulfilled')),
                        ('checked_at', models.DateTimeField(blank=True, null=True, verbose_name='checked at')),
                        ('problem_code', models.CharField(blank=True, max_length=40)),
                        ('tried_at', models.DateTimeField(blank=True, null=True, verbose_name='last tried')),
                        ('platform', models.JSONField(blank=True, default=list, help_text='As the server sees them.', verbose_name='addresses of the platform')),
                        ('logins_upto', models.DateTimeField(blank=True, null=True, verbose_name='log-ins read up to')),
                        ('logins_read_at', models.DateTimeField(blank=True, null=True, verbose_name='log-ins read at')),
                        ('logins_due_at', models.DateTimeField(blank=True, null=True, verbose_name='log-ins read next')),
                        ('logins_problem', models.CharField(blank=True, max_length=40)),
                        ('logins_from', models.CharField(blank=True, max_length=40, verbose_name='log-ins read from')),
                        ('logins_gap_at', models.DateTimeField(blank=True, null=True, verbose_name='records were missing before')),
                        ('skew_s', models.FloatField(blank=True, null=True, verbose_name='clock ahead by seconds')),
                        ('asset', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='hardening', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('latest', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='bastion.hardeningcheck')),
                    ],
                    options={
                        'verbose_name': 'hardened server',
                        'verbose_name_plural': 'hardened servers',
                        'indexes': [models.Index(fields=['logins_due_at'], name='hardened_server_logins_due')],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningException',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('item', models.CharField(max_length=40, verbose_name='item')),
                        ('reason', models.CharField(max_length=500, verbose_name='reason')),
                        ('until', models.DateTimeField(verbose_name='until')),
                        ('state', models.CharField(choices=[('asked', 'Waits for the customer'), ('accepted', 'Accepted'), ('declined', 'Not accepted'), ('ended', 'Ended'), ('lapsed', 'Lapsed')], default='asked', max_length=10, verbose_name='state')),
                        ('asked_at', models.DateTimeField(verbose_name='asked at')),
                        ('ended_at', models.DateTimeField(blank=True, null=True, verbose_name='ended at')),
                        ('asked_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('attestation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.attestation')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'hardening exception',
                        'verbose_name_plural': 'hardening exceptions',
                        'ordering': ('-asked_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ('asked', 'accepted'))), fields=('asset', 'item'), name='one_open_hardening_exception')],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningPolicy',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('ports', models.JSONField(blank=True, default=list, verbose_name='agreed ports')),
                        ('bastions', models.JSONField(blank=True, default=list, verbose_name='addresses of the bastion')),
                        ('images', models.JSONField(blank=True, default=list, verbose_name='hardened images')),
                        ('password_days', models.PositiveSmallIntegerField(default=90, verbose_name='passwords end after days')),
                        ('allows_passwords', models.BooleanField(default=False, verbose_name='passwords for SSH were agreed')),
                        ('is_weekly', models.BooleanField(default=True, verbose_name='checked every week')),
                        ('reads_logins', models.BooleanField(default=True, verbose_name='look for direct log-ins')),
                        ('note', models.CharField(blank=True, max_length=300, verbose_name='remark')),
                        ('changed_at', models.DateTimeField(verbose_name='changed at')),
                        ('asset', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('changed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'hardening standard',
                        'verbose_name_plural': 'hardening standards',
                        'constraints': [models.UniqueConstraint(fields=('customer', 'asset'), name='one_hardening_policy_per_place', nulls_distinct=False)],
                    },
                ),
                migrations.CreateModel(
                    name='HardeningResult',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('item', models.CharField(max_length=40, verbose_name='item')),
                        ('outcome', models.CharField(choices=[('passed', 'Fulfilled'), ('failed', 'Not fulfilled'), ('not_checked', 'Not checked')], max_length=12, verbose_name='result')),
                        ('reason', models.CharField(max_length=40, verbose_name='reason')),
                        ('names', models.JSONField(blank=True, default=list)),
                        ('evidence', models.TextField(blank=True, verbose_name='evidence')),
                        ('is_excepted', models.BooleanField(default=False, verbose_name='accepted by the customer')),
                        ('check_of', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='results', to='bastion.hardeningcheck')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'hardening result',
                        'verbose_name_plural': 'hardening results',
                        'ordering': ('check_of', 'pk'),
                        'constraints': [models.UniqueConstraint(fields=('check_of', 'item'), name='hardening_result_once')],
                    },
                ),
                migrations.CreateModel(
                    name='PortalKey',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('public_key', models.CharField(max_length=64, unique=True, verbose_name='public key')),
                        ('made_at', models.DateTimeField(verbose_name='made at')),
                        ('retired_at', models.DateTimeField(blank=True, null=True, verbose_name='retired at')),
                        ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'key of the portal',
                        'verbose_name_plural': 'keys of the portal',
                        'ordering': ('-made_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('retired_at', None)), fields=('customer',), name='one_portal_key_signs', nulls_distinct=False)],
                    },
                ),
                migrations.CreateModel(
                    name='RecordingHold',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('reason', models.CharField(max_length=300, verbose_name='reason')),
                        ('placed_at', models.DateTimeField(verbose_name='placed at')),
                        ('lifted_at', models.DateTimeField(blank=True, null=True, verbose_name='lifted at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('lifted_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('placed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('session', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='bastion.bastionsession')),
                    ],
                    options={
                        'verbose_name': 'legal hold',
                        'verbose_name_plural': 'legal holds',
                        'ordering': ('-placed_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('session',), name='held_once'), models.CheckConstraint(condition=models.Q(models.Q(('lifted_at', None), ('lifted_by', None)), models.Q(('lifted_at__isnull', False), ('lifted_by__isnull', False)), _connector='OR'), name='lifted_hold_says_by_whom')],
                    },
                ),
                migrations.CreateModel(
                    name='RecordingPolicy',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('keep_days', models.PositiveSmallIntegerField(default=365, validators=[django.core.validators.MinValueValidator(184), django.core.validators.MaxValueValidator(3650)], verbose_name='days that recordings are kept')),
                        ('tells_watched', models.BooleanField(default=True, help_text='A line on their screen names whoever begins to watch.', verbose_name='tell people that somebody looks on')),
                        ('changed_at', models.DateTimeField(verbose_name='changed at')),
                        ('changed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'rule for recordings',
                        'verbose_name_plural': 'rules for recordings',
                        'constraints': [models.UniqueConstraint(fields=('customer',), name='recording_policy_once'), models.CheckConstraint(condition=models.Q(('keep_days__gte', 184)), name='recordings_stay_six_months')],
                    },
                ),
                migrations.CreateModel(
                    name='RecordingPurge',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('keep_days', models.PositiveSmallIntegerField(verbose_name='days that it was kept')),
                        ('pieces', models.PositiveIntegerField(verbose_name='pieces')),
                        ('size', models.BigIntegerField(verbose_name='bytes')),
                        ('purged_at', models.DateTimeField(verbose_name='purged at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('session', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='purge', to='bastion.bastionsession')),
                    ],
                    options={
                        'verbose_name': 'purged recording',
                        'verbose_name_plural': 'purged recordings',
                    },
                ),
                migrations.AddField(
                    model_name='node',
                    name='clients_port',
                    field=models.PositiveIntegerField(blank=True, help_text='Where a router forwards another one to it.', null=True, verbose_name='port for SSH clients'),
                ),
                migrations.AddField(
                    model_name='node',
                    name='drains_itself',
                    field=models.BooleanField(default=False, help_text='It asked for it, before an upgrade, and may end it.'),
                ),
                migrations.AddField(
                    model_name='node',
                    name='is_own',
                    field=models.BooleanField(default=False, help_text='It stands beside the platform and enrols by itself.', verbose_name="the platform's own"),
                ),
                migrations.AddField(
                    model_name='node',
                    name='silence_incident',
                    field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='incidents.incident'),
                ),
                migrations.AddField(
                    model_name='node',
                    name='silence_told_at',
                    field=models.DateTimeField(blank=True, null=True),
                ),
                migrations.AlterField(
                    model_name='node',
                    name='ssh_port',
                    field=models.PositiveIntegerField(default=2222, verbose_name='port that it listens on'),
                ),
                migrations.AddConstraint(
                    model_name='node',
                    constraint=models.UniqueConstraint(condition=models.Q(('is_own', True), models.Q(('state', 'revoked'), _negated=True)), fields=('is_own',), name='one_node_beside_the_platform'),
                ),
                migrations.AddField(
                    model_name='grant',
                    name='forwards',
                    field=models.JSONField(blank=True, default=list, help_text='host:port, network/bits:port, *:port', verbose_name='destinations of port forwarding'),
                ),
                migrations.AddField(
                    model_name='filetransfer',
                    name='trigrams',
                    field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=3), default=list, editable=False, size=None),
                ),
                migrations.AddField(
                    model_name='recordingpiece',
                    name='has_keyframe',
                    field=models.BooleanField(default=False, verbose_name='begins with the whole screen'),
                ),
                migrations.AddField(
                    model_name='recordingpiece',
                    name='node_key',
                    field=models.CharField(blank=True, max_length=64, verbose_name='public key of the node'),
                ),
                migrations.AddField(
                    model_name='recordingpiece',
                    name='offset',
                    field=models.BigIntegerField(default=0, verbose_name='begins at byte'),
                ),
                migrations.AddField(
                    model_name='recordingpiece',
                    name='plain_bytes',
                    field=models.BigIntegerField(default=0, verbose_name='bytes of text'),
                ),
                migrations.AddIndex(
                    model_name='filetransfer',
                    index=django.contrib.postgres.indexes.GinIndex(fields=['trigrams'], name='session_transfer_by_path'),
                ),
                migrations.AddIndex(
                    model_name='filetransfer',
                    index=models.Index(fields=['-at'], name='session_transfer_latest'),
                ),
                migrations.AddIndex(
                    model_name='sessioncommand',
                    index=models.Index(fields=['-at'], name='session_command_latest'),
                ),
                migrations.AddField(
                    model_name='recordingpiece',
                    name='portal_key',
                    field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='bastion.portalkey'),
                ),
            ],
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
