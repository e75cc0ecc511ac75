from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('changes', '0002_transfers'),
    ]

    operations = [
        migrations.AddField(
            model_name='operationrun',
            name='is_backup',
            field=models.BooleanField(default=False, help_text="Not the change's own operation, but the backup that its gate waits for."),
        ),
    ]
