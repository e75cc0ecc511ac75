import accounts.postgres.operations
import costs.states
import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('assets', '0001_initial'),
        ('changes', '0001_initial'),
        ('incidents', '0001_initial'),
    ]

    operations = [
        accounts.postgres.operations.CreateModels(
            operations=[
                migrations.CreateModel(
                    name='Statement',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('month', models.DateField(verbose_name='month')),
                        ('issued_at', models.DateTimeField(verbose_name='issued at')),
                        ('total', models.DecimalField(decimal_places=2, max_digits=18, verbose_name='total, CNY')),
                        ('missing', models.JSONField(default=list, verbose_name='days without a bill')),
                        ('reason', models.CharField(blank=True, max_length=400, verbose_name='why it was issued with days missing')),
                        ('digest', models.CharField(max_length=64, verbose_name='fingerprint')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('issued_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'cost statement',
                        'verbose_name_plural': 'cost statements',
                        'ordering': ('-month', 'pk'),
                        'constraints': [models.UniqueConstraint(fields=('customer', 'month'), name='statement_once_a_month'), models.CheckConstraint(condition=models.Q(('month__day', 1)), name='statement_of_a_month')],
                    },
                ),
                migrations.CreateModel(
                    name='StatementLine',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('product_code', models.CharField(max_length=60, verbose_name='product code')),
                        ('product_name', models.CharField(max_length=120, verbose_name='product')),
                        ('instance_id', models.CharField(blank=True, max_length=128, verbose_name='instance ID')),
                        ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                        ('charge', models.CharField(choices=[('usage', 'Use'), ('subscription', 'Subscription'), ('refund', 'Refund'), ('adjustment', 'Adjustment')], max_length=12, verbose_name='charge')),
                        ('cloud_cost', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='cost at Alibaba Cloud, CNY')),
                        ('markup', models.DecimalField(decimal_places=6, default=0, max_digits=18, verbose_name='mark-up, CNY')),
                        ('amount', models.DecimalField(decimal_places=6, max_digits=18, verbose_name='amount, CNY')),
                        ('is_offboarding', models.BooleanField(default=False, verbose_name='while leaving')),
                        ('asset', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('cloud_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('statement', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lines', to='costs.statement')),
                    ],
                    options={
                        'verbose_name': 'line of a cost statement',
                        'verbose_name_plural': 'lines of cost statements',
                        'ordering': ('product_code', 'instance_id', 'charge', 'pk'),
                        'constraints': [models.CheckConstraint(condition=models.Q(('amount', django.db.models.expressions.CombinedExpression(models.F('cloud_cost'), '+', models.F('markup')))), name='statement_line_adds_up'), models.CheckConstraint(condition=models.Q(('is_offboarding', False), ('markup', 0), _connector='OR'), name='leaving_is_passed_on_at_cost')],
                    },
                ),
                migrations.CreateModel(
                    name='BillDay',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('day', models.DateField(verbose_name='day')),
                        ('read_at', models.DateTimeField(blank=True, null=True, verbose_name='read at')),
                        ('next_due_at', models.DateTimeField(blank=True, null=True, verbose_name='read again at')),
                        ('cloud_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'day of a bill',
                        'verbose_name_plural': 'days of bills',
                        'ordering': ('-day', 'pk'),
                        'indexes': [models.Index(fields=['customer', 'day'], name='bill_day_by_customer')],
                        'constraints': [models.UniqueConstraint(fields=('cloud_account', 'day'), name='bill_day_once')],
                    },
                ),
                migrations.CreateModel(
                    name='BillDifference',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('day', models.DateField(verbose_name='day')),
                        ('product_code', models.CharField(max_length=60, verbose_name='product code')),
                        ('product_name', models.CharField(max_length=120, verbose_name='product')),
                        ('instance_id', models.CharField(blank=True, max_length=128, verbose_name='instance ID')),
                        ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                        ('charge', models.CharField(choices=[('usage', 'Use'), ('subscription', 'Subscription'), ('refund', 'Refund'), ('adjustment', 'Adjustment')], max_length=12, verbose_name='charge')),
                        ('issued', models.DecimalField(decimal_places=6, max_digits=16, verbose_name='as issued, CNY')),
                        ('said', models.DecimalField(decimal_places=6, max_digits=16, verbose_name='said later, CNY')),
                        ('seen_at', models.DateTimeField(verbose_name='seen at')),
                        ('cloud_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'difference to what was issued',
                        'verbose_name_plural': 'differences to what was issued',
                        'ordering': ('-seen_at', '-pk'),
                        'indexes': [models.Index(fields=['customer', 'day'], name='bill_difference_by_day')],
                    },
                ),
                migrations.CreateModel(
                    name='BillLine',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('day', models.DateField(verbose_name='day')),
                        ('product_code', models.CharField(max_length=60, verbose_name='product code')),
                        ('product_name', models.CharField(max_length=120, verbose_name='product')),
                        ('instance_id', models.CharField(blank=True, max_length=128, verbose_name='instance ID')),
                        ('charge', models.CharField(choices=[('usage', 'Use'), ('subscription', 'Subscription'), ('refund', 'Refund'), ('adjustment', 'Adjustment')], max_length=12, verbose_name='charge')),
                        ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                        ('region', models.CharField(blank=True, max_length=60, verbose_name='region')),
                        ('spec', models.CharField(blank=True, max_length=120, verbose_name='specification')),
                        ('amount', models.DecimalField(decimal_places=6, max_digits=16, verbose_name='payable, CNY')),
                        ('gross', models.DecimalField(decimal_places=6, max_digits=16, verbose_name='by the price list, CNY')),
                        ('items', models.JSONField(default=dict, verbose_name='items')),
                        ('asset', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('cloud_account', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'line of a bill',
                        'verbose_name_plural': 'lines of bills',
                        'ordering': ('-day', 'product_code', 'instance_id', 'pk'),
                        'indexes': [models.Index(fields=['customer', 'day'], name='bill_line_by_customer'), models.Index(condition=models.Q(('asset__isnull', False)), fields=['asset', 'day'], name='bill_line_by_asset'), models.Index(fields=['customer', 'instance_id', 'day'], name='bill_line_by_resource')],
                        'constraints': [models.UniqueConstraint(fields=('cloud_account', 'day', 'product_code', 'instance_id', 'charge'), name='bill_line_once'), models.CheckConstraint(condition=models.Q(('charge__in', ['usage', 'subscription', 'refund', 'adjustment'])), name='bill_charge_is_known')],
                    },
                ),
                migrations.CreateModel(
                    name='BillReading',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('began_at', models.DateTimeField(verbose_name='read since')),
                        ('next_due_at', models.DateTimeField(verbose_name='next due at')),
                        ('lease_until', models.DateTimeField(blank=True, null=True)),
                        ('read_at', models.DateTimeField(blank=True, null=True, verbose_name='last read')),
                        ('looked_at', models.DateTimeField(blank=True, null=True, verbose_name='looked for savings at')),
                        ('unjudged', models.JSONField(default=list, verbose_name='without figures to judge by')),
                        ('problem_code', models.CharField(blank=True, max_length=80)),
                        ('problem_detail', models.CharField(blank=True, max_length=400, verbose_name='what Alibaba Cloud said')),
                        ('problem_since', models.DateTimeField(blank=True, null=True, verbose_name='problem since')),
                        ('cloud_account', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.cloudaccount')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': 'reading of bills',
                        'verbose_name_plural': 'reading of bills',
                        'indexes': [models.Index(fields=['next_due_at'], name='bill_reading_due')],
                    },
                ),
                migrations.CreateModel(
                    name='CostAnomaly',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('product_code', models.CharField(max_length=60, verbose_name='product code')),
                        ('product_name', models.CharField(max_length=120, verbose_name='product')),
                        ('instance_id', models.CharField(blank=True, max_length=128, verbose_name='instance ID')),
                        ('name', models.CharField(blank=True, max_length=200, verbose_name='name')),
                        ('first_day', models.DateField(verbose_name='first day')),
                        ('last_day', models.DateField(verbose_name='last day')),
                        ('amount', models.DecimalField(decimal_places=2, max_digits=16, verbose_name='on the worst day, CNY')),
                        ('usual', models.DecimalField(decimal_places=2, max_digits=16, verbose_name='usually, CNY')),
                        ('excess', models.DecimalField(decimal_places=2, max_digits=16, verbose_name='above the usual in all, CNY')),
                        ('weeks', models.PositiveSmallIntegerField(verbose_name='weeks compared with')),
                        ('movers', models.JSONField(default=list, verbose_name='what rose most')),
                        ('state', models.CharField(choices=[('open', 'Not explained'), ('explained', 'Explained'), ('expected', 'Expected')], default='open', max_length=10, verbose_name='state')),
                        ('found_at', models.DateTimeField(verbose_name='found at')),
                        ('explained_at', models.DateTimeField(blank=True, null=True, verbose_name='explained at')),
                        ('note', models.CharField(blank=True, max_length=1000, verbose_name='explanation')),
                        ('asset', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('explained_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'cost anomaly',
                        'verbose_name_plural': 'cost anomalies',
                        'ordering': ('-last_day', '-pk'),
                        'constraints': [models.UniqueConstraint(fields=('customer', 'product_code', 'instance_id', 'first_day'), name='cost_anomaly_once'), models.CheckConstraint(condition=models.Q(('last_day__gte', models.F('first_day'))), name='cost_anomaly_goes_on'), models.CheckConstraint(condition=models.Q(('state', 'open'), models.Q(models.Q(('note', ''), _negated=True), ('explained_by__isnull', False)), _connector='OR'), name='cost_anomaly_says_who_explained_it')],
                    },
                ),
                migrations.CreateModel(
                    name='CostThreshold',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('deviations', models.DecimalField(decimal_places=1, max_digits=4, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(50)], verbose_name='deviations')),
                        ('percent', models.PositiveIntegerField(validators=[django.core.validators.MaxValueValidator(1000)], verbose_name='percent above the usual')),
                        ('amount', models.DecimalField(decimal_places=2, max_digits=10, validators=[django.core.validators.MinValueValidator(Decimal('0')), django.core.validators.MaxValueValidator(Decimal('10000000'))], verbose_name='yuan above the usual')),
                        ('changed_at', models.DateTimeField(verbose_name='changed at')),
                        ('changed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                    ],
                    options={
                        'verbose_name': "threshold of a customer's cost",
                        'verbose_name_plural': "thresholds of customers' cost",
                        'constraints': [models.UniqueConstraint(fields=('customer',), name='cost_threshold_once')],
                    },
                ),
                migrations.CreateModel(
                    name='SavingProposal',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('kind', models.CharField(choices=[('idle', 'Idle'), ('oversized', 'Larger than needed'), ('disk', 'Disk that hangs on nothing'), ('eip', 'Address that hangs on nothing'), ('stopped', 'Stopped and still paid for'), ('other', 'Other proposal')], max_length=12, verbose_name='kind')),
                        ('instance_id', models.CharField(blank=True, max_length=128, verbose_name='instance ID')),
                        ('title', models.CharField(max_length=200, verbose_name='title')),
                        ('text', models.TextField(blank=True, verbose_name='what is recommended')),
                        ('facts', models.JSONField(default=dict, verbose_name='evidence')),
                        ('monthly', models.DecimalField(blank=True, decimal_places=2, max_digits=14, null=True, verbose_name='saving a month, CNY')),
                        ('baseline', models.DecimalField(blank=True, decimal_places=4, max_digits=14, null=True, verbose_name='cost a day before, CNY')),
                        ('state', models.CharField(choices=[('proposed', 'Proposed'), ('accepted', 'Accepted'), ('rejected', 'Rejected'), ('done', 'Done'), ('obsolete', 'No longer so')], default='proposed', max_length=10, verbose_name='state')),
                        ('proposed_at', models.DateTimeField(verbose_name='proposed at')),
                        ('seen_at', models.DateTimeField(verbose_name='last found so')),
                        ('decided_at', models.DateTimeField(blank=True, null=True, verbose_name='decided at')),
                        ('reason', models.CharField(blank=True, max_length=1000, verbose_name='reason')),
                        ('done_at', models.DateTimeField(blank=True, null=True, verbose_name='done at')),
                        ('result', models.CharField(blank=True, max_length=1000, verbose_name='what was done')),
                        ('announcement', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.announcementcopy', verbose_name='announcement')),
                        ('asset', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset')),
                        ('change', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='changes.change')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('done_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('proposed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'saving proposal',
                        'verbose_name_plural': 'saving proposals',
                        'ordering': ('-proposed_at', '-pk'),
                        'indexes': [models.Index(fields=['customer', 'state'], name='saving_by_state')],
                        'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', (costs.states.State['PROPOSED'], costs.states.State['ACCEPTED'])), models.Q(('kind', 'other'), _negated=True)), fields=('customer', 'kind', 'instance_id'), name='saving_proposed_once'), models.CheckConstraint(condition=models.Q(models.Q(('state__in', ('accepted', 'rejected')), _negated=True), ('decided_by__isnull', False), _connector='OR'), name='saving_decision_has_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'rejected'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='saving_rejection_has_a_reason'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), models.Q(('done_at__isnull', False), ('done_by__isnull', False)), _connector='OR'), name='saving_done_by_somebody')],
                    },
                ),
            ],
        ),
    ]
