"""The form of the ladder: days before the end, and the hour of notices."""

from __future__ import annotations

import re

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from assets.expiry import checked_rungs


class LadderForm(forms.Form):
    rungs = forms.CharField(
        label=_("Days before the end"),
        max_length=80,
        help_text=_("Numbers with commas between them, such as 30, 15, 7, 3, 1. Each is told once."),
    )
    hour = forms.IntegerField(
        label=_("Not before this hour"),
        min_value=0,
        max_value=23,
        help_text=_("In the customer's own time: nobody is woken by something that ends in a month."),
    )

    def clean_rungs(self) -> list[int]:
        parts = [part for part in re.split(r"[\s,，、;；]+", self.cleaned_data["rungs"]) if part]
        try:
            return checked_rungs(int(part[:6]) for part in parts)
        except ValueError:
            raise ValidationError(_("Enter one to twelve numbers of days between 1 and 365."), code="rungs") from None
