from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('bastion', '0008_moves_of_files'),
    ]

    operations = [
        migrations.AddField(
            model_name='bastionsession',
            name='forwards',
            field=models.JSONField(default=list, editable=False),
        ),
    ]
