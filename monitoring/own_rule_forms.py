"""What people enter about a customer's own rules."""

from __future__ import annotations

import re
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Severity
from assets.models import Asset
from monitoring.collectors import labels_text, parse_labels
from monitoring.models import CustomRule, Series, metric_name
from monitoring.models.custom import OPPOSITE
from monitoring.rules import Comparator, metric_of

LABELS: Final = re.compile(r'\s*(\w+="[^"\\]*"\s*(,\s*\w+="[^"\\]*"\s*)*)?')
DATABASES: Final = frozenset(
    {
        "drds", "memcache_cloud", "memcached", "mongodb", "mongodb_cloud", "mysql", "oracle", "postgresql", "rds",
        "redis", "redis_cloud", "sqlserver",
    }
)  # fmt: skip
"""How the names of figures of databases begin."""
DATABASE_PERIOD_S: Final = 300
"""SOW 6.5: alerts of databases look every five minutes, three times in a row."""
PERIOD_S: Final = 60
UP: Final = frozenset({Comparator.GT, Comparator.GE})
DOWN: Final = frozenset({Comparator.LT, Comparator.LE})


class OwnRuleForm(forms.Form):
    """One rule. The metric is one that the customer has figures of, or one of the catalogue."""

    name = forms.CharField(label=_("Name"), max_length=80)
    metric = forms.CharField(
        label=_("Metric"),
        max_length=100,
        widget=forms.TextInput(attrs={"list": "own-rule-metrics", "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("Such as custom.queue.depth, host.log.keyword_per_min or mongodb.connection.util."),
    )
    asset = forms.TypedChoiceField(
        label=_("Asset"),
        coerce=int,
        empty_value=None,
        required=False,
        help_text=_("Empty: all assets that have the figure."),
    )
    labels = forms.CharField(
        label=_("Labels"),
        max_length=500,
        required=False,
        help_text=_('Only the series with these labels, such as keyword="ERROR". Empty: each series by itself.'),
    )
    comparator = forms.ChoiceField(label=_("Bad when the figure is"), choices=CustomRule.Compare.choices)
    threshold = forms.FloatField(label=_("Threshold"))
    recovery_threshold = forms.FloatField(
        label=_("Good again at"),
        required=False,
        help_text=_("Empty: as soon as the threshold is no longer crossed."),
    )
    times = forms.IntegerField(label=_("Times in a row"), min_value=1, max_value=60, initial=3)
    period_s = forms.IntegerField(
        label=_("Period, seconds"),
        min_value=10,
        max_value=86400,
        required=False,
        help_text=_("Empty: 300 for figures of databases, as the contract has it (6.5), else 60."),
    )
    severity = forms.TypedChoiceField(
        label=_("Severity"), choices=Severity.choices, coerce=int, initial=Severity.AVERAGE.value
    )
    no_data = forms.ChoiceField(label=_("Without data"), choices=CustomRule.Silence.choices)
    is_enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)
    reason = forms.CharField(label=_("Reason"), max_length=300)

    def __init__(self, *args: Any, customer: Customer, rule: CustomRule | None = None, **kwargs: Any) -> None:
        if rule is not None:
            kept = {name: getattr(rule, name) for name in self.base_fields if name not in ("asset", "reason")}
            kwargs["initial"] = {**kept, "asset": rule.asset_id}
        super().__init__(*args, **kwargs)
        self.customer = customer
        self._rule = rule
        assets = Asset.objects.active().filter(customer=customer).order_by("name").values_list("pk", "name")
        self.fields["asset"].choices = [("", _("All assets")), *assets]  # type: ignore[attr-defined]  # a choice field

    def rule(self) -> CustomRule:
        """The rule as it is written now, not saved."""
        found = self._rule or CustomRule(customer=self.customer)
        for name, value in self.cleaned_data.items():
            setattr(found, "asset_id" if name == "asset" else name, value)
        return found

    @property
    def metrics(self) -> list[tuple[str, str]]:
        """What the customer has figures of, for the browser to offer."""
        there = Series.objects.filter(customer=self.customer).order_by("metric").values_list("metric", flat=True)
        return [(name, metric_name(name)) for name in there.distinct()[:1000]]

    def clean_metric(self) -> str:
        name = str(self.cleaned_data["metric"]).strip()
        if metric_of(name) is None:
            raise forms.ValidationError(_("There is no such figure."))
        return name

    def clean_period_s(self) -> int:
        """Of fields, the metric is cleaned before."""
        family = str(self.cleaned_data.get("metric", "")).partition(".")[0]
        given: int | None = self.cleaned_data["period_s"]
        return given or (DATABASE_PERIOD_S if family in DATABASES else PERIOD_S)

    def clean_labels(self) -> str:
        text = str(self.cleaned_data["labels"])
        if not LABELS.fullmatch(text):
            raise forms.ValidationError(_('Enter labels as name="value", separated by commas.'))
        return labels_text(parse_labels(text))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        named = CustomRule.objects.filter(customer=self.customer, name=cleaned.get("name", ""))
        if (named.exclude(pk=self._rule.pk) if self._rule else named).exists():
            self.add_error("name", _("There is a rule of this name already."))
        threshold, good = cleaned.get("threshold"), cleaned.get("recovery_threshold")
        if threshold is None or good is None or "comparator" not in cleaned:
            return cleaned
        comparator = Comparator(cleaned["comparator"])
        wrong = (comparator in UP and good > threshold) or (comparator in DOWN and good < threshold)
        if wrong or OPPOSITE[comparator] is Comparator.EQ or comparator is Comparator.EQ:
            self.add_error("recovery_threshold", _("This would be good and bad at once. Leave it empty or move it."))
        return cleaned


class RemoveForm(forms.Form):
    """Why a rule is taken away."""

    reason = forms.CharField(label=_("Reason"), max_length=300)
