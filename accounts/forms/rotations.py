"""Rotations and calendar addresses as people type them."""

from datetime import datetime, time
from typing import Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.forms.customers import DATE, people_field
from accounts.models import Customer, RosterShift, Rotation, User
from accounts.models.people import PROVIDER_ROLES
from accounts.rotation import BadRotation, slots_of

PLACES = 8
REST_PLACES = 4
PATTERNS = (
    ("daily", gettext_lazy("every day")),
    ("weekly", gettext_lazy("every week")),
    ("custom", gettext_lazy("after so many days")),
)
DAYS = {"daily": 1, "weekly": 7}


class RotationForm(forms.Form):
    """The people are chosen one place after the other: the order of the turns is the order of the places."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    duty = forms.ChoiceField(label=gettext_lazy("Duty"), choices=RosterShift.Duty.choices)
    customer: "forms.ModelChoiceField[Customer]" = forms.ModelChoiceField(
        queryset=None,
        required=False,
        label=gettext_lazy("Customer"),
        help_text=gettext_lazy("Empty: the shift serves every customer."),
    )
    pattern = forms.ChoiceField(label=gettext_lazy("The next person"), choices=PATTERNS)
    days_per_turn = forms.IntegerField(label=gettext_lazy("days of a turn"), min_value=1, max_value=92, required=False)
    first_day = forms.DateField(label=gettext_lazy("First day"), widget=DATE)
    last_day = forms.DateField(label=gettext_lazy("Last day"), widget=DATE, required=False)
    handover = forms.TimeField(
        label=gettext_lazy("Handover at"), widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    slots = forms.CharField(
        label=gettext_lazy("Shifts of a day"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Such as 08:00-20:00, 20:00-08:00. Empty: one shift from handover to handover."),
    )

    PEOPLE: ClassVar = tuple(f"person_{at}" for at in range(1, PLACES + 1))
    REST: ClassVar = tuple(f"rest_{at}" for at in range(1, REST_PLACES + 1))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        customers = self.fields["customer"]
        assert isinstance(customers, forms.ModelChoiceField)  # noqa: S101 - declared above
        customers.queryset = Customer.objects.all()
        for name in (*self.PEOPLE, *self.REST):
            place = name.rpartition("_")[2]
            self.fields[name] = forms.ModelChoiceField(queryset=None, label=place, required=False)
            people_field(self, name).queryset = User.objects.filter(role__in=PROVIDER_ROLES, is_active=True)

    @property
    def people_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.PEOPLE]

    @property
    def rest_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.REST]

    def clean_slots(self) -> list[str]:
        texts = [part.strip() for part in str(self.cleaned_data["slots"]).replace("，", ",").split(",") if part.strip()]
        try:
            slots_of(texts)
        except BadRotation as problem:
            raise forms.ValidationError(
                _("“%(text)s” is no shift. Write it such as 20:00-08:00.") % {"text": problem}
            ) from None
        return texts

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not self._chosen(self.PEOPLE):
            self.add_error("person_1", _("Who takes turns?"))
        first, last = data.get("first_day"), data.get("last_day")
        if first and last and last < first:
            self.add_error("last_day", _("It cannot end before it begins."))
        if data.get("pattern") == "custom" and not data.get("days_per_turn") and "days_per_turn" not in self.errors:
            self.add_error("days_per_turn", _("After how many days?"))
        return data

    def _chosen(self, names: tuple[str, ...]) -> list[int]:
        return [self.cleaned_data[name].pk for name in names if self.cleaned_data.get(name)]

    def fill(self, rotation: Rotation) -> Rotation:
        """Write what was typed into a rotation; nothing is saved."""
        said = self.cleaned_data
        rotation.name, rotation.duty = said["name"], said["duty"]
        rotation.customer = said["customer"]
        rotation.days_per_turn = DAYS.get(said["pattern"]) or said["days_per_turn"]
        rotation.first_day, rotation.last_day = said["first_day"], said["last_day"]
        rotation.handover, rotation.slots = said["handover"], said["slots"]
        rotation.people, rotation.rest_people = self._chosen(self.PEOPLE), self._chosen(self.REST)
        return rotation


def initial_of(rotation: Rotation | None, now: datetime) -> dict[str, object]:
    """What the form shows of a rotation, or of a new one."""
    if rotation is None:
        return {"pattern": "weekly", "handover": time(9), "first_day": now.date()}
    days = rotation.days_per_turn
    shown: dict[str, object] = {
        "name": rotation.name,
        "duty": rotation.duty,
        "customer": rotation.customer_id,
        "pattern": next((name for name, length in DAYS.items() if length == days), "custom"),
        "days_per_turn": days,
        "first_day": rotation.first_day,
        "last_day": rotation.last_day,
        "handover": rotation.handover,
        "slots": ", ".join(rotation.slots),
    }
    shown |= dict(zip(RotationForm.PEOPLE, rotation.people, strict=False))
    return shown | dict(zip(RotationForm.REST, rotation.rest_people, strict=False))
