"""What is entered about receivers of the audit log."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from notify.models import AuditReceiver
from notify.services.siem import Wanted

_SYSLOG = {"data-shown-when": "kind=syslog_tls kind=syslog"}


class ReceiverForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    kind = forms.ChoiceField(
        label=_("Kind"),
        choices=AuditReceiver.Kind.choices,
        disabled=True,
        help_text=_("The kind of a receiver stays. Make another one."),
    )
    host = forms.CharField(
        label=_("Host"),
        max_length=253,
        required=False,
        widget=forms.TextInput(_SYSLOG),
        help_text=_("Of syslog, as its certificate names it."),
    )
    port = forms.IntegerField(
        label=_("Port"),
        min_value=1,
        max_value=65535,
        required=False,
        initial=6514,
        widget=forms.NumberInput(_SYSLOG),
    )
    authority = forms.CharField(
        label=_("Certificate authority"),
        required=False,
        max_length=60_000,
        widget=forms.Textarea(
            {
                "rows": 4,
                "class": "font-monospace",
                "spellcheck": "false",
                "data-shown-when": "kind=syslog_tls",
            }
        ),
        help_text=_("PEM, of a receiver whose certificate no public authority has signed."),
    )
    url = forms.CharField(
        label=_("URL"),
        max_length=500,
        required=False,
        widget=forms.TextInput({"data-shown-when": "kind=webhook"}),
        help_text=_("Of a webhook: https://…"),
    )
    is_on = forms.BooleanField(label=_("In use"), required=False, initial=True)

    def wanted(self) -> Wanted:
        given = self.cleaned_data
        return Wanted(**{name: given[name] for name in Wanted.__dataclass_fields__})


class NewReceiverForm(ReceiverForm):
    kind = forms.ChoiceField(label=_("Kind"), choices=AuditReceiver.Kind.choices)
    field_order = ("customer", "name", "kind", "host", "port", "authority", "url", "from_start", "is_on")
    customer: forms.ModelChoiceField[Customer] = forms.ModelChoiceField(
        None, label=_("Whose log"), required=False, empty_label=_("All customers' and the platform's own")
    )
    from_start = forms.BooleanField(
        label=_("Also what was written before"), required=False, help_text=_("Otherwise from now on.")
    )

    def __init__(self, *args: Any, customers: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if customers is None:
            del self.fields["customer"]
        else:
            self.fields["customer"].queryset = customers  # type: ignore[attr-defined]  # a choice of rows


def first_of(receiver: AuditReceiver) -> dict[str, object]:
    return {name: getattr(receiver, name) for name in Wanted.__dataclass_fields__}
