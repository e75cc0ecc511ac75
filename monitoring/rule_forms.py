"""The form by which a rule is made to hold otherwise for a customer or one of its assets."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring.models import RuleOverride, Series
from monitoring.plan import Effective
from monitoring.rules import Rule, plain
from monitoring.services.overrides import Wish
from monitoring.wording import condition_text

SWITCH: Final = (("", _("as the rule says")), ("on", _("on")), ("off", _("off")))


class OverrideForm(forms.Form):
    """One field for each figure of the rule; what is left empty stays as it is."""

    enabled = forms.ChoiceField(choices=SWITCH, required=False, label=_("Switch"))
    severity = forms.TypedChoiceField(
        choices=[("", _("as the rule says")), *Severity.choices], coerce=int, empty_value=None, required=False,
        label=_("Severity"),
    )  # fmt: skip
    times = forms.IntegerField(min_value=1, max_value=60, required=False, label=_("Times in a row"))
    period_s = forms.IntegerField(min_value=1, max_value=86_400, required=False, label=_("Period, seconds"))
    reason = forms.CharField(
        max_length=300, label=_("Reason"), widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Shown beside the rule and kept in its history."),
    )  # fmt: skip

    def __init__(self, *args: Any, rule: Rule, customer: Customer, effective: Effective, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rule = rule
        of_rule = Series.objects.filter(customer=customer, metric=rule.metrics[0]).values("asset_id")
        self.fields["asset"] = forms.ModelChoiceField(
            Asset.objects.filter(customer=customer, pk__in=of_rule).order_by("name"),
            required=False,
            label=_("For"),
            empty_label=str(_("All assets")),
        )
        for at, condition in enumerate(effective.conditions):
            self.fields[f"threshold_{at}"] = forms.FloatField(
                required=False,
                label=_("Threshold"),
                help_text=_("Now: %(condition)s") % {"condition": condition_text(condition)},
                widget=forms.NumberInput(attrs={"placeholder": plain(condition.threshold), "step": "any"}),
            )
        self.fields["times"].widget.attrs["placeholder"] = str(effective.times)
        self.fields["period_s"].widget.attrs["placeholder"] = plain(effective.period_s)
        self.order_fields(["asset", *(f"threshold_{at}" for at in range(len(effective.conditions)))])

    @staticmethod
    def initial_of(row: RuleOverride) -> dict[str, Any]:
        thresholds = {f"threshold_{at}": value for at, value in enumerate(row.thresholds or ())}
        return {
            "asset": row.asset_id,
            "enabled": {True: "on", False: "off"}.get(row.enabled, "") if row.enabled is not None else "",
            "severity": row.severity,
            "times": row.times,
            "period_s": row.period_s,
            "reason": row.reason,
            **thresholds,
        }

    @property
    def wish(self) -> Wish:
        cleaned = self.cleaned_data
        severity = cleaned.get("severity")
        return Wish(
            enabled={"on": True, "off": False}.get(cleaned.get("enabled") or ""),
            severity=None if severity is None else Severity(severity),
            times=cleaned.get("times"),
            period_s=cleaned.get("period_s"),
            thresholds=self._thresholds(),
        )

    def _thresholds(self) -> tuple[float, ...] | None:
        """None when none is given; one that is left out among others keeps the catalogue's."""
        given = [self.cleaned_data.get(f"threshold_{at}") for at in range(len(self._rule.conditions))]
        if all(value is None for value in given):
            return None
        pairs = zip(given, self._rule.conditions, strict=True)
        return tuple(condition.threshold if value is None else value for value, condition in pairs)


class RestoreForm(forms.Form):
    reason = forms.CharField(max_length=300, label=_("Reason"))
