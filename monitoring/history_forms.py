"""Forms about history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from assets.models import Asset
from monitoring.models import Retention

if TYPE_CHECKING:  # only type checkers know that a ModelForm has a parameter
    RetentionBase = forms.ModelForm[Retention]
else:
    RetentionBase = forms.ModelForm


class RetentionForm(RetentionBase):
    class Meta:
        model = Retention
        fields = ("points_days", "steps_days", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if (cleaned.get("points_days") or 0) > (cleaned.get("steps_days") or 0):
            self.add_error("steps_days", _("At least as long as every sample."))
        return cleaned


class SourceForm(forms.Form):
    asset = forms.ModelChoiceField(
        label=_("Asset"),
        queryset=Asset.objects.none(),
        required=False,
        help_text=_("Empty: look for it by number, instance ID, name and address."),
    )

    def __init__(self, *args: Any, assets: QuerySet[Asset], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["asset"].queryset = assets  # type: ignore[attr-defined]  # a ModelChoiceField has one
