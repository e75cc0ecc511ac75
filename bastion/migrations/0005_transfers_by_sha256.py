"""Files are found by their SHA-256 among millions."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("bastion", "0004_host_keys_and_files")]

    operations = [
        migrations.AddIndex(
            model_name="filetransfer",
            index=models.Index(fields=("sha256",), condition=~Q(sha256=""), name="session_transfer_by_sha256"),
        ),
    ]
