from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('assets', '0002_cloud_memcache'),
    ]

    operations = [
        migrations.AddField(
            model_name='sshaccess',
            name='legacy_algorithms',
            field=models.BooleanField(default=False, verbose_name='old algorithms are spoken'),
        ),
    ]
