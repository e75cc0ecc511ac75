"""URL checks of earlier versions: headers and body, which no form could fill, are secrets of the target now."""

from django.db import migrations

WITHOUT_EMPTY_SECRETS = "UPDATE monitoring_target SET config = config - 'body' - 'headers' WHERE kind = 'http'"


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0005_outgoing")]

    operations = [migrations.RunSQL(WITHOUT_EMPTY_SECRETS, migrations.RunSQL.noop)]
