"""How a customer's contacts are told, as people choose it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Contact, Severity
from notify.models import Delivery, NotificationPolicy
from notify.services.policies import MEDIUMS, Plan


class PolicyForm(forms.Form):
    contacts = forms.MultipleChoiceField(
        label=_("Contacts"),
        choices=Contact.Kind.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text=_(
            "They are called in this order: primary before secondary, service contacts before project managers."
        ),
    )
    mediums = forms.MultipleChoiceField(
        label=_("By"),
        choices=[(name, Delivery.Medium(name).label) for name in MEDIUMS],
        widget=forms.CheckboxSelectMultiple,
    )
    with_progress = forms.BooleanField(label=_("Every step, not the opening alone"), required=False)
    until_reached = forms.BooleanField(label=_("Call again until somebody is reached"), required=False)
    repeat_minutes = forms.IntegerField(label=_("Minutes between rounds of calls"), min_value=5, max_value=240)
    hours = forms.ChoiceField(label=_("When"), choices=NotificationPolicy.Hours.choices)

    ORDER = ("primary", "secondary", "first_pm", "second_pm")

    def __init__(self, data: Any = None, *, plan: Plan, severity: Severity) -> None:
        names = ("with_progress", "until_reached", "repeat_minutes", "hours")
        initial = {name: getattr(plan, name) for name in names}
        super().__init__(data, initial={**initial, "contacts": list(plan.contacts), "mediums": list(plan.mediums)})
        if severity == Severity.DISASTER:
            del self.fields["hours"]

    @property
    def plan(self) -> Plan:
        """What was chosen, with the contacts in the order in which they are called."""
        chosen = self.cleaned_data
        return Plan(
            contacts=tuple(kind for kind in self.ORDER if kind in chosen["contacts"]),
            mediums=tuple(name for name in MEDIUMS if name in chosen["mediums"]),
            with_progress=chosen["with_progress"],
            until_reached=chosen["until_reached"],
            repeat_minutes=chosen["repeat_minutes"],
            hours=chosen.get("hours", NotificationPolicy.Hours.ALWAYS.value),
        )
