"""The shape of what people type about follow-ups; what it means is decided in the services."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from incidents.follow_up_states import Verb
from incidents.services.following_up import LONGEST


class FollowUpForm(forms.Form):
    title = forms.CharField(
        label=_("What is to be done?"), max_length=200, widget=forms.TextInput(attrs={"autofocus": True})
    )
    owner = forms.TypedChoiceField(label=_("Owner"), coerce=int)
    due_on = forms.DateField(
        label=_("Due on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("The owner is reminded the day before and on the day."),
    )
    detail = forms.CharField(
        label=_("Details"), required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 4})
    )
    is_internal = forms.BooleanField(label=_("Internal: the customer does not see it"), required=False)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, people: Sequence[User], asks_internal: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        self.people = {person.pk: person for person in people}
        owner = self.fields["owner"]
        assert isinstance(owner, forms.TypedChoiceField)  # noqa: S101 - narrows the type
        owner.choices = [("", "—"), *_by_side(people)]
        if not asks_internal:
            del self.fields["is_internal"]

    def clean_owner(self) -> User:
        return self.people[self.cleaned_data["owner"]]


class ResultForm(forms.Form):
    """What was done, or why it is dropped."""

    text = forms.CharField(max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 4, "autofocus": True}))

    def __init__(self, *args: Any, verb: Verb, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["text"].label = _("What was done?") if verb is Verb.FINISH else _("Why is it dropped?")


def _by_side(people: Sequence[User]) -> list[tuple[Any, list[tuple[int, str]]]]:
    sides = ((_("Provider"), True), (_("Customer"), False))
    groups = [(label, [(one.pk, one.name) for one in people if one.is_provider is side]) for label, side in sides]
    return [(label, choices) for label, choices in groups if choices]
