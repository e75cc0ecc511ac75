"""Business calendars as people type them: wall-clock hours and single days, each change with its reason."""

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.calendars import MINUTES_PER_DAY, BadCalendar
from accounts.services.calendars import parse_hours

WEEKDAYS = (
    gettext_lazy("Monday"),
    gettext_lazy("Tuesday"),
    gettext_lazy("Wednesday"),
    gettext_lazy("Thursday"),
    gettext_lazy("Friday"),
    gettext_lazy("Saturday"),
    gettext_lazy("Sunday"),
)


class HoursField(forms.CharField):
    """`09:00-12:00, 13:00-18:00`, or nothing for a day off; cleans to a list of spans."""

    def clean(self, value: Any) -> list[str]:
        text = str(super().clean(value) or "").replace("–", "-").replace("：", ":")
        spans = [span for span in re.split(r"[\s,，、;；]+", text) if span]
        try:
            found = parse_hours(spans)
        except BadCalendar as problem:
            raise forms.ValidationError(_("“%(span)s” is not read. Write 09:00-12:00.") % {"span": problem}) from None
        ends = [minute for span in found for minute in span]
        if any(not start < end <= MINUTES_PER_DAY for start, end in found) or ends != sorted(ends):
            raise forms.ValidationError(_("These hours overlap or run backwards."))
        return spans


class WeekForm(forms.Form):
    reason = forms.CharField(label=gettext_lazy("reason of the change"), max_length=200)

    def __init__(self, *args: Any, week: list[list[str]], workday_hours: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, (name, spans) in enumerate(zip(WEEKDAYS, week, strict=True)):
            self.fields[f"day{number}"] = HoursField(label=name, required=False, initial=", ".join(spans))
        self.fields["workday"] = HoursField(
            label=_("A worked weekend day"), required=False, initial=", ".join(workday_hours)
        )
        self.order_fields([*(f"day{n}" for n in range(7)), "workday", "reason"])

    def week(self) -> list[list[str]]:
        return [self.cleaned_data[f"day{number}"] for number in range(7)]


class DayForm(forms.Form):
    KINDS = (
        ("off", gettext_lazy("day off")),
        ("worked", gettext_lazy("worked")),
        ("week", gettext_lazy("as the week says")),
    )
    kind = forms.ChoiceField(label=gettext_lazy("This day is"), choices=KINDS)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80, required=False)
    source = forms.CharField(
        label=gettext_lazy("Source"),
        max_length=200,
        help_text=gettext_lazy("Where it is written: the notice's number, the customer's letter, an address."),
    )
