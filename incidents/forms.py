"""The shape of what people type about incidents; what it means is decided in the services."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Severity, User
from assets.models import Asset
from incidents.models import CannedReply, Clock, InboundMessage, Incident
from incidents.services.talking import LONGEST_COMMENT
from incidents.stages import REPORTED, Stage

Source = Incident.Source
# Portal means: the customer is told about it and could have written it themselves.
HEARD_BY = (Source.PHONE, Source.DINGTALK, Source.EMAIL, Source.PORTAL)
LOCAL_TIME = "%Y-%m-%dT%H:%M"


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Several files in one field; each is judged by `incidents.uploads` in the service."""

    widget = FilesInput

    def __init__(self, **options: Any) -> None:
        super().__init__(label=_("Attachments"), allow_empty_file=True, **options)

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile[Any]]:
        files = data if isinstance(data, list | tuple) else [data] if data else []
        return [super(FilesField, self).clean(file, initial) for file in files]


class CommentForm(forms.Form):
    body = forms.CharField(
        label=_("Comment"), required=False, max_length=LONGEST_COMMENT, widget=forms.Textarea(attrs={"rows": 3})
    )
    attachments = FilesField(required=False)
    is_internal = forms.BooleanField(label=_("Internal note: the customer does not see it"), required=False)


class CannedReplyForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80, widget=forms.TextInput(attrs={"autofocus": True}))
    body = forms.CharField(label=_("Text"), max_length=LONGEST_COMMENT, widget=forms.Textarea(attrs={"rows": 8}))
    is_internal = forms.BooleanField(label=_("Internal note: the customer does not see it"), required=False)

    def __init__(
        self, *args: Any, customers: QuerySet[Customer], reply: CannedReply | None = None, **options: Any
    ) -> None:
        if reply is not None:
            names = ("name", "body", "is_internal", "customer")
            options["initial"] = {name: getattr(reply, name) for name in names}
        super().__init__(*args, **options)
        self.fields["customer"] = forms.ModelChoiceField(
            customers, label=_("Customer"), required=False, empty_label=_("Every customer")
        )


class AssignForm(forms.Form):
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, *args: Any, people: QuerySet[User], **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assignee"] = forms.ModelChoiceField(
            people, label=_("Assignee"), required=False, empty_label=_("The team")
        )


class SeverityForm(forms.Form):
    severity = forms.TypedChoiceField(label=_("Severity"), choices=Severity.choices, coerce=int)
    reason = forms.CharField(label=_("Reason"), max_length=1000, widget=forms.Textarea(attrs={"rows": 2}))
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)


class WaitForm(forms.Form):
    question = forms.CharField(
        label=_("What do you need from the customer?"), max_length=4000, widget=forms.Textarea(attrs={"rows": 4})
    )


class ResolveForm(forms.Form):
    resolution = forms.CharField(
        label=_("What solved it?"),
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The customer reads this."),
    )
    cause = forms.ChoiceField(label=_("Where was the cause?"), choices=[("", "—"), *Incident.Cause.choices])
    proof = forms.CharField(
        label=_("Proof that the cause was in the customer's application"),
        required=False,
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 3, "data-shown-when": "cause=customer_application"}),
        help_text=_("Needed for that cause only: the customer's contacts receive it and are asked to acknowledge it."),
    )
    attachments = FilesField(required=False)
    version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        is_theirs = said.get("cause") == Incident.Cause.CUSTOMER_APPLICATION
        if is_theirs and not (said.get("proof") or "").strip():
            self.add_error("proof", _("The customer is told that the cause is theirs: please write the proof."))
        return said


class CloseForm(forms.Form):
    remark = forms.CharField(
        label=_("Remark"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 2})
    )


SCORES = [
    (5, _("5: very content")),
    (4, _("4: content")),
    (3, _("3: so-so")),
    (2, _("2: not content")),
    (1, _("1: not at all")),
]


class RatingForm(forms.Form):
    score = forms.TypedChoiceField(
        label=_("How content are you with the solution?"), choices=SCORES, coerce=int, widget=forms.RadioSelect
    )
    words = forms.CharField(
        label=_("In your words"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class ConfirmForm(forms.Form):
    """The customer's own way to close: with a score when they like to give one."""

    score = forms.TypedChoiceField(
        label=_("How content are you with the solution?"),
        choices=SCORES,
        coerce=int,
        empty_value=None,
        required=False,
        widget=forms.RadioSelect,
    )
    remark = forms.CharField(
        label=_("In your words"), required=False, max_length=2000, widget=forms.Textarea(attrs={"rows": 3})
    )


class ReportForm(forms.Form):
    """A stage report to the customer (R80)."""

    stage = forms.TypedChoiceField(
        label=_("Stage"),
        choices=[("", _("Progress, no new stage")), *[(stage.value, stage.label) for stage in REPORTED]],
        coerce=Stage,
        empty_value=None,
        required=False,
    )
    body = forms.CharField(
        label=_("What should the customer know?"), max_length=8000, widget=forms.Textarea(attrs={"rows": 4})
    )


class ReasonForm(forms.Form):
    """Why a deadline was missed (R79)."""

    code = forms.ChoiceField(label=_("Reason"), choices=[("", "—"), *Clock.BreachCode.choices])
    note = forms.CharField(
        label=_("Explanation"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Both sides read it on the SLA page. It can be changed until the month's report stands."),
    )


class ReopenForm(forms.Form):
    reason = forms.CharField(label=_("What is still wrong?"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))


class NoteForm(forms.Form):
    note = forms.CharField(
        label=_("What did the customer say?"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )


class RaiseForm(forms.Form):
    """What a customer tells when they raise an incident (R49, R52)."""

    title = forms.CharField(
        label=_("What is wrong?"), max_length=200, widget=forms.TextInput(attrs={"autofocus": True})
    )
    severity = forms.TypedChoiceField(
        label=_("Severity"), choices=Severity.choices, coerce=int, widget=forms.RadioSelect
    )
    category = forms.ChoiceField(
        label=_("Class"), choices=Incident.Category.choices, initial=Incident.Category.SYSTEM, widget=forms.RadioSelect
    )
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, "data-paste-files": "#id_attachments"}),
        help_text=_("Since when, who is affected, what changed before. You can paste screenshots here."),
    )
    attachments = FilesField(required=False)

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(customer=customer), label=_("Affected assets"), required=False
        )


class LogContactForm(RaiseForm):
    """The same, written down by an engineer for a customer who called or wrote (R51)."""

    source = forms.ChoiceField(label=_("Told us by"), choices=[(value, Source(value).label) for value in HEARD_BY])
    contacted_at = forms.DateTimeField(
        label=_("Time of the call or message"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
        input_formats=[LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"],
        help_text=_("The clock starts at this time."),
    )
    caller = forms.CharField(
        label=_("Who called or wrote?"),
        max_length=80,
        required=False,
        widget=forms.TextInput(attrs={"list": "known-callers", "autofocus": True, "autocomplete": "off"}),
    )
    callee = forms.CharField(label=_("Who answered?"), max_length=80, required=False)
    take = forms.BooleanField(label=_("I take it at once"), required=False)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["contacted_at"].initial = timezone.localtime
        self.fields["title"].widget.attrs.pop("autofocus")  # on the phone the first thing one hears is a name
        self.order_fields(["source", "contacted_at", "caller", "callee", "title"])


class TriageForm(forms.Form):
    """Whose a message of an unknown sender is."""

    severity = forms.TypedChoiceField(label=_("Severity"), choices=Severity.choices, coerce=int)
    is_guessed = forms.BooleanField(required=False)

    def __init__(self, *args: Any, customers: QuerySet[Customer], message: InboundMessage, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["customer"] = forms.ModelChoiceField(customers, label=_("Customer"))
        self.guessed = self._guess(message)
        if self.guessed is None:
            del self.fields["is_guessed"]
        else:
            self.fields["is_guessed"].label = _("It really is from %(name)s") % {"name": self.guessed}
        if message.source.is_alarm:
            del self.fields["severity"]
        self.order_fields(["customer", "severity", "is_guessed"])

    @property
    def person(self) -> User | None:
        """The person that it is now known to be from."""
        return self.guessed if self.cleaned_data.get("is_guessed") else None

    def _guess(self, message: InboundMessage) -> User | None:
        guess = message.data.get("guess_person")
        return User.objects.filter(pk=guess, is_active=True).exclude(customer=None).first() if guess else None


def chosen_assets(raw: Iterable[str]) -> list[int]:
    """Asset numbers out of an address, one by one or with commas between them, whatever else stands there."""
    parts = (part for value in raw for part in value.split(","))
    return list(dict.fromkeys(int(part) for part in parts if part.isdecimal() and len(part) < 15))
