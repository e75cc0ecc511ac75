from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('bastion', '0007_audit_receivers'),
    ]

    operations = [
        migrations.AddField(
            model_name='bastionsession',
            name='forwards',
            field=models.JSONField(default=list, editable=False),
        ),
    ]
