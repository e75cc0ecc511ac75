"""What people enter about silences and acknowledgements."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.forms.calendars import WEEKDAYS
from accounts.models import Customer
from accounts.windows import Once, Weekly, Window
from assets.models import Asset
from monitoring.extra_rules import EXTRA_RULES, ExtraRule
from monitoring.matching import Scope
from monitoring.models import AssetGroup
from monitoring.rules import RULES, Rule
from monitoring.services.silences import ZONE

ZONES: Final = (
    (ZONE, _("China")),
    ("Asia/Hong_Kong", _("Hong Kong")),
    ("Asia/Singapore", _("Singapore")),
    ("Asia/Tokyo", _("Tokyo")),
    ("Europe/Berlin", _("Central Europe")),
    ("America/New_York", _("New York")),
    ("UTC", "UTC"),
)
LENGTHS: Final = (
    ("30", _("30 minutes")),
    ("60", _("1 hour")),
    ("120", _("2 hours")),
    ("480", _("8 hours")),
    ("1440", _("1 day")),
    ("10080", _("1 week")),
)
FIRST_WINDOWS: Final = 3
"""So many one-time windows can be entered at once."""


class AckForm(forms.Form):
    """The comment of an acknowledgement, and for how long it counts."""

    comment = forms.CharField(label=_("Comment"), max_length=300, required=False)
    minutes = forms.ChoiceField(label=_("For how long"), choices=(("", _("Until it ends")), *LENGTHS), required=False)

    def until(self, now: datetime) -> datetime | None:
        minutes = self.cleaned_data["minutes"]
        return now + timedelta(minutes=int(minutes)) if minutes else None


class QuickSilenceForm(forms.Form):
    """Silence what is chosen in the list from now on."""

    reason = forms.CharField(label=_("Reason"), max_length=300)
    length = forms.ChoiceField(label=_("For how long"), choices=LENGTHS, initial="60")


def rule_choices() -> list[tuple[str, str]]:
    language = get_language() or "zh-hans"
    rules: list[Rule | ExtraRule] = [*RULES.values(), *EXTRA_RULES.values()]
    return [
        (rule.id, f"{rule.product} · {rule.name(language)}" if rule.product else rule.name(language)) for rule in rules
    ]


class SilenceForm(forms.Form):
    """A silence: what, when, and why. Up to three windows once, or some hours every week, or both."""

    reason = forms.CharField(
        label=_("Reason"), max_length=300, help_text=_("Whoever wonders about the quiet reads it.")
    )
    assets: forms.ModelMultipleChoiceField[Asset] = forms.ModelMultipleChoiceField(
        label=_("Assets"), queryset=None, required=False
    )
    groups: forms.ModelMultipleChoiceField[AssetGroup] = forms.ModelMultipleChoiceField(
        label=_("Groups"), queryset=None, required=False
    )
    rules = forms.MultipleChoiceField(label=_("Rules"), choices=rule_choices, required=False)
    labels = forms.CharField(
        label=_("Labels"),
        max_length=300,
        required=False,
        help_text=_("One part of the assets only, such as mountpoint=/data; several with commas."),
    )
    timezone = forms.ChoiceField(label=_("Time zone"), choices=ZONES, initial=ZONE)
    days = forms.TypedMultipleChoiceField(
        label=_("Every week on"),
        choices=list(enumerate(WEEKDAYS)),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    week_from = forms.TimeField(label=_("from"), required=False, widget=forms.TimeInput(attrs={"type": "time"}))
    week_to = forms.TimeField(label=_("to"), required=False, widget=forms.TimeInput(attrs={"type": "time"}))
    week_until = forms.DateField(
        label=_("until the day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Empty: every week until somebody ends it."),
    )

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        assets, groups = self.fields["assets"], self.fields["groups"]
        assets.queryset = Asset.objects.active().filter(customer=customer).order_by("name")  # type: ignore[attr-defined]  # a choice of rows
        groups.queryset = AssetGroup.objects.filter(customer=customer)  # type: ignore[attr-defined]  # the same
        for number in range(1, FIRST_WINDOWS + 1):
            for name, label in (("from", _("from")), ("to", _("to"))):
                self.fields[f"{name}_{number}"] = forms.CharField(
                    label=label, required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
                )

    @property
    def once_fields(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"from_{number}"], self[f"to_{number}"]) for number in range(1, FIRST_WINDOWS + 1)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        windows = [*self._once(cleaned), *self._weekly(cleaned)]
        if not self.errors and not windows:
            self.add_error("from_1", _("Please say when: one window at least."))
        cleaned["windows"] = windows
        cleaned["scope"] = Scope(
            frozenset(asset.pk for asset in cleaned["assets"]),
            frozenset(group.pk for group in cleaned["groups"]),
            frozenset(cleaned["rules"]),
            self._labels(cleaned["labels"]),
        )
        return cleaned

    def _once(self, cleaned: dict[str, Any]) -> list[Window]:
        zone, found = ZoneInfo(cleaned["timezone"]), list[Window]()
        for number in range(1, FIRST_WINDOWS + 1):
            given = [cleaned.get(f"{name}_{number}", "") for name in ("from", "to")]
            if not any(given):
                continue
            try:
                start, end = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in given)
                found.append(Once(start, end))
            except ValueError:
                self.add_error(f"to_{number}", _("A window has a beginning and, later, an end."))
        return found

    def _weekly(self, cleaned: dict[str, Any]) -> list[Window]:
        days, start, end = cleaned["days"], cleaned["week_from"], cleaned["week_to"]
        if not days and start is None and end is None:
            return []
        if not days or start is None or end is None:
            self.add_error("days", _("Every week: please name days, and from when to when."))
            return []
        zone = ZoneInfo(cleaned["timezone"])
        return [Weekly(frozenset(days), _plain(start), _plain(end), zone, until=cleaned["week_until"])]

    def _labels(self, text: str) -> dict[str, str]:
        found = {}
        for part in text.replace("，", ",").split(","):
            if not part.strip():
                continue
            name, sign, value = part.partition("=")
            if not sign or not name.strip().isidentifier():
                self.add_error("labels", ValidationError(_("Labels are written name=value.")))
                continue
            found[name.strip()] = value.strip().strip('"')
        return found


def _plain(moment: time) -> time:
    return moment.replace(second=0, microsecond=0)


def first_values() -> dict[str, object]:
    """From now for two hours, as the form begins."""
    now = timezone.localtime().replace(second=0, microsecond=0)
    return {"from_1": f"{now:%Y-%m-%dT%H:%M}", "to_1": f"{now + timedelta(hours=2):%Y-%m-%dT%H:%M}"}
