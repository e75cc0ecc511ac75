"""The shape of what people type about reports; what it means is decided in the services."""

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from reports.services.writing import LONGEST


class PartForm(forms.Form):
    text = forms.CharField(required=False, max_length=LONGEST, strip=False)
    revision = forms.IntegerField(required=False)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 4, "autofocus": True})
    )


class SignForm(forms.Form):
    read = forms.BooleanField(label=_("I have read all parts and sign this content."))


class SendForm(forms.Form):
    """To whom; the usual ones are ticked."""

    def __init__(self, *args: Any, people: Sequence[User], usual: Iterable[int], **options: Any) -> None:
        super().__init__(*args, **options)
        self.people = {person.pk: person for person in people}
        self.fields["people"] = forms.TypedMultipleChoiceField(
            label=_("Send to"),
            choices=[(person.pk, f"{person.name} · {person.email}") for person in people],
            coerce=int,
            widget=forms.CheckboxSelectMultiple,
            initial=[pk for pk in usual if pk in self.people],
        )

    def chosen(self) -> list[User]:
        return [self.people[pk] for pk in self.cleaned_data["people"]]
