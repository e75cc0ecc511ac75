"""What people say about violations, faults, causes and third parties."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from assets.models import Asset
from incidents.forms import LOCAL_TIME
from incidents.models import CauseNotice, Fault, FaultDecision, Incident, ThirdPartyTime, Violation

FORMATS = [LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"]


def moment(label: Any, *, required: bool = True, help_text: Any = "") -> forms.DateTimeField:
    """A local moment; it begins with now."""
    return forms.DateTimeField(
        label=label,
        required=required,
        input_formats=FORMATS,
        help_text=help_text,
        initial=timezone.localtime if required else None,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
    )


class ViolationForm(forms.Form):
    side = forms.ChoiceField(label=_("Which side?"), choices=Violation.Side.choices, widget=forms.RadioSelect)
    rule = forms.ChoiceField(label=_("Rule"), choices=Violation.Rule.choices)
    who = forms.CharField(label=_("Who?"), max_length=120)
    what = forms.CharField(label=_("What happened?"), max_length=8000, widget=forms.Textarea(attrs={"rows": 4}))
    happened_at = moment(_("When?"))
    evidence = forms.CharField(
        label=_("Evidence"),
        required=False,
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Where it can be seen: a chat message, a session, a log line."),
    )
    file = forms.FileField(label=_("Evidence as a file"), required=False)
    consequence = forms.CharField(
        label=_("Consequence"),
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        initial=_("What follows from it is the responsibility of the side named above (annex 1, clause 3.2)."),
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["asset"] = forms.ModelChoiceField(
            Asset.objects.active().filter(customer=customer).order_by("name"),
            label=_("Asset"),
            required=False,
            empty_label="—",
        )
        self.fields["incident"] = forms.CharField(
            label=_("Incident"), required=False, max_length=20, help_text=_("Its number, such as INC-000123.")
        )
        self._customer = customer
        self.order_fields(["side", "rule", "who", "what", "happened_at", "asset", "incident"])

    def clean_incident(self) -> Incident | None:
        number = self.cleaned_data["incident"].strip().upper().removeprefix("INC-")
        if not number:
            return None
        rows = Incident.objects.for_both_sides().filter(customer=self._customer)
        found = rows.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 15 else None
        if found is None:
            raise forms.ValidationError(_("There is no such incident."))
        return found


class AgreeForm(forms.Form):
    """Acknowledge or dispute; the words belong to the second."""

    answer = forms.ChoiceField(choices=[*Violation.Answer.choices], widget=forms.HiddenInput)
    words = forms.CharField(
        label=_("Your words"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("answer") == CauseNotice.Answer.DISPUTED and not (said.get("words") or "").strip():
            self.add_error("words", _("Please write what you see otherwise."))
        return said


class ProposeFaultForm(forms.Form):
    def __init__(self, *args: Any, incident: Incident, **options: Any) -> None:
        super().__init__(*args, **options)
        running = Fault.objects.filter(customer=incident.customer_id, decided_at=None).exclude(incidents=incident)
        self.fields["fault"] = forms.ModelChoiceField(
            running, label=_("Review"), required=False, empty_label=_("Begin a new review")
        )
        self.fields["title"] = forms.CharField(label=_("Title"), max_length=200, initial=incident.title)
        self.fields["summary"] = forms.CharField(
            label=_("What happened technically?"), max_length=8000, widget=forms.Textarea(attrs={"rows": 4})
        )


class DecideForm(forms.Form):
    verdict = forms.ChoiceField(
        label=_("Was it a fault?"), choices=FaultDecision.Verdict.choices, widget=forms.RadioSelect
    )
    words = forms.CharField(label=_("Your reasons"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))


class HandOverForm(forms.Form):
    party = forms.ChoiceField(label=_("With whom?"), choices=ThirdPartyTime.Party.choices, widget=forms.RadioSelect)
    name = forms.CharField(label=_("Name"), required=False, max_length=120, help_text=_("Of another third party."))
    ticket = forms.CharField(label=_("Ticket number"), required=False, max_length=80)
    started_at = moment(_("From"))
    note = forms.CharField(label=_("Note"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2}))


class TakeBackForm(forms.Form):
    def __init__(self, *args: Any, incident: Incident, **options: Any) -> None:
        super().__init__(*args, **options)
        rows = ThirdPartyTime.objects.filter(incident=incident, ended_at=None)
        self.fields["stretch"] = forms.ModelChoiceField(rows, label=_("From whom?"), initial=rows.first())
        self.fields["answered_at"] = moment(_("Their first answer"), required=False)
        self.fields["ended_at"] = moment(_("Until"))
        self.fields["note"] = forms.CharField(
            label=_("Note"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
        )
