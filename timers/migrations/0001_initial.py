import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Timer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200, unique=True, verbose_name='key')),
                ('due_at', models.DateTimeField(verbose_name='due at')),
                ('task', models.CharField(max_length=120, verbose_name='task')),
                ('args', models.JSONField(default=dict, verbose_name='arguments')),
                ('leased_until', models.DateTimeField(blank=True, null=True, verbose_name='leased until')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('last_error', models.TextField(blank=True, verbose_name='last error')),
                ('fired_at', models.DateTimeField(blank=True, null=True, verbose_name='fired at')),
                ('customer', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
            ],
            options={
                'verbose_name': 'timer',
                'verbose_name_plural': 'timers',
                'ordering': ('due_at', 'pk'),
                'indexes': [models.Index(condition=models.Q(('fired_at', None)), fields=['due_at'], name='timer_pending_by_due')],
            },
        ),
    ]
