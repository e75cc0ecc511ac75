import django.db.models.deletion
from django.db import migrations, models

from accounts.postgres.operations import Together


class Migration(migrations.Migration):

    dependencies = [
        ('bastion', '0002_access_recordings_hardening'),
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
            ],
        ),
    ]
