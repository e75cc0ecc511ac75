"""An announcement as people write it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Role
from accounts.models.people import CUSTOMER_ROLES
from assets.models import CLOUD_KINDS, Kind
from incidents.models import Announcement, AnnouncementKind
from incidents.models.announcement import WITH_RECOMMENDATION
from incidents.services.announcing import Details

MOMENT = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
CHECKS = forms.CheckboxSelectMultiple


class AnnouncementForm(forms.Form):
    kind = forms.ChoiceField(label=_("Kind"), choices=AnnouncementKind.choices)
    title = forms.CharField(label=_("Title"), max_length=200)
    body = forms.CharField(label=_("Text"), max_length=10_000, widget=forms.Textarea(attrs={"rows": 6}))
    recommendation = forms.CharField(
        label=_("Recommended change"),
        max_length=5_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("What the customer should change; required for new services and price cuts."),
    )
    customers = forms.TypedMultipleChoiceField(
        label=_("Customers"),
        coerce=int,
        required=False,
        widget=CHECKS,
        help_text=_("None chosen: every customer in service."),
    )
    products = forms.MultipleChoiceField(
        label=_("Who uses"),
        choices=[(kind.value, Kind(kind).label) for kind in CLOUD_KINDS],
        required=False,
        widget=CHECKS,
        help_text=_("Only customers with such an asset. None chosen: whatever they use."),
    )
    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=[(role.value, Role(role).label) for role in CUSTOMER_ROLES], widget=CHECKS
    )
    to_channels = forms.BooleanField(label=_("To groups and robots, too"), required=False)
    ends_at = forms.DateTimeField(label=_("On pages until"), widget=MOMENT)

    def __init__(self, data: Any = None, *, announcement: Announcement | None) -> None:
        names = Details.__dataclass_fields__
        roles = [role.value for role in CUSTOMER_ROLES]
        fresh: dict[str, object] = {"to_channels": True, "roles": roles}
        super().__init__(
            data, initial=fresh if announcement is None else {name: getattr(announcement, name) for name in names}
        )
        field = self.fields["customers"]
        assert isinstance(field, forms.TypedMultipleChoiceField)  # noqa: S101 - narrows the type
        field.choices = list(Customer.objects.values_list("pk", "name"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("kind") in WITH_RECOMMENDATION and not str(data.get("recommendation", "")).strip():
            self.add_error("recommendation", _("What do you recommend that the customer changes?"))
        return data

    @property
    def details(self) -> Details:
        return Details(**{name: self.cleaned_data[name] for name in Details.__dataclass_fields__})


class ScheduleForm(forms.Form):
    at = forms.DateTimeField(label=_("Publish at"), required=False, widget=MOMENT, help_text=_("Empty: now."))
