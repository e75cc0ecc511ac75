"""What people say about changes: content, evidence, words, windows."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts.models import Customer, Role, User
from accounts.windows import Once, Weekly, Window, WindowError
from assets.models import Asset
from changes.models import (
    NOT_PRODUCTION,
    BackupRecord,
    Change,
    ChangeFile,
    ChangeRisk,
    ChangeTemplate,
    ChangeWindow,
)
from changes.services.approving import delegates_for
from changes.services.executing import verifiers
from changes.services.facts import can_be_looked_up
from incidents.duty import eligible_assignees
from incidents.forms import LOCAL_TIME
from incidents.models import Incident

WORDS = forms.Textarea({"rows": 3})
WEEKDAYS = [
    ("0", pgettext_lazy("weekday", "Mon")), ("1", pgettext_lazy("weekday", "Tue")),
    ("2", pgettext_lazy("weekday", "Wed")), ("3", pgettext_lazy("weekday", "Thu")),
    ("4", pgettext_lazy("weekday", "Fri")), ("5", pgettext_lazy("weekday", "Sat")),
    ("6", pgettext_lazy("weekday", "Sun")),
]  # fmt: skip


def moment_field(**options: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput({"type": "datetime-local"}, format=LOCAL_TIME)
    return forms.DateTimeField(widget=widget, input_formats=[LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"], **options)


class ContentForm(forms.Form):
    """All that the customer signs and people approve, beside the operation's own questions."""

    title = forms.CharField(label=_("Title"), max_length=200)
    risk = forms.ChoiceField(label=_("Risk class"), choices=ChangeRisk.choices)
    lead = forms.ChoiceField(label=_("Done by"), choices=Change.Lead.choices)
    reason = forms.CharField(label=_("Reason"), max_length=4000, required=False, widget=WORDS)
    plan = forms.CharField(
        label=_("Plan"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea({"rows": 6}),
        help_text=_("What is done, step by step."),
    )
    rollback = forms.CharField(
        label=_("Way back"),
        max_length=20_000,
        required=False,
        widget=forms.Textarea({"rows": 4}),
        help_text=_("What is done when it goes wrong."),
    )
    test_waiver = forms.CharField(
        label=_("Why it is not tested before"),
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text=_("Empty: it is tested on something that is not production. The customer signs what stands here."),
    )
    backup_waiver = forms.CharField(
        label=_("Why there is nothing to back up"),
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 2}),
        help_text=_(
            "Empty: each asset is backed up, or without assets a file of what is changed. The customer signs what "
            "stands here."
        ),
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(customer=customer), label=_("Assets"), required=False
        )


class OfIncidentForm(forms.Form):
    """Names the customer's incident or request by which a change is authorised (R83)."""

    incident = forms.CharField(
        label=_("From the incident or request"), max_length=20, required=False, help_text=_("Such as INC-000123.")
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.customer = customer

    def clean_incident(self) -> Incident | None:
        number = self.cleaned_data["incident"].upper().removeprefix("INC-").lstrip("#")
        if not number:
            return None
        known = Incident.objects.for_both_sides().filter(customer=self.customer)
        found = known.filter(pk=int(number)).first() if number.isdecimal() and len(number) < 16 else None
        if found is None:
            raise ValidationError(_("This customer has no incident or request of this number."))
        return found


class StandardUseForm(OfIncidentForm):
    """A standard change is used on some of its assets: signed once, but each time there is somebody who wants it."""

    field_order = ("assets", "incident")

    def __init__(self, *args: Any, template: ChangeTemplate, **options: Any) -> None:
        super().__init__(*args, customer=template.customer, **options)
        self.fields["incident"].required = True
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(pk__in=template.assets.values("pk")),
            label=_("On which assets?"),
            widget=forms.CheckboxSelectMultiple,
        )
        self.order_fields(self.field_order)


class OriginForm(OfIncidentForm):
    """Where a new change comes from (R88)."""

    origin = forms.ChoiceField(label=_("Wanted by"), choices=Change.Origin.choices)
    vendor_notice = forms.CharField(
        label=_("Vendor's notice"),
        max_length=300,
        required=False,
        help_text=_("Of a vendor: number or address of the notice. It stands for the customer's request."),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        vendors = (Change.Origin.CLOUD_VENDOR, Change.Origin.SOFTWARE_VENDOR)
        if given.get("origin") in vendors and not can_be_looked_up(given.get("vendor_notice") or ""):
            self.add_error(
                "vendor_notice",
                _("Please name the notice by its number or address: it stands for the request."),
            )
        return given


class WordsForm(forms.Form):
    words = forms.CharField(label=_("Remark"), max_length=4000, required=False, widget=WORDS)


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=4000, widget=WORDS)


class RiskForm(forms.Form):
    text = forms.CharField(
        label=_("What may happen?"),
        max_length=8000,
        widget=forms.Textarea({"rows": 5}),
        help_text=_("The customer's contact signs this together with the plan and the way back."),
    )

    @classmethod
    def of(cls, data: Any, change: Change) -> RiskForm:
        form = cls(data, initial={"text": change.risk_text})
        if change.levels.filter(round=change.approval_round).exists():
            form.fields["text"].help_text = _(
                "The customer's contact signs this together with the plan and the way back. The approvers have been "
                "asked: with another text they are asked once more."
            )
        return form


class HearForm(forms.Form):
    name = forms.CharField(label=_("Who said yes?"), max_length=120)
    words = forms.CharField(label=_("In which words?"), max_length=2000, required=False, widget=WORDS)


class TestForm(forms.Form):
    __test__ = False  # no case for pytest

    has_passed = forms.TypedChoiceField(
        label=_("How did it go?"),
        choices=[("1", _("It passed")), ("0", _("It failed"))],
        coerce=lambda value: value == "1",
        widget=forms.RadioSelect,
    )
    what = forms.CharField(label=_("What was tested, and what came of it?"), max_length=8000, widget=WORDS)
    tested_at = moment_field(label=_("Tested at"))

    def __init__(self, *args: Any, change: Change, **options: Any) -> None:
        super().__init__(*args, **options)
        rows = Asset.objects.active().filter(customer=change.customer_id, environment__in=NOT_PRODUCTION)
        self.fields["asset"] = forms.ModelChoiceField(
            rows, label=_("Tested on"), help_text=_("Only what is marked as test or development is offered.")
        )
        self.fields["tested_at"].initial = timezone.localtime
        self.order_fields(["asset", "has_passed", "what", "tested_at"])


class BackupForm(forms.Form):
    method = forms.ChoiceField(label=_("How"), choices=BackupRecord.Method.choices)
    reference = forms.CharField(label=_("Snapshot ID, backup ID or file path"), max_length=500)
    sha256 = forms.CharField(label="SHA-256", max_length=64, required=False, help_text=_("Needed for a file."))
    taken_at = moment_field(label=_("Taken at"))

    def __init__(self, *args: Any, change: Change, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["taken_at"].initial = timezone.localtime
        if change.touched.exists():
            self.fields["asset"] = forms.ModelChoiceField(change.assets.order_by("name"), label=_("Asset"))
            self.order_fields(["asset", "method", "reference", "sha256", "taken_at"])
            return
        way = BackupRecord.Method.FILE
        self.fields["method"] = forms.ChoiceField(choices=[(way.value, way.label)], label=_("How"), initial=way.value)
        self.fields["reference"].label = _("File with what is changed, as it was")
        self.fields["reference"].help_text = _(
            "The change touches no asset: export the zone, policy or route table, and name the file."
        )
        self.fields["sha256"].required = True

    def clean(self) -> dict[str, Any]:
        return {"asset": None, **(super().clean() or {})}


class FileForm(forms.Form):
    purpose = forms.ChoiceField(label=_("What is it?"), choices=ChangeFile.Purpose.choices)
    file = forms.FileField(label=_("File"), allow_empty_file=True)


class ScheduleForm(forms.Form):
    starts_at = moment_field(label=_("From"))
    ends_at = moment_field(label=_("Until"))
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    @classmethod
    def of(cls, data: Any, change: Change) -> ScheduleForm:
        known = {"starts_at": change.starts_at, "ends_at": change.ends_at, "version": change.version}
        return cls(data, initial=known)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        starts, ends = given.get("starts_at"), given.get("ends_at")
        if starts is not None and ends is not None and ends <= starts:
            self.add_error("ends_at", _("The window ends after it begins."))
        return given


class TakeForm(forms.Form):
    def __init__(self, *args: Any, change: Change, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["owner"] = forms.ModelChoiceField(
            eligible_assignees(change.customer_id), label=_("Engineer"), required=False, initial=change.owner_id
        )
        theirs = User.objects.filter(customer=change.customer_id, is_active=True).exclude(role=Role.CUSTOMER_VIEWER)
        self.fields["customer_owner"] = forms.ModelChoiceField(
            theirs.order_by("name"),
            label=_("Who tests for the customer?"),
            required=False,
            initial=change.customer_owner_id,
            help_text=_("Beside the project managers, who may always sign off."),
        )


class DecisionForm(forms.Form):
    words = forms.CharField(
        label=_("Remark"), max_length=4000, required=False, help_text=_("Needed when you refuse."),
        widget=forms.Textarea({"rows": 2, "data-shortcut": "n", "data-shortcut-label": _("Write why, to refuse")}),
    )  # fmt: skip
    answer = forms.ChoiceField(choices=[("yes", "yes"), ("no", "no")], widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("answer") == "no" and not (given.get("words") or "").strip():
            self.add_error("words", _("Please say why: the service team reads it."))
        return given


class ResultForm(forms.Form):
    result = forms.CharField(label=_("What was done, and how was it verified?"), max_length=8000, widget=WORDS)


class RollBackForm(ResultForm):
    """How it was undone, and who has verified that it is as before."""

    def __init__(self, *args: Any, change: Change, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["result"].label = _("How was it undone, and how did you see that it is as before?")
        self.fields["verified_by"] = forms.ModelChoiceField(verifiers(change), label=_("Who has verified it?"))


class ReviewForm(ReasonForm):
    """What the review found; and where the spoken yes is not signed, why."""

    def __init__(self, *args: Any, change: Change, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["reason"].label = _("What did the review find?")
        if change.lacks_signature:
            self.fields["unsigned"] = forms.CharField(
                label=_("Why is the spoken yes not signed?"),
                max_length=2000,
                widget=WORDS,
                help_text=_("The signature: %(state)s. What you write stands with the change.")
                % {"state": change.signature_text},
            )


class WindowForm(forms.Form):
    """A freeze or a maintenance window: once, every week, or on public holidays."""

    kind = forms.ChoiceField(label=_("Kind"), choices=ChangeWindow.Kind.choices, widget=forms.RadioSelect)
    name = forms.CharField(label=_("Name"), max_length=120)
    starts_at = moment_field(label=_("Once: from"), required=False)
    ends_at = moment_field(label=_("until"), required=False)
    days = forms.MultipleChoiceField(
        label=_("Every week on"), choices=WEEKDAYS, required=False, widget=forms.CheckboxSelectMultiple
    )
    begins = forms.TimeField(label=_("from"), required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M"))
    ends = forms.TimeField(label=_("until"), required=False, widget=forms.TimeInput({"type": "time"}, format="%H:%M"))
    holidays = forms.BooleanField(label=_("On public holidays of the customer's calendar"), required=False)

    def __init__(self, *args: Any, customers: QuerySet[Customer] | None, **options: Any) -> None:
        super().__init__(*args, **options)
        if customers is not None:
            self.fields["customer"] = forms.ModelChoiceField(
                customers, label=_("Customer"), required=False, empty_label=_("All customers")
            )
            self.order_fields(["customer"])

    def windows(self) -> list[Window]:
        given = self.cleaned_data
        found: list[Window] = []
        if given.get("starts_at") and given.get("ends_at"):
            found.append(Once(given["starts_at"], given["ends_at"]))
        if given.get("days"):
            zone = timezone.get_default_timezone()
            days = frozenset(int(day) for day in given["days"])
            begins, ends = given.get("begins") or time(0, 0), given.get("ends") or time(0, 0)
            found.append(Weekly(days, begins, ends, zone, since=timezone.localdate()))
        return found

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if bool(given.get("starts_at")) != bool(given.get("ends_at")):
            self.add_error("ends_at", _("A window has a beginning and an end."))
        try:
            windows = self.windows() if not self.errors else []
        except WindowError:
            self.add_error("ends_at", _("The window ends after it begins."))
            return given
        if not self.errors and not windows and not given.get("holidays"):
            self.add_error(None, _("Please say when: once, every week, or on public holidays."))
        return given


class DelegationForm(forms.Form):
    begins_on = forms.DateField(label=_("From"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))
    ends_on = forms.DateField(label=_("Until"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, *args: Any, person: User, **options: Any) -> None:
        super().__init__(*args, **options)
        self.person = person
        rows = User.objects.filter(is_active=True, customer=person.customer_id).exclude(pk=person.pk)
        self.fields["delegate"] = forms.ModelChoiceField(
            rows.exclude(role="customer_viewer").order_by("name"), label=_("Who decides for you?")
        )
        others = delegates_for(person)
        if others:
            self.fields["delegate"].label = _("Who decides?")
            self.fields["principal"] = forms.ModelChoiceField(
                others,
                label=_("For whom?"),
                required=False,
                empty_label=_("For me"),
                help_text=_("For a colleague who is ill: they are told, and may take it back."),
            )
        self.order_fields(["principal", "delegate"])

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        begins, ends = given.get("begins_on"), given.get("ends_on")
        if begins is not None and ends is not None and ends < begins:
            self.add_error("ends_on", _("It ends after it begins."))
        return {**given, "principal": given.get("principal") or self.person}


class TemplateForm(forms.Form):
    """A standard change, described once."""

    name = forms.CharField(label=_("Name"), max_length=200)
    plan = forms.CharField(label=_("Plan"), max_length=20_000, widget=forms.Textarea({"rows": 5}))
    rollback = forms.CharField(label=_("Way back"), max_length=20_000, widget=forms.Textarea({"rows": 3}))
    risk_text = forms.CharField(label=_("What may happen?"), max_length=8000, widget=WORDS)
    valid_until = forms.DateField(label=_("Valid until"), widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(customer=customer), label=_("Assets")
        )


def to_text(moment: datetime | None) -> str:
    return "" if moment is None else f"{timezone.localtime(moment):%Y-%m-%dT%H:%M}"
