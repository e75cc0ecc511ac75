"""What people enter about calls, SMS and their own devices."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import phones
from notify.channels import push
from notify.forms import SecretField
from notify.models import OutletSettings
from notify.outlets import ACCESS_KEY
from notify.services.outlets import Details


class OutletForm(forms.Form):
    """The account for calls and SMS; secrets go in and never come out."""

    access_key_id = SecretField(label="AccessKey ID")
    access_key_secret = SecretField(
        label="AccessKey Secret",
        help_text=gettext_lazy("Of a RAM user that may do nothing but dyvms:* and dysms:*."),
    )
    voice_is_on = forms.BooleanField(label=gettext_lazy("Make calls"), required=False)
    tts_code = forms.CharField(label=gettext_lazy("Voice template"), max_length=40, required=False)
    show_number = forms.CharField(
        label=gettext_lazy("Number shown"),
        max_length=20,
        required=False,
        help_text=gettext_lazy("A number bought for this account. Empty: one of Alibaba Cloud's shared numbers."),
    )
    ivr_start_code = forms.CharField(
        label=gettext_lazy("Voice template with a key to press"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("Whoever is on duty takes the incident by pressing 1. It needs a number of its own."),
    )
    ivr_bye_code = forms.CharField(label=gettext_lazy("Voice template for goodbye"), max_length=40, required=False)
    sms_is_on = forms.BooleanField(label=gettext_lazy("Send SMS"), required=False)
    sms_sign = forms.CharField(label=gettext_lazy("SMS signature"), max_length=40, required=False)
    sms_code = forms.CharField(label=gettext_lazy("SMS template"), max_length=40, required=False)
    endpoint_override = forms.CharField(
        label=gettext_lazy("Other address of the API"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Only for a trial; its host must be in NOTIFY_ALLOWED_HOSTS."),
    )

    def __init__(self, data: Any = None, *, chosen: OutletSettings, has_key: bool) -> None:
        super().__init__(data, initial={name: getattr(chosen, name) for name in Details.__dataclass_fields__})
        self.has_key = has_key
        if has_key:
            for name in ACCESS_KEY:
                self.fields[name].widget.attrs["placeholder"] = _("Set. Leave empty to keep it.")

    def clean_show_number(self) -> str:
        typed = str(self.cleaned_data["show_number"])
        number = phones.normal(typed)
        if typed and not number:
            raise ValidationError(_("This is no telephone number."))
        return number

    def clean_endpoint_override(self) -> str:
        value = str(self.cleaned_data["endpoint_override"]).strip().rstrip("/")
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query):
            raise ValidationError(_("Not an address: it must begin with https://."))
        return value

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if bool(data.get("access_key_id")) != bool(data.get("access_key_secret")):
            self.add_error("access_key_secret", _("ID and secret belong together: enter both."))
        if (data.get("voice_is_on") or data.get("sms_is_on")) and not (self.has_key or data.get("access_key_id")):
            self.add_error("access_key_id", _("Calls and SMS need an AccessKey."))
        if data.get("voice_is_on") and not data.get("tts_code"):
            self.add_error("tts_code", _("Calls need an approved voice template."))
        if data.get("ivr_start_code") and not (data.get("ivr_bye_code") and data.get("show_number")):
            self.add_error("ivr_start_code", _("Pressing a key needs a number shown and a template for goodbye."))
        for name in ("sms_sign", "sms_code"):
            if data.get("sms_is_on") and not data.get(name):
                self.add_error(name, _("SMS need an approved signature and template."))
        return data

    @property
    def details(self) -> Details:
        return Details(**{name: self.cleaned_data[name] for name in Details.__dataclass_fields__})

    @property
    def values(self) -> dict[str, str]:
        return {name: self.cleaned_data[name].strip() for name in ACCESS_KEY}


class DeviceForm(forms.Form):
    """A browser's subscription, as its script sends it."""

    endpoint = forms.CharField(max_length=1000)
    p256dh = forms.CharField(max_length=100)
    auth = forms.CharField(max_length=40)

    @property
    def device(self) -> push.Device:
        return push.Device(**self.cleaned_data)
