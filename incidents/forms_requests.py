"""What people say about service requests, quotes and signatures."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Contact, Customer
from assets.models import Asset
from incidents.forms import LOCAL_TIME, FilesField
from incidents.models import AttestationAnswer, Incident, ServiceRequest

Channel = AttestationAnswer.Channel


class RequestForm(forms.Form):
    """What a customer asks for, in their own words."""

    title = forms.CharField(label=_("What do you need?"), max_length=200, widget=forms.TextInput({"autofocus": True}))
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, "data-paste-files": "#id_attachments"}),
        help_text=_("What should be different afterwards, on what, and how you will see that it worked."),
    )
    wished_at = forms.DateTimeField(
        label=_("Wished for"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
        input_formats=[LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"],
    )
    attachments = FilesField(required=False)

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(customer=customer), label=_("Affected assets"), required=False
        )


class JudgeForm(forms.Form):
    risk = forms.ChoiceField(label=_("Risk"), choices=ServiceRequest.Risk.choices, widget=forms.RadioSelect)
    billing = forms.ChoiceField(label=_("Billing"), choices=ServiceRequest.Billing.choices, widget=forms.RadioSelect)
    is_out_of_scope = forms.BooleanField(label=_("Outside the contract's scope"), required=False)

    @classmethod
    def of(cls, data: Any, incident: Incident) -> JudgeForm:
        request = incident.request
        return cls(
            data,
            initial={
                "risk": request.risk,
                "billing": request.billing,
                "is_out_of_scope": request.is_out_of_scope,
            },
        )


class WarnForm(forms.Form):
    text = forms.CharField(
        label=_("What may happen?"),
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_(
            "The service contact signs this, together with the sentence that the consequences are the customer's."
        ),
    )


class WordsForm(forms.Form):
    words = forms.CharField(
        label=_("Remark"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3})
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(label=_("Reason"), max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))


class DoneForm(forms.Form):
    words = forms.CharField(
        label=_("What was done?"),
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("The customer reads this."),
    )

    @classmethod
    def of(cls, data: Any, incident: Incident) -> DoneForm:
        """Where a change is still owed, it asks why there is none."""
        form = cls(data)
        if incident.request.owes_change:
            form.fields["without_change"] = forms.CharField(
                label=_("Why is there no change?"),
                max_length=1000,
                widget=forms.Textarea(attrs={"rows": 2}),
                help_text=_(
                    "This work changes something, and no change of this request is closed. The customer reads this."
                ),
            )
        return form


class QuoteForm(forms.Form):
    valid_until = forms.DateField(
        label=_("Valid until"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 3}))
    attachments = FilesField(required=False)


class LineForm(forms.Form):
    text = forms.CharField(label=_("Work"), max_length=200)
    quantity = forms.DecimalField(
        label=_("Quantity"), min_value=Decimal("0.01"), max_digits=10, decimal_places=2, initial=Decimal(1)
    )
    unit_price = forms.DecimalField(label=_("Unit price, CNY"), min_value=Decimal(0), max_digits=12, decimal_places=2)


Lines = forms.formset_factory(LineForm, extra=4, min_num=1, validate_min=True, max_num=50, validate_max=True)


class AnswerForm(forms.Form):
    """The contact's own answer."""

    words = forms.CharField(
        label=_("Remark"), required=False, max_length=4000, widget=forms.Textarea(attrs={"rows": 2})
    )
    has_read = forms.BooleanField(label=_("I have read the text above."), required=False)
    answer = forms.ChoiceField(choices=[("sign", "sign"), ("decline", "decline")], widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("answer") == "sign" and not said.get("has_read"):
            self.add_error("has_read", _("Please say that you have read the text."))
        if said.get("answer") == "decline" and not (said.get("words") or "").strip():
            self.add_error("words", _("Please say why: the service team reads it."))
        return said


class RecordForm(forms.Form):
    """A signature on paper or in a mail, put in by an engineer."""

    channel = forms.ChoiceField(
        label=_("How did it come?"),
        choices=[(Channel.EMAIL, Channel.EMAIL.label), (Channel.PAPER, Channel.PAPER.label)],
    )
    signed_at = forms.DateTimeField(
        label=_("Signed at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
        input_formats=[LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"],
    )
    file = forms.FileField(
        label=_("The signed document, or the mail as a file"),
        allow_empty_file=True,
        help_text=_("Its SHA-256 is kept with the signature."),
    )
    words = forms.CharField(label=_("Remark"), required=False, max_length=4000, widget=forms.Textarea({"rows": 2}))

    def __init__(self, *args: Any, contacts: list[Contact], **options: Any) -> None:
        super().__init__(*args, **options)
        rows = Contact.objects.filter(pk__in=[contact.pk for contact in contacts]).select_related("user")
        self.fields["contact"] = forms.ModelChoiceField(rows, label=_("Who signed?"))
        self.fields["signed_at"].initial = timezone.localtime
        self.order_fields(["contact", "channel", "signed_at", "file", "words"])
