"""The shape of what people enter about channels and their own preferences."""

from __future__ import annotations

import re
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Severity, User
from accounts.permissions import is_manager
from notify.models import CHOSEN_TOPICS, Channel
from notify.services.channels import Details

SEVERITY_CHOICES = [
    ("", _("All severities")),
    *((level.value, level.label) for level in (Severity.DISASTER, Severity.HIGH, Severity.AVERAGE)),
]
TOPIC_CHOICES = [(topic.value, topic.label) for topic in CHOSEN_TOPICS]
SECRET_NAMES = ("access_token", "secret", "key", "url")
MOST_RECIPIENTS = 20
PROVIDER = "provider"


class SecretField(forms.CharField):
    """Goes in and never comes out: the page only says whether there is one."""

    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"})
        super().__init__(required=False, max_length=2000, widget=widget, **options)


class OwnerForm(forms.Form):
    """The first step: whose channel, and of which kind."""

    customer = forms.ChoiceField(label=_("Customer"))
    kind = forms.ChoiceField(label=_("Kind"), choices=Channel.Kind.choices, widget=forms.RadioSelect)

    def __init__(self, data: Any = None, *, person: User, initial: dict[str, object] | None = None) -> None:
        super().__init__(data, initial=initial)
        field = self.fields["customer"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = [("", "—"), *((str(pk), name) for pk, name in Customer.objects.values_list("pk", "name"))]
        if is_manager(person):
            field.choices = [*field.choices, (PROVIDER, _("The provider itself (hears of every customer)"))]

    @property
    def owner(self) -> Customer | None:
        chosen = self.cleaned_data["customer"]
        return None if chosen == PROVIDER else Customer.objects.get(pk=chosen)


class ChannelForm(forms.Form):
    """One channel. Which fields there are depends on the kind."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("As the group is called, for example."))
    purpose = forms.CharField(label=_("Purpose"), max_length=200, required=False)
    access_token = SecretField(
        label=_("Access token"), help_text=_("The robot's whole address may be pasted; only the token is kept.")
    )
    secret = SecretField(label=_("Signing secret"))
    key = SecretField(label=_("Key"), help_text=_("The robot's whole address may be pasted; only the key is kept."))
    url = SecretField(label=_("Address"), help_text=_("https:// and reachable from the internet. It is kept secret."))
    recipients = forms.CharField(
        label=_("Recipients"), widget=forms.Textarea(attrs={"rows": 3}), help_text=_("One e-mail address per line.")
    )
    keyword = forms.CharField(
        label=_("Keyword"),
        max_length=40,
        required=False,
        help_text=_("If the robot asks for a keyword: it is added to messages that lack it."),
    )
    topics = forms.MultipleChoiceField(
        label=_("Topics"),
        choices=TOPIC_CHOICES,
        widget=forms.CheckboxSelectMultiple,
        initial=[t for t, _l in TOPIC_CHOICES],
    )
    min_severity = forms.TypedChoiceField(
        label=_("From severity"), choices=SEVERITY_CHOICES, coerce=int, empty_value=None, required=False
    )
    fallback: forms.ModelChoiceField[Channel] = forms.ModelChoiceField(
        label=_("Next channel"),
        queryset=None,
        required=False,
        empty_label=_("None"),
        help_text=_("Takes over what this channel cannot deliver."),
    )
    mentions_all = forms.BooleanField(label=_("Mention everybody at a Disaster"), required=False)
    is_standby = forms.BooleanField(label=_("Use only as the next channel of another one"), required=False)
    is_active = forms.BooleanField(label=_("Active"), required=False, initial=True)

    OF_KIND: ClassVar[dict[str, tuple[str, ...]]] = {
        "access_token": (Channel.Kind.DINGTALK,),
        "secret": (Channel.Kind.DINGTALK, Channel.Kind.WEBHOOK),
        "key": (Channel.Kind.WECOM,),
        "url": (Channel.Kind.WEBHOOK,),
        "recipients": (Channel.Kind.EMAIL,),
        "keyword": (Channel.Kind.DINGTALK,),
        "mentions_all": (Channel.Kind.DINGTALK, Channel.Kind.WECOM),
    }

    def __init__(
        self,
        data: Any = None,
        *,
        kind: str,
        customer: Customer | None,
        channel: Channel | None = None,
        secrets_set: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(data, initial=_initial(channel))
        self.secrets_set = secrets_set
        for name, kinds in self.OF_KIND.items():
            if kind not in kinds:
                del self.fields[name]
        others = Channel.objects.existing().filter(customer=customer)
        fallback = self.fields["fallback"]
        assert isinstance(fallback, forms.ModelChoiceField)  # noqa: S101 - narrows the type
        fallback.queryset = others.exclude(pk=channel.pk) if channel else others
        if "secret" in self.fields:
            self.fields["secret"].help_text = (
                _("Begins with SEC; empty if the robot does not sign.")
                if kind == Channel.Kind.DINGTALK
                else _("At least 16 characters; the receiver checks our signature with it.")
            )
        for name in secrets_set & set(self.fields):
            self.fields[name].widget.attrs["placeholder"] = _("Set. Leave empty to keep it.")

    def clean_access_token(self) -> str:
        return _from_address(self.cleaned_data["access_token"], "access_token")

    def clean_key(self) -> str:
        return _from_address(self.cleaned_data["key"], "key")

    def clean_secret(self) -> str:
        value = str(self.cleaned_data["secret"]).strip()
        if value and "url" in self.fields and len(value) < 16:
            raise ValidationError(_("Too short: at least 16 characters."))
        return value

    def clean_url(self) -> str:
        value = str(self.cleaned_data["url"]).strip()
        if value and (urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname):
            raise ValidationError(_("Not an address: it must begin with https://."))
        return value

    def clean_recipients(self) -> list[str]:
        found = list(dict.fromkeys(re.split(r"[\s,;，；]+", self.cleaned_data["recipients"].strip())))
        for address in found:
            validate_email(address)
        if len(found) > MOST_RECIPIENTS:
            raise ValidationError(_("At most %(count)d addresses.") % {"count": MOST_RECIPIENTS})
        return found

    @property
    def details(self) -> Details:
        return Details(**{name: value for name, value in self.cleaned_data.items() if name not in SECRET_NAMES})

    @property
    def values(self) -> dict[str, str]:
        """The secrets that were entered."""
        return {name: self.cleaned_data[name] for name in SECRET_NAMES if self.cleaned_data.get(name)}


def _initial(channel: Channel | None) -> dict[str, object]:
    if channel is None:
        return {}
    known = {name: getattr(channel, name) for name in Details.__dataclass_fields__}
    return known | {"recipients": "\n".join(channel.recipients), "fallback": channel.fallback_id}


def _from_address(value: str, parameter: str) -> str:
    """The token out of a robot's whole address, or the token itself."""
    value = value.strip()
    if "://" in value:
        value = parse_qs(urlsplit(value).query).get(parameter, [""])[0]
        if not value:
            raise ValidationError(_("This address holds no token: copy the robot's address again."))
    if not re.fullmatch(r"[\w.-]*", value):
        raise ValidationError(_("A token has only letters, digits, dots and hyphens."))
    return value


class PreferenceForm(forms.Form):
    email_topics = forms.MultipleChoiceField(
        label=_("Topics by e-mail"),
        choices=[choice for choice in TOPIC_CHOICES if choice[0] != "account"],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("Messages about your own account always come by e-mail. The in-app messages show everything."),
    )
    email_min_severity = forms.TypedChoiceField(
        label=_("From severity"), choices=SEVERITY_CHOICES, coerce=int, empty_value=None, required=False
    )
    push_topics = forms.MultipleChoiceField(
        label=_("Topics pushed to my devices"),
        choices=[choice for choice in TOPIC_CHOICES if choice[0] != "account"],
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=_("A Disaster is always pushed. Calls and SMS follow the policy of the service, not these wishes."),
    )
    push_min_severity = forms.TypedChoiceField(
        label=_("From severity"), choices=SEVERITY_CHOICES, coerce=int, empty_value=None, required=False
    )
