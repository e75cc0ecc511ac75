import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('bastion', '0002_access_recordings_hardening'),
    ]

    operations = [
        migrations.CreateModel(
            name='NodeErrand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=20)),
                ('taken', models.BigIntegerField(default=0, verbose_name='number taken last')),
                ('taken_at', models.DateTimeField(blank=True, null=True, verbose_name='taken last at')),
                ('refused', models.PositiveIntegerField(default=0, verbose_name='could not be read')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
                ('node', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='errands', to='bastion.node')),
            ],
            options={
                'verbose_name': 'errand of a node',
                'verbose_name_plural': 'errands of nodes',
                'ordering': ('node', 'kind'),
                'constraints': [models.UniqueConstraint(fields=('node', 'kind'), name='node_errand_once')],
            },
        ),
    ]
