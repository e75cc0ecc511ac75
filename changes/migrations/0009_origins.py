from django.db import migrations, models

from assets.origins import origin_of


def name_the_countries(apps, _schema_editor):
    """Sign-ins that were stored with their networks get their countries, so that none of these is called new."""
    event = apps.get_model("changes", "TrailEvent")
    sign_ins = event.objects.filter(action="ConsoleSignin")
    for address in sign_ins.values_list("source_ip", flat=True).distinct():
        sign_ins.filter(source_ip=address).update(origin=origin_of(address))


class Migration(migrations.Migration):
    dependencies = [("changes", "0008_recurring_duties")]

    operations = [
        migrations.RenameField("trailevent", "network", "origin"),
        migrations.AlterField(
            "trailevent",
            "origin",
            models.CharField(blank=True, max_length=64, verbose_name="from country or network"),
        ),
        migrations.RunPython(name_the_countries, migrations.RunPython.noop),
    ]
