from django.db import migrations, models


def name_the_writers(apps, _schema_editor):
    """Changes that were drafted before their writers were kept get those that their timelines name."""
    change = apps.get_model("changes", "Change")
    entries = apps.get_model("changes", "ChangeEntry").objects.filter(kind__in=("created", "edited"))
    writers = {}
    for change_id, actor_id, kind, data in entries.values_list("change_id", "actor_id", "kind", "data"):
        if actor_id is not None and (kind == "created" or "fields" in data):
            writers.setdefault(change_id, set()).add(actor_id)
    for change_id, people in writers.items():
        change.objects.filter(pk=change_id).update(writers=sorted(people))


class Migration(migrations.Migration):

    dependencies = [
        ("changes", "0004_backup_policies"),
    ]

    operations = [
        migrations.AddField(
            model_name="change",
            name="writers",
            field=models.JSONField(default=list, help_text="Who drafted it, and who rewrote it.", verbose_name="written by"),
        ),
        migrations.RunPython(name_the_writers, migrations.RunPython.noop),
    ]
