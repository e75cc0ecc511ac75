import accounts.postgres.operations
import django.db.models.deletion
import reports.states
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('incidents', '0001_initial'),
    ]

    operations = [
        accounts.postgres.operations.CreateModels(
            operations=[
                migrations.CreateModel(
                    name='AccidentPart',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('name', models.CharField(choices=[('fault', 'Fault description'), ('system', 'System and database information'), ('analysis', 'Analysis and approach'), ('process', 'Process of handling'), ('advice', 'Advice')], max_length=20, verbose_name='part')),
                        ('text', models.TextField(blank=True, verbose_name='text')),
                        ('facts', models.TextField(blank=True)),
                        ('has_news', models.BooleanField(default=False, help_text='The facts changed after somebody had edited the text: both are shown.')),
                        ('revision', models.PositiveIntegerField(default=0)),
                        ('edited_at', models.DateTimeField(blank=True, null=True, verbose_name='edited at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('edited_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('report', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='reports.accidentreport')),
                    ],
                    options={
                        'verbose_name': 'part of an accident report',
                        'verbose_name_plural': 'parts of accident reports',
                        'ordering': ('report', 'pk'),
                        'constraints': [models.UniqueConstraint(fields=('report', 'name'), name='accident_part_once')],
                    },
                ),
                migrations.CreateModel(
                    name='AccidentComment',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('body', models.TextField(verbose_name='comment')),
                        ('made_at', models.DateTimeField(verbose_name='made at')),
                        ('settled_at', models.DateTimeField(blank=True, null=True, verbose_name='settled at')),
                        ('author', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('part', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='reports.accidentpart')),
                    ],
                    options={
                        'verbose_name': 'comment on a report',
                        'verbose_name_plural': 'comments on reports',
                        'ordering': ('made_at', 'pk'),
                    },
                ),
                migrations.CreateModel(
                    name='AccidentReport',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('trigger', models.CharField(choices=[('outage', 'Outage over 30 minutes'), ('by_hand', 'By hand')], max_length=20, verbose_name='opened')),
                        ('state', models.CharField(choices=[('draft', 'Draft'), ('review', 'In review'), ('signed', 'Signed'), ('sent', 'Sent'), ('withdrawn', 'Not needed')], default=reports.states.State['DRAFT'], max_length=20, verbose_name='state')),
                        ('language', models.CharField(max_length=10, verbose_name='language')),
                        ('outage_started_at', models.DateTimeField(verbose_name='outage from')),
                        ('outage_ended_at', models.DateTimeField(blank=True, null=True, verbose_name='outage until')),
                        ('opened_at', models.DateTimeField(verbose_name='opened at')),
                        ('due_at', models.DateTimeField(verbose_name='due at')),
                        ('missed_at', models.DateTimeField(blank=True, null=True, verbose_name='missed at')),
                        ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='first sent at')),
                        ('reason', models.TextField(blank=True, help_text='Why it was returned or withdrawn.', verbose_name='reason')),
                        ('reissue_reason', models.TextField(blank=True, verbose_name='why it was issued again')),
                        ('changed_at', models.DateTimeField(verbose_name='changed at')),
                        ('author', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('incident', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='accident_report', to='incidents.incident', verbose_name='incident')),
                        ('opened_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'accident report',
                        'verbose_name_plural': 'accident reports',
                        'ordering': ('-opened_at', '-pk'),
                        'indexes': [models.Index(fields=['customer', '-opened_at'], name='accident_by_customer')],
                        'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ('draft', 'review', 'signed', 'sent', 'withdrawn'))), name='accident_state_is_known'), models.CheckConstraint(condition=models.Q(('outage_ended_at', None), ('outage_ended_at__gte', models.F('outage_started_at')), _connector='OR'), name='outage_ends_after_it_starts')],
                    },
                ),
                migrations.CreateModel(
                    name='AccidentIssue',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('number', models.PositiveIntegerField(verbose_name='issue')),
                        ('content', models.JSONField(verbose_name='content')),
                        ('sha256', models.CharField(max_length=64, verbose_name='SHA-256 of the content')),
                        ('reason', models.TextField(blank=True, verbose_name='why it was issued again')),
                        ('signed_name', models.CharField(max_length=120, verbose_name='signed by')),
                        ('signed_at', models.DateTimeField(verbose_name='signed at')),
                        ('signed_from', models.GenericIPAddressField(blank=True, null=True, verbose_name='signed from')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('signed_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('report', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='issues', to='reports.accidentreport')),
                    ],
                    options={
                        'verbose_name': 'issue of an accident report',
                        'verbose_name_plural': 'issues of accident reports',
                        'ordering': ('-number',),
                        'constraints': [models.UniqueConstraint(fields=('report', 'number'), name='accident_issue_once')],
                    },
                ),
                migrations.CreateModel(
                    name='AccidentFile',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('state', models.CharField(choices=[('waiting', 'Waiting to be made'), ('rendering', 'Being made'), ('ready', 'Ready'), ('failed', 'Could not be made')], default='waiting', max_length=20, verbose_name='state')),
                        ('progress', models.PositiveSmallIntegerField(default=0, verbose_name='progress, percent')),
                        ('tries', models.PositiveSmallIntegerField(default=0, verbose_name='tries')),
                        ('leased_until', models.DateTimeField(blank=True, null=True)),
                        ('error', models.CharField(blank=True, max_length=400, verbose_name='error')),
                        ('stored_name', models.CharField(blank=True, max_length=120)),
                        ('sha256', models.CharField(blank=True, max_length=64)),
                        ('size', models.PositiveBigIntegerField(default=0, verbose_name='size')),
                        ('made_at', models.DateTimeField(blank=True, null=True, verbose_name='made at')),
                        ('sent_at', models.DateTimeField(blank=True, null=True, verbose_name='first sent at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('issue', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='file', to='reports.accidentissue')),
                    ],
                    options={
                        'verbose_name': 'document of a report',
                        'verbose_name_plural': 'documents of reports',
                        'ordering': ('pk',),
                        'indexes': [models.Index(condition=models.Q(('state__in', ('waiting', 'rendering'))), fields=['id'], name='accident_file_to_make')],
                    },
                ),
                migrations.CreateModel(
                    name='AccidentRecipient',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('email', models.EmailField(max_length=254, verbose_name='e-mail')),
                        ('sent_at', models.DateTimeField(verbose_name='sent at')),
                        ('times', models.PositiveSmallIntegerField(default=1, verbose_name='times sent')),
                        ('link_ends_at', models.DateTimeField(verbose_name='link works until')),
                        ('received_at', models.DateTimeField(blank=True, null=True, verbose_name='received at')),
                        ('received_by', models.CharField(blank=True, choices=[('link', 'by the link of the mail'), ('portal', 'in the portal')], max_length=10, verbose_name='received')),
                        ('received_from', models.GenericIPAddressField(blank=True, null=True)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('issue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='recipients', to='reports.accidentissue')),
                        ('sent_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'recipient of a report',
                        'verbose_name_plural': 'recipients of reports',
                        'ordering': ('sent_at', 'pk'),
                        'constraints': [models.UniqueConstraint(fields=('issue', 'user'), name='accident_recipient_once')],
                    },
                ),
            ],
        ),
    ]
