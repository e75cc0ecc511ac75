"""What people say about events of the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from changes.models import Change


class BelongsForm(forms.Form):
    change: forms.ModelChoiceField[Change] = forms.ModelChoiceField(
        queryset=None,
        label=pgettext_lazy("noun", "Change"),
        help_text=_("Those on the same asset come first, then the nearest in time."),
        error_messages={"invalid_choice": _("Please choose one of the changes.")},
    )

    def __init__(self, data: Any = None, *, changes: Iterable[Change]) -> None:
        super().__init__(data)
        offered = list(changes)
        chosen = self.fields["change"]
        assert isinstance(chosen, forms.ModelChoiceField)  # noqa: S101 - as declared above
        chosen.queryset = Change.objects.filter(pk__in=[change.pk for change in offered])
        chosen.choices = [("", "---------"), *((change.pk, str(change)) for change in offered)]


class HarmlessForm(forms.Form):
    reason = forms.CharField(
        label=_("How is it known to be harmless?"), max_length=400, widget=forms.Textarea({"rows": 3})
    )


class KnownForm(forms.Form):
    name = forms.CharField(
        label=_("RAM user or role"),
        max_length=128,
        help_text=_("As the audit trail writes it, without the part after @."),
    )
    person = forms.CharField(label=_("Who that is"), max_length=120)
