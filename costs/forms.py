"""The shape of what people type about cost; what it means is decided in the services."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from assets.models import Asset
from costs.services.deciding import LONGEST
from incidents.models import AnnouncementCopy


class ThresholdForm(forms.Form):
    deviations = forms.DecimalField(
        label=_("Deviations above the usual"),
        min_value=1,
        max_value=50,
        max_digits=4,
        decimal_places=1,
        help_text=_("Of the same weekday in the last eight weeks, by median and MAD."),
    )
    percent = forms.IntegerField(label=_("Percent above the usual"), min_value=0, max_value=1000)
    amount = forms.DecimalField(
        label=_("Yuan above the usual"),
        min_value=0,
        max_value=10_000_000,
        max_digits=10,
        decimal_places=2,
        help_text=_("All three must be passed before anybody is told."),
    )


class ExplainForm(forms.Form):
    note = forms.CharField(
        label=_("What was it?"), max_length=1000, widget=forms.Textarea(attrs={"rows": 3, "autofocus": True})
    )
    expected = forms.BooleanField(
        label=_("Expected: the same level raises no other alarm in the next eight weeks"), required=False
    )


class AcceptForm(forms.Form):
    reason = forms.CharField(
        label=_("Remark"), required=False, max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 3})
    )


class RejectForm(forms.Form):
    reason = forms.CharField(
        label=_("Why not?"), max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 3, "autofocus": True})
    )


class FinishForm(forms.Form):
    result = forms.CharField(
        label=_("What was done?"), max_length=LONGEST, widget=forms.Textarea(attrs={"rows": 3, "autofocus": True})
    )


class IssueForm(forms.Form):
    """A reason is asked for where days are missing."""

    reason = forms.CharField(
        label=_("Why it is issued with days missing"),
        max_length=400,
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
    )

    def __init__(self, *args: Any, days_missing: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        if not days_missing:
            del self.fields["reason"]


class ProposalForm(forms.Form):
    title = forms.CharField(label=_("Title"), max_length=200, widget=forms.TextInput(attrs={"autofocus": True}))
    text = forms.CharField(
        label=_("What is recommended, and why"), max_length=5000, widget=forms.Textarea(attrs={"rows": 5})
    )
    monthly = forms.DecimalField(
        label=_("Saving a month, CNY"),
        required=False,
        min_value=Decimal(0),
        max_value=Decimal(99_999_999),
        max_digits=10,
        decimal_places=2,
        help_text=_("Leave it empty if it is not known."),
    )
    asset = forms.ModelChoiceField(label=_("Asset"), required=False, queryset=Asset.objects.none())
    announcement = forms.ModelChoiceField(
        label=_("Announcement that it follows"), required=False, queryset=AnnouncementCopy.objects.none()
    )

    def __init__(
        self, *args: Any, assets: QuerySet[Asset], announcements: QuerySet[AnnouncementCopy], **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.fields["asset"].queryset = assets  # type: ignore[attr-defined]  # set above
        self.fields["announcement"].queryset = announcements  # type: ignore[attr-defined]  # set above
