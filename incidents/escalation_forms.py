"""Escalation policies as people type them: the terms of the whole, and one row a step."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Severity, SlaTerm, User
from accounts.models.people import PROVIDER_ROLES
from incidents import escalation
from incidents.escalation import Policy, Step, Who
from incidents.models import Target

MEDIA: Final[tuple[tuple[str, str | Promise], ...]] = (
    ("inbox", _("in-app message")),
    ("push", _("push")),
    ("email", _("e-mail")),
    ("sms", _("SMS")),
    ("voice", _("phone call")),
)
LEVELS: Final = {severity.name.lower(): severity for severity in Severity}
"""How a severity is called in an address."""
BLANK_ROWS: Final = 2


class TermsForm(forms.Form):
    hours = forms.ChoiceField(
        label=_("Time is counted"),
        choices=SlaTerm.HandlingCalendar.choices,
        help_text=_("5 × 8: minutes count while the customer's business calendar works, with its 调休."),
    )
    rounds = forms.IntegerField(label=_("Rounds"), min_value=1, max_value=escalation.MOST_ROUNDS)
    round_minutes = forms.IntegerField(
        label=_("A round every, minutes"), min_value=1, max_value=escalation.LONGEST_MINUTES
    )
    reason = forms.CharField(label=_("Reason of the change"), max_length=200)


class StepForm(forms.Form):
    after_minutes = forms.IntegerField(
        label=_("After, minutes"), min_value=0, max_value=escalation.LONGEST_MINUTES, required=False
    )
    who = forms.ChoiceField(label=_("Who is called"), choices=[("", "—"), *Target.choices], required=False)
    ways = forms.MultipleChoiceField(label=_("How"), choices=MEDIA, widget=forms.CheckboxSelectMultiple, required=False)
    people: forms.ModelMultipleChoiceField[User] = forms.ModelMultipleChoiceField(
        queryset=None, label=_("Named people"), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.use_required_attribute = False
        named = self.fields["people"]
        assert isinstance(named, forms.ModelMultipleChoiceField)  # noqa: S101 - declared above
        named.queryset = User.objects.filter(role__in=PROVIDER_ROLES, is_active=True)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("who") and data.get("after_minutes") is None and "after_minutes" not in self.errors:
            self.add_error("after_minutes", _("After how many minutes?"))
        return data

    def step(self) -> Step | None:
        """What was typed, or None for a row that was left empty or is to go."""
        data = self.cleaned_data
        if not data.get("who") or data.get("DELETE"):
            return None
        who = Who(data["who"])
        people = tuple(person.pk for person in data["people"]) if who is Who.PEOPLE else ()
        return Step(data["after_minutes"], who, tuple(data["ways"]), people)


StepFormSet = forms.formset_factory(
    StepForm, extra=BLANK_ROWS, can_delete=True, max_num=escalation.MOST_STEPS, absolute_max=escalation.MOST_STEPS + 8
)


def typed(terms: TermsForm, rows: Any) -> Policy:
    """The policy that valid forms describe; whether it can be is for `escalation.problems` to say."""
    said = terms.cleaned_data
    steps = [step for step in (row.step() for row in rows) if step is not None]
    return Policy(escalation.in_order(steps), said["hours"], said["rounds"], said["round_minutes"])


def initial_of(policy: Policy) -> tuple[dict[str, object], list[dict[str, object]]]:
    """What the forms show of a policy."""
    terms: dict[str, object] = {
        "hours": policy.hours,
        "rounds": policy.rounds,
        "round_minutes": policy.round_minutes,
    }
    return terms, [step.as_json() | {"ways": list(step.media)} for step in policy.steps]
