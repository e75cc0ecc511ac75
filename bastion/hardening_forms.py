"""What people say about hardening: what is asked, exceptions, remedies, explanations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from bastion.models import HardeningPolicy
from bastion.services.hardening.policies import Terms
from changes.catalogue import Field, Type
from changes.operation_forms import form_field

ZONE = ZoneInfo("Asia/Shanghai")
USUAL_EXCEPTION = timedelta(days=90)


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\s,;，；、]+", text) if word]


class PortsForm(forms.Form):
    """Of one server: what may listen there beside what holds for all."""

    ports = forms.CharField(
        label=gettext_lazy("Agreed ports"),
        required=False,
        max_length=2000,
        widget=forms.Textarea({"rows": 2, "class": "font-monospace", "placeholder": "80 443"}),
        help_text=gettext_lazy("Those that may answer others, with blanks between. sshd's own is always among them."),
    )
    note = forms.CharField(label=gettext_lazy("Remark"), required=False, max_length=300)

    def clean_ports(self) -> tuple[int, ...]:
        words = _words(self.cleaned_data["ports"])
        if wrong := next((word for word in words if not (word.isascii() and word.isdecimal() and len(word) < 6)), ""):
            raise forms.ValidationError(_("“%(text)s” is no port.") % {"text": wrong[:40]})
        return tuple(int(word) for word in words)

    @classmethod
    def of(cls, policy: HardeningPolicy, posted: Mapping[str, object] | None) -> PortsForm:
        return cls(posted, initial={"ports": " ".join(map(str, policy.ports)), "note": policy.note})

    @property
    def terms(self) -> Terms:
        return Terms(ports=self.cleaned_data["ports"], note=self.cleaned_data["note"])


class PolicyForm(PortsForm):
    """Of all servers of a customer."""

    bastions = forms.CharField(
        label=gettext_lazy("Addresses of the bastion"),
        required=False,
        max_length=4000,
        widget=forms.Textarea({"rows": 2, "class": "font-monospace", "placeholder": "10.8.0.4 2001:db8::/64"}),
        help_text=gettext_lazy(
            "From where nodes and platform come, as servers see it. Nodes whose address is a number are known already."
        ),
    )
    images = forms.CharField(
        label=gettext_lazy("Hardened images"),
        required=False,
        max_length=4000,
        widget=forms.Textarea({"rows": 2, "class": "font-monospace", "placeholder": "m-bp1…"}),
        help_text=gettext_lazy("The IDs of images from which servers of this customer are to be made."),
    )
    password_days = forms.IntegerField(
        label=gettext_lazy("Passwords end after days"), min_value=1, max_value=3650, initial=90
    )
    allows_passwords = forms.BooleanField(
        label=gettext_lazy("Passwords for SSH were agreed with the customer"), required=False
    )
    is_weekly = forms.BooleanField(label=gettext_lazy("Look at all servers every week"), required=False)
    reads_logins = forms.BooleanField(label=gettext_lazy("Look for direct log-ins"), required=False)

    field_order = (
        "ports", "bastions", "images", "password_days", "allows_passwords", "is_weekly", "reads_logins", "note",
    )  # fmt: skip

    def clean_bastions(self) -> tuple[str, ...]:
        return tuple(_words(self.cleaned_data["bastions"]))

    def clean_images(self) -> tuple[str, ...]:
        return tuple(word[:80] for word in _words(self.cleaned_data["images"]))

    @classmethod
    def of(cls, policy: HardeningPolicy, posted: Mapping[str, object] | None) -> PolicyForm:
        said: dict[str, object] = {
            "ports": " ".join(map(str, policy.ports)),
            "bastions": " ".join(policy.bastions),
            "images": " ".join(policy.images),
            "password_days": policy.password_days,
            "allows_passwords": policy.allows_passwords,
            "is_weekly": policy.is_weekly,
            "reads_logins": policy.reads_logins,
            "note": policy.note,
        }
        return cls(posted, initial=said)

    @property
    def terms(self) -> Terms:
        return Terms(**self.cleaned_data)


class ExceptionForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Why it cannot be made right"),
        max_length=500,
        widget=forms.Textarea({"rows": 3}),
        help_text=gettext_lazy("The customer's named contact signs this, and answers for what comes of it."),
    )
    until = forms.DateField(label=gettext_lazy("Until"), widget=forms.DateInput({"type": "date"}))

    @classmethod
    def of(cls, posted: Mapping[str, object] | None, now: datetime) -> ExceptionForm:
        return cls(posted, initial={"until": timezone.localdate(now + USUAL_EXCEPTION)})

    @property
    def ends_at(self) -> datetime:
        """The end of the day."""
        return datetime.combine(self.cleaned_data["until"], time(23, 59, 59), ZONE)


class EndForm(forms.Form):
    words = forms.CharField(
        label=pgettext_lazy("exception", "Why it ends"), max_length=300, widget=forms.Textarea({"rows": 2})
    )


class ExplainForm(forms.Form):
    words = forms.CharField(
        label=gettext_lazy("Who was it, and why?"), max_length=500, widget=forms.Textarea({"rows": 3})
    )
    is_all = forms.BooleanField(
        label=gettext_lazy("The same holds for all others of this account from there on this server"), required=False
    )


class RemedyForm(forms.Form):
    """The values of the shipped script, as the checklist proposes them."""

    def __init__(
        self, posted: Mapping[str, object] | None, *, asked: tuple[Field, ...], values: Mapping[str, str]
    ) -> None:
        super().__init__(posted)
        for one in asked:
            self.fields[one.name] = form_field(one)
            value = values.get(one.name, "")
            self.fields[one.name].initial = value == "yes" if one.type is Type.BOOLEAN else value

    @property
    def values(self) -> dict[str, str]:
        return {
            name: "yes" if value is True else "no" if value is False else str(value)
            for name, value in self.cleaned_data.items()
            if value not in (None, "")
        }
