"""The forms by which rules are made to hold otherwise: overrides, groups, macros, schedules, expected processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.forms.calendars import WEEKDAYS, HoursField
from accounts.models import Customer, Severity, User
from assets.models import Asset, Kind
from monitoring.levels import MACRO, Effective, Threshold
from monitoring.models import AssetGroup, RuleMacro, RuleOverride, RuleSchedule, Series
from monitoring.rules import Condition, Rule, plain
from monitoring.services import flaps
from monitoring.services.overrides import Wish
from monitoring.wording import condition_text, labels_shown
from notify.models import Channel

SWITCH: Final = (("", _("as the rule says")), ("on", _("on")), ("off", _("off")))
AS_BEFORE: Final = ("", _("as the rule says"))
ALWAYS: Final = "always"
PARTS_AT_MOST: Final = 1500


@dataclass(frozen=True, slots=True)
class Place:
    """Where an override stands: nothing given means the whole customer."""

    group: AssetGroup | None = None
    asset: Asset | None = None
    labels: str = ""

    @property
    def key(self) -> str:
        if self.group is not None:
            return f"group:{self.group.pk}"
        if self.asset is None:
            return ""
        return f"asset:{self.asset.pk}:{self.labels}" if self.labels else f"asset:{self.asset.pk}"


class ThresholdField(forms.CharField):
    """A number, or a macro such as {$FS.FREE.MIN}; None when empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, max_length=64, **kwargs)

    def clean(self, value: Any) -> Threshold | None:
        text = str(super().clean(value) or "").strip()
        if not text:
            return None
        if MACRO.fullmatch(text.upper()):
            return text.upper()
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not abs(number) < float("inf"):
            raise forms.ValidationError(_("Write a number, or the name of a macro such as {$FS.FREE.MIN}."))
        return number


class OverrideForm(forms.Form):
    """One field for each figure of the rule; what is left empty stays as it is."""

    enabled = forms.ChoiceField(choices=SWITCH, required=False, label=_("Switch"))
    severity = forms.TypedChoiceField(
        choices=[AS_BEFORE, *Severity.choices], coerce=int, empty_value=None, required=False, label=_("Severity")
    )
    times = forms.IntegerField(min_value=1, max_value=60, required=False, label=_("Times in a row"))
    period_s = forms.IntegerField(min_value=1, max_value=86_400, required=False, label=_("Period, seconds"))
    recovery_times = forms.IntegerField(min_value=1, max_value=60, required=False, label=_("Good times in a row"))
    schedule = forms.ChoiceField(required=False, label=_("Holds"))
    channels = forms.MultipleChoiceField(
        required=False, label=_("Told to"), widget=forms.CheckboxSelectMultiple,
        help_text=_("None chosen: wherever alerts are told."),
    )  # fmt: skip
    flap_changes = forms.IntegerField(
        min_value=2, max_value=200, required=False, label=_("Flapping: changes"),
        help_text=_("Coming and going so often is told once as flapping, then ever less often."),
    )  # fmt: skip
    flap_window_s = forms.IntegerField(
        min_value=60, max_value=86_400, required=False, label=_("Flapping: within, seconds")
    )
    reason = forms.CharField(
        max_length=300, label=_("Reason"), widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("Shown beside the rule and kept in its history."),
    )  # fmt: skip

    def __init__(
        self, *args: Any, rule: Rule, customer: Customer, effective: Effective, person: User, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._rule, self._customer = rule, customer
        named = _places(customer, rule)
        self._places = {place.key: place for _label, group in named for place, _name in group}
        choices: list[Any] = [("", _("All assets"))]
        choices += [(label, [(place.key, name) for place, name in group]) for label, group in named if group]
        self.fields["place"] = forms.ChoiceField(choices=choices, required=False, label=_("For"))
        self._add_thresholds(effective)
        self.fields["times"].widget.attrs["placeholder"] = str(effective.times)
        self.fields["period_s"].widget.attrs["placeholder"] = plain(effective.period_s)
        self.fields["recovery_times"].widget.attrs["placeholder"] = str(effective.recovery_times)
        limits = flaps.policy(effective.flap_changes, effective.flap_window_s)
        self.fields["flap_changes"].widget.attrs["placeholder"] = str(limits.changes)
        self.fields["flap_window_s"].widget.attrs["placeholder"] = plain(limits.window.total_seconds())
        schedules = RuleSchedule.objects.filter(customer=customer)
        self._schedules = {str(row.pk): row for row in schedules}
        self.fields["schedule"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            AS_BEFORE, (ALWAYS, _("round the clock")), *((key, row.name) for key, row in self._schedules.items()),
        ]  # fmt: skip
        there = Channel.objects.shown_to(person).filter(Q(customer=customer) | Q(customer=None))
        self.fields["channels"].choices = [(str(row.pk), row.name) for row in there]  # type: ignore[attr-defined]

    def _add_thresholds(self, effective: Effective) -> None:
        for name, label, conditions in (
            ("threshold", _("Threshold"), effective.conditions),
            ("recovery", _("Recovery threshold"), effective.recovery),
        ):
            for at, condition in enumerate(conditions):
                self.fields[f"{name}_{at}"] = ThresholdField(
                    label=label,
                    help_text=_("Now: %(condition)s") % {"condition": condition_text(condition)},
                    widget=forms.TextInput(attrs={"placeholder": plain(condition.threshold), "inputmode": "text"}),
                )

    @property
    def portions(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields in groups, as the page shows them."""
        limits = [f"threshold_{at}" for at in range(len(self._rule.conditions))]
        back = [f"recovery_{at}" for at in range(len(self._rule.recovery))]
        wanted = [
            ("", ["place", "enabled"]),
            (_("Fires"), [*limits, "times", "period_s"]),
            (_("Recovers"), [*back, "recovery_times"] if back else []),
            (_("Then"), ["severity", "schedule", "channels", "flap_changes", "flap_window_s"]),
            ("", ["reason"]),
        ]
        return [(str(label), [self[name] for name in names]) for label, names in wanted if names]

    @staticmethod
    def initial_of(row: RuleOverride) -> dict[str, Any]:
        given = {f"threshold_{at}": _text(value) for at, value in enumerate(row.thresholds or ())}
        given |= {f"recovery_{at}": _text(value) for at, value in enumerate(row.recovery or ())}
        return {
            "place": Place(row.group, row.asset, row.labels).key,
            "enabled": {True: "on", False: "off"}.get(row.enabled, "") if row.enabled is not None else "",
            "severity": row.severity,
            "times": row.times,
            "period_s": row.period_s,
            "recovery_times": row.recovery_times,
            "schedule": ALWAYS if row.round_the_clock else str(row.schedule_id or ""),
            "channels": [str(pk) for pk in row.channels or ()],
            "flap_changes": row.flap_changes,
            "flap_window_s": row.flap_window_s,
            "reason": row.reason,
            **given,
        }

    @property
    def place(self) -> Place:
        return self._places.get(self.cleaned_data.get("place") or "", Place())

    @property
    def wish(self) -> Wish:
        cleaned = self.cleaned_data
        severity, schedule = cleaned.get("severity"), cleaned.get("schedule") or ""
        return Wish(
            enabled={"on": True, "off": False}.get(cleaned.get("enabled") or ""),
            severity=None if severity is None else Severity(severity),
            times=cleaned.get("times"),
            period_s=cleaned.get("period_s"),
            thresholds=self._given("threshold", self._rule.conditions),
            recovery=self._given("recovery", self._rule.recovery),
            recovery_times=cleaned.get("recovery_times"),
            schedule=self._schedules.get(schedule),
            round_the_clock=schedule == ALWAYS,
            channels=tuple(int(pk) for pk in cleaned.get("channels") or ()) or None,
            flap_changes=cleaned.get("flap_changes"),
            flap_window_s=cleaned.get("flap_window_s"),
        )

    def _given(self, name: str, conditions: Sequence[Condition]) -> tuple[Threshold, ...] | None:
        """None when none is given; one that is left out among others keeps the catalogue's."""
        given: list[Threshold | None] = [self.cleaned_data.get(f"{name}_{at}") for at in range(len(conditions))]
        if all(value is None for value in given):
            return None
        pairs = zip(given, conditions, strict=True)
        return tuple(condition.threshold if value is None else value for value, condition in pairs)


def _text(value: object) -> str:
    return value if isinstance(value, str) else plain(float(str(value)))


def _places(customer: Customer, rule: Rule) -> list[tuple[str, list[tuple[Place, str]]]]:
    """Where the rule may be said otherwise: groups, assets that have its figure, and their parts."""
    groups = [(Place(group=row), row.name) for row in AssetGroup.objects.filter(customer=customer)]
    series = Series.objects.filter(customer=customer, metric=rule.metrics[0], asset__retired_at=None)
    rows = list(series.select_related("asset").order_by("asset__name", "labels")[:PARTS_AT_MOST])
    assets = {row.asset_id: (Place(asset=row.asset), row.asset.name) for row in rows}
    parts = [
        (Place(asset=row.asset, labels=row.labels), f"{row.asset.name}: {labels_shown(row.labels)}")
        for row in rows
        if row.labels
    ]
    return [(str(_("Groups")), groups), (str(_("Assets")), list(assets.values())), (str(_("Parts")), parts)]


class RestoreForm(forms.Form):
    reason = forms.CharField(max_length=300, label=_("Reason"))


class BringBackForm(RestoreForm):
    past = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class GroupForm(forms.Form):
    name = forms.CharField(max_length=80, label=_("Name"))
    description = forms.CharField(max_length=300, required=False, label=_("Description"))
    tag = forms.CharField(
        max_length=200, required=False, label=_("With the tag"),
        help_text=_("name=value, or a name alone for any value. Assets that get the tag join by themselves."),
    )  # fmt: skip
    kinds = forms.MultipleChoiceField(
        choices=Kind.choices, required=False, label=_("Of the kinds"), widget=forms.CheckboxSelectMultiple,
        help_text=_("With a tag as well, both must fit."),
    )  # fmt: skip
    assets = forms.ModelMultipleChoiceField(
        Asset.objects.none(),
        required=False,
        label=_("And these assets"),
        widget=forms.SelectMultiple(attrs={"size": 10}),
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = Asset.objects.active().filter(customer=customer).order_by("kind", "name")
        self.fields["assets"].queryset = own  # type: ignore[attr-defined]  # a ModelMultipleChoiceField

    @staticmethod
    def initial_of(group: AssetGroup) -> dict[str, Any]:
        named = list(group.members.values_list("asset_id", flat=True))
        return {
            "name": group.name,
            "description": group.description,
            "tag": group.tag,
            "kinds": group.kinds,
            "assets": named,
        }


class MacroForm(forms.Form):
    name = forms.CharField(
        max_length=64, label=_("Name"), widget=forms.TextInput(attrs={"placeholder": "{$FS.FREE.MIN}"})
    )
    value = forms.CharField(max_length=40, label=_("Value"), widget=forms.TextInput(attrs={"placeholder": "5 GiB"}))
    reason = forms.CharField(max_length=300, label=_("Reason"))

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = [(Place(group=row), row.name) for row in AssetGroup.objects.filter(customer=customer)]
        own = Asset.objects.active().filter(customer=customer).order_by("name")
        assets = [(Place(asset=row), row.name) for row in own]
        self._places = {place.key: place for place, _name in [*groups, *assets]}
        named = ((_("Groups"), groups), (_("Assets"), assets))
        choices: list[Any] = [(str(label), [(p.key, name) for p, name in rows]) for label, rows in named if rows]
        everywhere = ("", _("All assets"))
        self.fields["place"] = forms.ChoiceField(choices=[everywhere, *choices], required=False, label=_("For"))
        self.order_fields(["name", "value", "place", "reason"])

    @property
    def place(self) -> Place:
        return self._places.get(self.cleaned_data.get("place") or "", Place())

    @staticmethod
    def initial_of(row: RuleMacro) -> dict[str, Any]:
        value = f"{plain(row.value)} {row.unit}".strip()
        return {"name": row.name, "value": value, "place": Place(row.group, row.asset).key, "reason": row.reason}


class ScheduleForm(forms.Form):
    name = forms.CharField(max_length=80, label=_("Name"))
    basis = forms.ChoiceField(choices=RuleSchedule.Basis.choices, label=_("Holds in"))

    def __init__(self, *args: Any, week: Sequence[Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, (label, spans) in enumerate(zip(WEEKDAYS, week, strict=True)):
            self.fields[f"day{number}"] = HoursField(label=label, required=False, initial=", ".join(spans))
        self.fields["day0"].help_text = _("Such as 09:00-12:00, 13:00-18:00; 24:00 is midnight. Empty: not at all.")

    def week(self) -> list[list[str]]:
        return [self.cleaned_data[f"day{number}"] for number in range(7)]


class ProcessForm(forms.Form):
    name = forms.CharField(
        max_length=80, label=_("Process"), help_text=_("Its exact name, or a name of your own if you give a pattern.")
    )
    pattern = forms.CharField(
        max_length=300, required=False, label=_("Pattern"),
        help_text=_("A regular expression over the whole command line. Empty: the process of exactly this name."),
    )  # fmt: skip
    minimum = forms.IntegerField(min_value=0, max_value=100_000, initial=1, label=_("At least"))
    maximum = forms.IntegerField(
        min_value=1, max_value=100_000, required=False, label=_("At most"), help_text=_("Empty: as many as may be.")
    )
    reason = forms.CharField(max_length=300, required=False, label=_("Reason"))


class WhyForm(forms.Form):
    """The moment that is asked about: Unix milliseconds from a graph, or a local time typed in."""

    at = forms.IntegerField(min_value=0, max_value=2**53, required=False)
    when = forms.DateTimeField(required=False)
