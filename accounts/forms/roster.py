"""Shifts as people type them: once, every day or every week."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.forms.customers import people_field
from accounts.models import Customer, RosterShift, User
from accounts.models.people import PROVIDER_ROLES

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
LONGEST = timedelta(days=92)
STEPS = {"once": timedelta(0), "daily": timedelta(days=1), "weekly": timedelta(days=7)}


class ShiftForm(forms.Form):
    duty = forms.ChoiceField(label=gettext_lazy("Duty"), choices=RosterShift.Duty.choices)
    user: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(queryset=None, label=gettext_lazy("Person"))
    customer: "forms.ModelChoiceField[Customer]" = forms.ModelChoiceField(
        queryset=None,
        required=False,
        label=gettext_lazy("Customer"),
        help_text=gettext_lazy("Empty: the shift serves every customer."),
    )
    starts_at = forms.DateTimeField(label=gettext_lazy("From"), widget=MOMENT, input_formats=FORMATS)
    ends_at = forms.DateTimeField(label=gettext_lazy("To"), widget=MOMENT, input_formats=FORMATS)
    repeat = forms.ChoiceField(
        label=gettext_lazy("Repeat"),
        choices=(
            ("once", gettext_lazy("once")),
            ("daily", gettext_lazy("every day")),
            ("weekly", gettext_lazy("every week")),
        ),
    )
    times = forms.IntegerField(label=gettext_lazy("How many times"), min_value=1, max_value=62, initial=1)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people_field(self).queryset = User.objects.filter(role__in=PROVIDER_ROLES, is_active=True)
        customers = self.fields["customer"]
        if not isinstance(customers, forms.ModelChoiceField):
            raise TypeError
        customers.queryset = Customer.objects.all()

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        starts, ends = data.get("starts_at"), data.get("ends_at")
        if starts and ends:
            if ends <= starts:
                self.add_error("ends_at", _("The shift must end after it starts."))
            elif ends - starts > LONGEST:
                self.add_error("ends_at", _("A shift lasts three months at most."))
            elif data.get("repeat") in ("daily", "weekly") and ends - starts > STEPS[data["repeat"]]:
                self.add_error("repeat", _("The shift is longer than the time until it repeats."))
        return data

    def spans(self) -> list[tuple[datetime, datetime]]:
        """The shifts that were asked for. China has no summer time, so a day is always 24 hours."""
        data = self.cleaned_data
        step = STEPS[data["repeat"]]
        times = 1 if data["repeat"] == "once" else data["times"]
        return [(data["starts_at"] + step * n, data["ends_at"] + step * n) for n in range(times)]
