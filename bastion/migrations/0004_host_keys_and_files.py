import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

from accounts.postgres.operations import Together


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('bastion', '0003_node_errands'),
        ('incidents', '0002_statistics'),
    ]

    operations = [
        Together(
            operations=[
                migrations.AddField(
                    model_name='hostkeysighting',
                    name='incident',
                    field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='incidents.incident'),
                ),
                migrations.AddField(
                    model_name='hostkeysighting',
                    name='alarm_over_at',
                    field=models.DateTimeField(blank=True, help_text='When the server answered with the confirmed key again.', null=True, verbose_name='known key again at'),
                ),
                migrations.AddField(
                    model_name='filetransfer',
                    name='size_back',
                    field=models.BigIntegerField(blank=True, help_text='Of rsync, whose bytes are those on the wire.', null=True, verbose_name='bytes the other way'),
                ),
                migrations.AddField(
                    model_name='filetransfer',
                    name='exit_status',
                    field=models.IntegerField(blank=True, null=True, verbose_name='exit status'),
                ),
                migrations.AddField(
                    model_name='recordingpolicy',
                    name='copies_mb',
                    field=models.PositiveSmallIntegerField(default=0, help_text='Megabytes. 0: no copies are kept.', validators=[django.core.validators.MaxValueValidator(512)], verbose_name='copies of files up to'),
                ),
                migrations.CreateModel(
                    name='FileCopyPart',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('copy', models.PositiveIntegerField(verbose_name='copy')),
                        ('number', models.PositiveIntegerField(verbose_name='number')),
                        ('file', models.CharField(max_length=200, verbose_name='file')),
                        ('size', models.PositiveIntegerField(verbose_name='bytes')),
                        ('arrived_at', models.DateTimeField(verbose_name='arrived at')),
                        ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                        ('session', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='copies', to='bastion.bastionsession')),
                    ],
                    options={
                        'verbose_name': 'part of a copied file',
                        'verbose_name_plural': 'parts of copied files',
                        'ordering': ('session', 'copy', 'number'),
                        'constraints': [models.UniqueConstraint(fields=('session', 'copy', 'number'), name='file_copy_part_once')],
                    },
                ),
            ],
        ),
    ]
