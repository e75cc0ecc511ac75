import accounts.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('monitoring', '0002_samples'),
    ]

    operations = [
        accounts.postgres.operations.Together(
            operations=[
                migrations.AddField(
                    model_name='target',
                    name='through',
                    field=models.CharField(choices=[('direct', 'From the platform'), ('node', "Through a node in the customer's network")], default='direct', max_length=8, verbose_name='way there'),
                ),
                migrations.AddConstraint(
                    model_name='target',
                    constraint=models.CheckConstraint(condition=models.Q(('through', 'direct'), models.Q(('kind__in', ('cms', 'domain')), _negated=True), _connector='OR'), name='target_that_a_node_can_ask'),
                ),
            ],
        ),
    ]
