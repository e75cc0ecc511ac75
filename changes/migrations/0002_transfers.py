import accounts.postgres.operations
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('changes', '0001_initial'),
        ('incidents', '0002_statistics'),
    ]

    operations = [
        accounts.postgres.operations.Together(
            operations=[
                migrations.CreateModel(
                    name='OwnershipTransfer',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('method', models.CharField(choices=[('account', 'a) The customer takes over the accounts'), ('data', "b) The data moves to the customer's network"), ('deletion', 'c) The listed resources are deleted'), ('other', 'd) Another way, set down in writing')], max_length=10, verbose_name='way')),
                        ('trigger', models.CharField(choices=[('ended', 'The agreement ends'), ('suspended', "The customer's licence is suspended by an act or omission of ours")], default='ended', max_length=10, verbose_name='why')),
                        ('recipient_name', models.CharField(max_length=120, verbose_name='taken over by')),
                        ('recipient_email', models.EmailField(max_length=254, verbose_name='their e-mail')),
                        ('agreed_with', models.CharField(help_text="The customer's project manager.", max_length=120, verbose_name='agreed with')),
                        ('details', models.TextField(verbose_name='what exactly')),
                        ('state', models.CharField(choices=[('draft', 'Draft'), ('authorising', 'Waits for the authorisation'), ('under_way', 'Under way'), ('accepting', 'Waits for the acceptance'), ('accepted', 'Accepted, to be erased'), ('erased', 'Erased'), ('cancelled', 'Cancelled')], default='draft', max_length=12, verbose_name='state')),
                        ('created_at', models.DateTimeField(verbose_name='created at')),
                        ('transferred_at', models.DateTimeField(blank=True, null=True, verbose_name='transferred at')),
                        ('accepted_at', models.DateTimeField(blank=True, null=True, verbose_name='accepted at')),
                        ('erase_by', models.DateField(blank=True, null=True, verbose_name='kept until')),
                        ('erased_at', models.DateTimeField(blank=True, null=True, verbose_name='erased at')),
                        ('erased_words', models.TextField(blank=True, verbose_name='what was erased, and how one saw it')),
                        ('cancelled_because', models.CharField(blank=True, max_length=300, verbose_name='why it was cancelled')),
                        ('acceptance', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.attestation')),
                        ('authorisation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.attestation')),
                        ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('erased_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('transferred_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                    ],
                    options={
                        'verbose_name': 'transfer of ownership',
                        'verbose_name_plural': 'transfers of ownership',
                        'ordering': ('-created_at', '-pk'),
                        'constraints': [models.UniqueConstraint(condition=models.Q(('state__in', ('erased', 'cancelled')), _negated=True), fields=('customer',), name='one_transfer_at_a_time', violation_error_message='A transfer of this customer is under way already.'), models.CheckConstraint(condition=models.Q(('state__in', ('draft', 'authorising', 'under_way', 'cancelled')), models.Q(('erase_by__isnull', False), ('transferred_at__isnull', False)), _connector='OR'), name='transfer_that_is_done_has_its_day'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'erased'), _negated=True), models.Q(('accepted_at__isnull', False), models.Q(('erased_words', ''), _negated=True)), _connector='OR'), name='erasure_follows_the_acceptance')],
                    },
                ),
                migrations.CreateModel(
                    name='TransferStep',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('code', models.CharField(max_length=20)),
                        ('evidence', models.TextField(verbose_name='what shows it')),
                        ('at', models.DateTimeField(verbose_name='at')),
                        ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('transfer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='changes.ownershiptransfer')),
                    ],
                    options={
                        'verbose_name': 'step of a transfer',
                        'verbose_name_plural': 'steps of transfers',
                        'ordering': ('at', 'pk'),
                    },
                ),
            ],
        ),
    ]
