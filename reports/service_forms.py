"""The shape of what people type about service reports and their plans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from PIL import Image

from accounts.models import Customer, User
from accounts.numbers import row_number
from assets.models import Asset
from incidents.models import Incident
from incidents.months import Month
from reports.kinds.registry import KINDS
from reports.models import ReportKind, ReportPlan
from reports.models.service import ACCENT, LAST_DAY

MONTHS_BACK: Final = 24
NAMES: Final = re.compile(r"[,，;；\n]")
COLOUR: Final = re.compile(r"\A#[0-9a-fA-F]{6}\Z")
LARGEST_LOGO: Final = 512 * 1024
LOGO_MARKS: Final[Mapping[str, bytes]] = {".png": b"\x89PNG\r\n\x1a\n", ".jpg": b"\xff\xd8\xff"}
WIDEST_LOGO: Final = 4000
MOST_SECTIONS: Final = 6
WHOLE: Final = frozenset({ReportKind.SLA, ReportKind.COSTS})
"""Kinds that cannot be told of some resources alone."""


class NewReportForm(forms.Form):
    """Which report, of whom, of which month."""

    customer = forms.ModelChoiceField(label=_("Customer"), queryset=Customer.objects.none())
    kind = forms.ChoiceField(label=_("Kind"))
    month = forms.ChoiceField(label=pgettext_lazy("report", "Month"))
    subject = forms.CharField(
        label=pgettext_lazy("report", "About"),
        max_length=200,
        required=False,
        help_text=_("Stands behind the title; may be empty."),
    )

    resources = forms.CharField(
        label=pgettext_lazy("names", "Resources"),
        max_length=2000,
        required=False,
        help_text=_("Names or instance IDs, separated by commas; empty: all. The monthly report has all."),
    )
    incident = forms.CharField(
        label=_("Incident"), max_length=20, required=False, help_text=_("Its number, for a fault analysis.")
    )

    def __init__(self, *args: Any, today: date, **options: Any) -> None:
        super().__init__(*args, **options)
        customers: Any = self.fields["customer"]
        customers.queryset = Customer.objects.all()
        kinds, months = self.fields["kind"], self.fields["month"]
        assert isinstance(kinds, forms.ChoiceField) and isinstance(months, forms.ChoiceField)  # noqa: S101, PT018
        kinds.choices = [(kind.value, kind.label) for kind in ReportKind if kind in KINDS]
        this = Month.of(today)
        months.choices = [(str(this.shifted(-back)),) * 2 for back in range(MONTHS_BACK)]
        self.initial.setdefault("month", str(this.shifted(-1)))

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or self.cleaned_data
        customer = said.get("customer")
        if customer is None:
            return said
        said["assets"], said["of_incident"] = [], None
        for name in filter(None, (one.strip() for one in NAMES.split(said.get("resources", "")))):
            found = Asset.objects.filter(Q(name__iexact=name) | Q(provider_id=name), customer=customer)
            if keys := list(found.values_list("pk", flat=True)):
                said["assets"] += keys  # what was retired and what took its name both belong to the month
            else:
                self.add_error("resources", _("This customer has no resource “%(name)s”.") % {"name": name})
        if said["assets"] and said.get("kind") in WHOLE:
            self.add_error("resources", _("This kind of report is about everything: leave the resources empty."))
        if number := said.get("incident", "").strip():
            digits = number.rpartition("-")[2]
            rows = Incident.objects.filter(customer=customer).for_both_sides()
            incident = rows.filter(pk=row_number(digits) or 0).first()
            if incident is None:
                self.add_error("incident", _("This customer has no such incident."))
            else:
                said["of_incident"] = incident.pk
        return said

    def wish(self) -> dict[str, Any]:
        said = self.cleaned_data
        wishes = {"assets": said["assets"], "incident": said["of_incident"]}
        return {
            "customer": said["customer"],
            "kind": ReportKind(said["kind"]),
            "month": Month.parse(said["month"]),
            "subject": said["subject"] if said["kind"] != ReportKind.MONTHLY else "",
            "wishes": {name: value for name, value in wishes.items() if value},
        }


class PlanForm(forms.Form):
    """Format and timetable of a customer's monthly report (R11)."""

    is_on = forms.BooleanField(label=_("A report is made every month"), required=False)
    day = forms.IntegerField(
        label=_("Drafted on day"),
        min_value=1,
        max_value=LAST_DAY,
        help_text=_("Of the month after; it is due on the 9th."),
    )
    hour = forms.IntegerField(label=_("Drafted at hour"), min_value=0, max_value=23)
    language = forms.ChoiceField(label=_("Language"), required=False)
    accent = forms.RegexField(
        label=_("Colour"),
        regex=COLOUR,
        widget=forms.TextInput(attrs={"type": "color", "class": "form-control-color"}),
        initial=ACCENT,
        help_text=_("Of the title page's edge, the headings and the links."),
    )
    logo = forms.FileField(label=_("Logo"), required=False, help_text=_("PNG or JPEG, at most 512 KiB."))
    drops_logo = forms.BooleanField(label=_("Without a logo"), required=False)
    recipients = forms.TypedMultipleChoiceField(
        label=_("Sent to"),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Nobody chosen: the customer's contacts."),
    )

    def __init__(self, *args: Any, plan: ReportPlan, people: list[User], **options: Any) -> None:
        super().__init__(*args, **options)
        self.plan = plan
        language, recipients = self.fields["language"], self.fields["recipients"]
        assert isinstance(language, forms.ChoiceField) and isinstance(recipients, forms.ChoiceField)  # noqa: S101, PT018
        language.choices = [("", _("The customer's own")), *settings.LANGUAGES]
        recipients.choices = [(person.pk, f"{person.name} · {person.email}") for person in people]
        names = [part.name for part in KINDS[ReportKind.MONTHLY]]
        order = [name for name in plan.order if name in names]
        order += [name for name in names if name not in order]
        titles = {part.name: str(part.title) for part in KINDS[ReportKind.MONTHLY]}
        for place, name in enumerate(order, 1):
            self.fields[f"place_{name}"] = forms.IntegerField(
                label=titles[name], min_value=1, max_value=len(names), initial=place
            )
        for number in range(MOST_SECTIONS):
            known = plan.sections[number] if number < len(plan.sections) else {}
            self.fields[f"section_title_{number}"] = forms.CharField(
                label=_("Title"), max_length=100, required=False, initial=known.get("title", "")
            )
            self.fields[f"section_text_{number}"] = forms.CharField(
                label=_("Its text every month"),
                max_length=4000,
                required=False,
                initial=known.get("text", ""),
                widget=forms.Textarea(attrs={"rows": 4}),
            )

    def clean_logo(self) -> UploadedFile[Any] | None:
        file: UploadedFile[Any] | None = self.cleaned_data["logo"]
        if file is None:
            return None
        if (file.size or 0) > LARGEST_LOGO:
            raise ValidationError(_("The logo is larger than 512 KiB."))
        head = file.read(8)
        file.seek(0)
        if not any(head.startswith(mark) for mark in LOGO_MARKS.values()):
            raise ValidationError(_("This is neither a PNG nor a JPEG."))
        try:
            with Image.open(file, formats=("PNG", "JPEG")) as picture:
                size = picture.size
                picture.verify()
        except Exception as problem:  # whatever a broken file makes of the decoder
            raise ValidationError(_("This picture cannot be read.")) from problem
        if max(size) > WIDEST_LOGO:
            raise ValidationError(
                _("The logo has more than %(most)d pixels in one direction."), params={"most": WIDEST_LOGO}
            )
        file.seek(0)
        return file

    def clean(self) -> dict[str, Any]:
        said = super().clean() or self.cleaned_data
        for number in range(MOST_SECTIONS):
            if said.get(f"section_text_{number}") and not said.get(f"section_title_{number}"):
                self.add_error(f"section_title_{number}", _("A section needs a title."))
        return said

    def timetable(self) -> list[forms.BoundField]:
        return [self[name] for name in ("is_on", "day", "hour")]

    def looks(self) -> list[forms.BoundField]:
        return [self[name] for name in ("language", "accent", "logo", "drops_logo")]

    def places(self) -> list[forms.BoundField]:
        """A part's place each, in the order of now."""
        return [field for field in self if field.name.startswith("place_")]

    def further(self) -> list[tuple[forms.BoundField, forms.BoundField, bool]]:
        """Title and text of each further section, and whether somebody wrote in it or has to."""
        pairs = [(self[f"section_title_{number}"], self[f"section_text_{number}"]) for number in range(MOST_SECTIONS)]
        return [(title, text, bool(title.value() or text.value() or title.errors)) for title, text in pairs]

    def order(self) -> list[str]:
        names = [part.name for part in KINDS[ReportKind.MONTHLY]]
        return sorted(names, key=lambda name: (self.cleaned_data[f"place_{name}"], names.index(name)))

    def sections(self) -> list[dict[str, str]]:
        found = [
            {"title": self.cleaned_data[f"section_title_{number}"], "text": self.cleaned_data[f"section_text_{number}"]}
            for number in range(MOST_SECTIONS)
        ]
        return [one for one in found if one["title"]]
