"""What people say about sessions, nodes and keys."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from bastion.models.recordings import LARGEST_COPY_MB, LONGEST_DAYS, SHORTEST_DAYS


class WordsForm(forms.Form):
    words = forms.CharField(
        label=_("What is to stand on the screen?"), max_length=300, widget=forms.Textarea({"rows": 2})
    )


class ReasonForm(forms.Form):
    words = forms.CharField(
        label=_("Reason"), max_length=300, required=False, help_text=_("The person reads it as the last line.")
    )


class HoldForm(forms.Form):
    words = forms.CharField(
        label=_("Why does the recording have to stay?"), max_length=300, widget=forms.Textarea({"rows": 2})
    )


class RetentionForm(forms.Form):
    keep_days = forms.IntegerField(
        label=_("Days that recordings are kept"),
        min_value=SHORTEST_DAYS,
        max_value=LONGEST_DAYS,
        help_text=_("The Cybersecurity Law asks for six months at least."),
    )
    tells_watched = forms.BooleanField(
        label=_("Tell people that somebody looks on"),
        required=False,
        help_text=_("A line on their screen names whoever begins to watch."),
    )
    copies_mb = forms.IntegerField(
        label=_("Keep copies of files up to"),
        min_value=0,
        max_value=LARGEST_COPY_MB,
        help_text=_("Megabytes, of files that go through SFTP and scp. 0: no copies are kept."),
    )


class SearchForm(forms.Form):
    """Beside the words of a search: who, where, from which day to which."""

    who = forms.CharField(label=_("Person"), required=False, max_length=80)
    where = forms.CharField(label=_("Resource"), required=False, max_length=80)
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}))

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        for field in self.fields.values():
            field.widget.attrs |= {
                "class": "form-control w-auto",
                "placeholder": str(field.label),
                "title": str(field.label),
            }


class NothingForm(forms.Form):
    """Only a press."""


class NodeForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    customer = forms.ModelChoiceField(
        Customer.objects.none(),
        label=_("Customer"),
        required=False,
        help_text=_("Empty: it stands beside the platform and serves all customers."),
    )

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.fields["customer"].queryset = Customer.objects.all()  # type: ignore[attr-defined]


class NodeAddressForm(forms.Form):
    """How it is called, and what people write into their SSH client."""

    name = forms.CharField(label=_("Name"), max_length=80)
    ssh_host = forms.RegexField(
        r"\A[A-Za-z0-9.:_-]{1,253}\Z",
        label=_("Address for SSH clients"),
        help_text=_("A name or an IP address under which people reach this node."),
    )
    ssh_port = forms.IntegerField(label=_("Port for SSH clients"), min_value=1, max_value=65535)


class KeyForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80, required=False, help_text=_("Such as: laptop."))
    public_key = forms.CharField(
        label=_("Public key"),
        max_length=8000,
        widget=forms.Textarea({"rows": 4, "class": "font-monospace", "placeholder": "ssh-ed25519 AAAA…"}),
    )
