"""Putting incidents together and taking them apart, as verbs of the incident's page."""

from datetime import datetime

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from incidents import services
from incidents.forms_grouping import GroupForm, MergeForm, SplitForm
from incidents.models import Incident
from incidents.states import Verb
from incidents.views.pressing import Press, Said


def _split(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return services.split(incident=incident, alerts=list(said["alerts"]), title=said["title"], actor=actor, now=now)


def _merge(incident: Incident, said: Said, actor: User, now: datetime) -> object:
    return services.merge(duplicate=incident, into=said["into"], reason=said["reason"], actor=actor, now=now)


GROUPING = (
    Press(
        Verb.GROUP,
        _("Group under another incident"),
        _("Group"),
        _("Grouped: the other incident calls people, and its clocks count."),
        lambda data, incident: GroupForm(data, incident=incident),
        lambda incident, said, actor, now: services.group(
            incident=incident, parent=said["parent"], actor=actor, now=now
        ),
    ),
    Press(
        Verb.DETACH,
        _("Let it stand alone"),
        _("Let it stand alone"),
        _("It stands alone: its own clocks run again."),
        lambda data, _incident: forms.Form(data),
        lambda incident, _said, actor, now: services.detach(incident=incident, actor=actor, now=now),
    ),
    Press(
        Verb.MERGE,
        _("Close as a duplicate"),
        _("Merge"),
        _("Merged: alerts and assets have moved. This can be undone within seven days."),
        lambda data, incident: MergeForm(data, incident=incident),
        _merge,
    ),
    Press(
        Verb.UNMERGE,
        _("Undo the merge"),
        _("Undo the merge"),
        _("Taken apart: its clocks run as before."),
        lambda data, _incident: forms.Form(data),
        lambda incident, _said, actor, now: services.unmerge(incident=incident, actor=actor, now=now),
    ),
    Press(
        Verb.SPLIT,
        _("Split alerts off"),
        _("Split off"),
        _("The alerts have an incident of their own."),
        lambda data, incident: SplitForm(data, incident=incident),
        _split,
    ),
)
