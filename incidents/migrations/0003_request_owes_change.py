from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('incidents', '0002_statistics'),
    ]

    operations = [
        migrations.AddField(
            model_name='servicerequest',
            name='owes_change',
            field=models.BooleanField(default=False, help_text='Its operation changes something, and no change that came of it is closed yet.', verbose_name='a change is still owed'),
        ),
    ]
