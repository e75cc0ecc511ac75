"""What people say when they put incidents together or take them apart."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.models import Severity
from incidents.models import Incident, IncidentAlert


class IncidentChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # takes its argument in the stubs only
    """Unsolved incidents of the same customer, each by number, severity and title."""

    def __init__(self, rows: QuerySet[Incident], **options: Any) -> None:
        super().__init__(rows, empty_label=_("Choose …"), **options)

    def label_from_instance(self, incident: Incident) -> str:
        return f"{incident.number} · {Severity(incident.severity).label} · {incident.title[:70]}"


class GroupForm(forms.Form):
    def __init__(self, *args: Any, incident: Incident, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["parent"] = IncidentChoice(
            others(incident).standing_alone(),
            label=_("Under which incident?"),
            help_text=_("That one is the cause or the greater trouble. It alone calls people; its clocks count."),
        )


class MergeForm(forms.Form):
    def __init__(self, *args: Any, incident: Incident, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["into"] = IncidentChoice(
            others(incident),
            label=_("Of which incident is this a duplicate?"),
            help_text=_("This one is closed; its alerts and assets move, its talk and files are shown there."),
        )
        self.fields["reason"] = forms.CharField(
            label=_("Why are they the same?"),
            required=False,
            max_length=2000,
            widget=forms.Textarea(attrs={"rows": 2}),
        )


class SplitForm(forms.Form):
    def __init__(self, *args: Any, incident: Incident, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["alerts"] = forms.ModelMultipleChoiceField(
            IncidentAlert.objects.filter(incident=incident),
            label=_("Alerts that are another trouble"),
            widget=forms.CheckboxSelectMultiple,
        )
        self.fields["title"] = forms.CharField(
            label=_("Title of the new incident"),
            required=False,
            max_length=200,
            help_text=_("Empty: that of the first alert."),
        )


def others(incident: Incident) -> Any:
    """The unsolved incidents that this one may be put together with, the newest first."""
    rows = Incident.objects.unsolved().filter(customer=incident.customer_id).exclude(pk=incident.pk)
    same_side = rows.filter(kind="internal") if incident.kind == "internal" else rows.exclude(kind="internal")
    return same_side.order_by("-opened_at")
