"""The shape of what people enter about ways in."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Severity, User
from accounts.permissions import is_manager
from incidents.models import ALARM_KINDS, InboundKind, InboundSource
from incidents.services.sources import SECRETS_OF_KIND, Details
from notify.inbound import mapped, wecom
from notify.inbound.reading import BadInputError

PROVIDER: Final = "provider"
SECRET_NAMES: Final = ("password", "app_secret", "token", "aes_key")
MOST_WORDS: Final = 100
SECURITY: Final = (("ssl", _("TLS (port 993)")), ("starttls", _("STARTTLS (port 143)")))


class SecretField(forms.CharField):
    """Goes in and never comes out: the page only says whether there is one."""

    def __init__(self, **options: Any) -> None:
        widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"})
        super().__init__(required=False, max_length=500, widget=widget, **options)


class OwnerForm(forms.Form):
    """The first step: whose way in, and of which kind."""

    customer = forms.ChoiceField(label=_("Customer"))
    kind = forms.ChoiceField(label=_("Kind"), choices=InboundKind.choices, widget=forms.RadioSelect)

    def __init__(self, data: Any = None, *, person: User, initial: dict[str, object] | None = None) -> None:
        super().__init__(data, initial=initial)
        choices = [("", "—"), *((str(pk), name) for pk, name in Customer.objects.values_list("pk", "name"))]
        if is_manager(person):
            choices.append((PROVIDER, str(_("The provider itself (may bring news of every customer)"))))
        field = self.fields["customer"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - narrows the type
        field.choices = choices

    @property
    def owner(self) -> Customer | None:
        chosen = self.cleaned_data["customer"]
        return None if chosen == PROVIDER else Customer.objects.get(pk=chosen)


class SourceForm(forms.Form):
    """One way in. Which fields there are depends on the kind."""

    name = forms.CharField(label=_("Name"), max_length=80)
    # a mailbox
    host = forms.CharField(label=_("IMAP server"), max_length=253)
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535, initial=993)
    security = forms.ChoiceField(label=_("Encryption"), choices=SECURITY, initial="ssl")
    username = forms.CharField(label=_("User name"), max_length=200)
    password = SecretField(label=_("Password"))
    folder = forms.CharField(label=_("Folder"), max_length=100, initial="INBOX")
    address = forms.EmailField(label=_("Address"), help_text=_("Where people write to; our own mails are known by it."))
    deletes = forms.BooleanField(label=_("Delete mails from the server once they are stored here"), required=False)
    authserv = forms.CharField(
        label=_("Mail server that checks senders"),
        max_length=253,
        required=False,
        help_text=_(
            "The name with which your mail server begins its Authentication-Results (SPF, DKIM, DMARC). A sender is"
            " believed when this server vouches for them; others wait in the queue of unknown senders."
        ),
    )
    trusts_from = forms.BooleanField(
        label=_("Believe the sender's address without such a check"),
        required=False,
        help_text=_("Anybody can write any sender into a mail. Only for a server that refuses forged senders itself."),
    )
    # chats
    app_secret = SecretField(label=_("AppSecret"), help_text=_("Of the enterprise's own application with the robot."))
    corp_id = forms.CharField(label=_("Corp ID"), max_length=64)
    token = SecretField(label=_("Token"))
    aes_key = SecretField(label=_("EncodingAESKey"))
    # alarms
    customer_label = forms.SlugField(
        label=_("Label that names the customer"), required=False, initial="customer", max_length=60
    )
    items = forms.CharField(
        label=_("Path to the list"), required=False, max_length=300, help_text=_("Empty: the whole body is one alarm.")
    )
    path_title = forms.CharField(label=_("Path of the title"), max_length=300, initial="$.title")
    path_key = forms.CharField(
        label=_("Path of what is the same for an alarm and its end"), max_length=300, required=False
    )
    path_status = forms.CharField(
        label=_("Path of the state"), max_length=300, required=False, help_text=_("Empty: every message is an alarm.")
    )
    path_severity = forms.CharField(label=_("Path of the severity"), max_length=300, required=False)
    path_text = forms.CharField(label=_("Path of the text"), max_length=300, required=False)
    path_time = forms.CharField(label=_("Path of the time"), max_length=300, required=False)
    path_asset = forms.CharField(label=_("Path of the asset"), max_length=300, required=False)
    path_customer = forms.CharField(label=_("Path of the customer"), max_length=300, required=False)
    ended = forms.CharField(
        label=_("States that mean the end"),
        required=False,
        max_length=500,
        help_text=_("Words with commas between them. Empty: resolved, ok, recovered, closed, normal, 恢复, 正常."),
    )
    severities = forms.CharField(
        label=_("What its words for severity mean"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One per line, such as “urgent = 1”; 1 is Disaster, 4 is Warning. The usual words are known."),
    )
    default_severity = forms.TypedChoiceField(
        label=_("Severity when nothing is said"), choices=Severity.choices, coerce=int, initial=Severity.AVERAGE
    )
    is_active = forms.BooleanField(label=_("Active"), required=False, initial=True)

    MAILBOX: ClassVar = (
        "host",
        "port",
        "security",
        "username",
        "folder",
        "address",
        "deletes",
        "authserv",
        "trusts_from",
    )
    GENERIC: ClassVar = ("items", *(f"path_{name}" for name in mapped.FIELDS), "ended")

    def __init__(
        self,
        data: Any = None,
        *,
        kind: str,
        customer: Customer | None,
        source: InboundSource | None = None,
        secrets_set: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(data, initial=_initial(source))
        self.kind = kind
        for name in list(self.fields):
            if not self._belongs(name, customer):
                del self.fields[name]
        for name in SECRET_NAMES:
            if name in self.fields and name in secrets_set:
                self.fields[name].widget.attrs["placeholder"] = _("Set. Leave empty to keep it.")

    def _belongs(self, name: str, customer: Customer | None) -> bool:
        if name in SECRET_NAMES:
            return name in SECRETS_OF_KIND.get(self.kind, ())
        if name in self.MAILBOX:
            return self.kind == InboundKind.EMAIL
        if name in ("customer_label", "path_customer"):
            wanted = InboundKind.GENERIC if name == "path_customer" else (InboundKind.ALERTMANAGER, InboundKind.GRAFANA)
            return customer is None and self.kind in wanted
        if name in self.GENERIC:
            return self.kind == InboundKind.GENERIC
        if name == "corp_id":
            return self.kind == InboundKind.WECOM
        return name != "severities" or self.kind in ALARM_KINDS

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        for name in self.GENERIC:
            path = said.get(name, "")
            if name != "ended" and path and (wrong := mapped.check(path)):
                self.add_error(name, _("Not a JSON path: %(problem)s") % {"problem": wrong})
        if said.get("authserv") and said.get("trusts_from"):
            self.add_error("trusts_from", _("Either the server checks senders, or nobody does."))
        return said

    def clean_aes_key(self) -> str:
        value = str(self.cleaned_data["aes_key"]).strip()
        try:
            if value:
                wecom.key_of(value)
        except BadInputError:
            raise ValidationError(_("An EncodingAESKey has 43 letters and digits.")) from None
        return value

    def clean_severities(self) -> dict[str, int]:
        table: dict[str, int] = {}
        for line in self.cleaned_data["severities"].splitlines():
            if not line.strip():
                continue
            word, _sign, number = line.rpartition("=")
            if not word.strip() or number.strip() not in map(str, Severity.values) or len(table) >= MOST_WORDS:
                raise ValidationError(
                    _("“%(line)s” is not a word, “=” and a number from 1 to 4.") % {"line": line[:60]}
                )
            table[word.strip()] = int(number)
        return table

    def clean_ended(self) -> list[str]:
        return [word for word in re.split(r"[\s,，;；]+", self.cleaned_data["ended"]) if word]

    @property
    def details(self) -> Details:
        said = self.cleaned_data
        config: dict[str, object] = {name: said[name] for name in (*self.MAILBOX, "corp_id") if name in said}
        config |= {name: said[name] for name in ("items", "ended", "severities", "customer_label") if said.get(name)}
        if self.kind == InboundKind.GENERIC:
            config["paths"] = {name: said[f"path_{name}"] for name in mapped.FIELDS if said.get(f"path_{name}")}
        return Details(said["name"], config, said["default_severity"], said["is_active"])

    @property
    def values(self) -> dict[str, str]:
        """The secrets that were entered."""
        return {name: self.cleaned_data[name].strip() for name in SECRET_NAMES if self.cleaned_data.get(name)}


class SampleForm(forms.Form):
    sample = forms.CharField(
        label=_("A sample of what it sends"),
        max_length=200_000,
        widget=forms.Textarea(attrs={"rows": 12, "spellcheck": "false", "class": "font-monospace"}),
    )


def _initial(source: InboundSource | None) -> dict[str, object]:
    if source is None:
        return {}
    known: dict[str, object] = {**source.config, "name": source.name, "default_severity": source.default_severity}
    paths, severities, ended = (source.config.get(name) for name in ("paths", "severities", "ended"))
    if isinstance(paths, dict):
        known |= {f"path_{name}": path for name, path in paths.items()}
    if isinstance(severities, dict):
        known["severities"] = "\n".join(f"{word} = {number}" for word, number in severities.items())
    if isinstance(ended, list):
        known["ended"] = ", ".join(map(str, ended))
    return known | {"is_active": source.is_active}
