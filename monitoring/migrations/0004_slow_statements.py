
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('assets', '0001_initial'),
        ('monitoring', '0003_targets_that_nodes_ask'),
    ]

    operations = [
        migrations.CreateModel(
            name='SlowStatement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(verbose_name='day')),
                ('database', models.CharField(blank=True, max_length=64, verbose_name='schema')),
                ('digest', models.CharField(max_length=64)),
                ('text', models.TextField(verbose_name='SQL statement')),
                ('count', models.PositiveBigIntegerField(verbose_name='times')),
                ('total_s', models.FloatField(verbose_name='altogether')),
                ('longest_s', models.FloatField(verbose_name='longest')),
                ('rows_examined', models.PositiveBigIntegerField(verbose_name='rows examined')),
                ('asset', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='assets.asset', verbose_name='asset')),
                ('customer', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.customer')),
            ],
            options={
                'verbose_name': 'slow statement',
                'verbose_name_plural': 'slow statements',
                'constraints': [models.UniqueConstraint(fields=('asset', 'day', 'database', 'digest'), name='slow_statement_once_a_day')],
            },
        ),
    ]
