"""Credentials as people type them. A secret goes in and never comes back into a form."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from assets.account_standard import BY_NAME
from assets.models import AccountPurpose, Asset, Credential, CredentialKind, Kind

SUDO = (("", _("not known")), ("yes", _("yes")), ("no", _("no")))
_SUDO_VALUES = {"yes": True, "no": False}
SERVER_KINDS = (Kind.ECS, Kind.SERVER)
DATABASE_KINDS = (
    Kind.RDS, Kind.REDIS, Kind.MEMCACHE, Kind.MONGODB, Kind.DRDS, Kind.ELASTICSEARCH, Kind.DATABASE, Kind.MIDDLEWARE,
)  # fmt: skip
PURPOSES = [choice for choice in AccountPurpose.choices if choice[0] != AccountPurpose.READING]


def kinds_of(asset: Asset) -> tuple[CredentialKind, ...]:
    """Which credentials an asset of this kind can have."""
    if asset.kind in SERVER_KINDS:
        return (CredentialKind.HOST, CredentialKind.KEY_PAIR)
    return (CredentialKind.DATABASE,) if asset.kind in DATABASE_KINDS else ()


class _Password(forms.PasswordInput):
    """Browsers are told that this is no password of the person's own."""

    def __init__(self) -> None:
        super().__init__(attrs={"autocomplete": "new-password"}, render_value=False)


class _About(forms.Form):
    """What is no secret about a credential."""

    purpose = forms.ChoiceField(label=_("Purpose"), choices=PURPOSES)
    has_sudo = forms.TypedChoiceField(
        label=_("May use sudo"), choices=SUDO, required=False, empty_value=None, coerce=lambda text: _SUDO_VALUES[text]
    )
    is_privileged = forms.BooleanField(
        label=_("Administrator login: a second person must agree before its secret is shown"), required=False
    )
    note = forms.CharField(label=_("Note"), max_length=300, required=False)


class ChangeForm(_About):
    def __init__(self, *args: Any, credential: Credential, **kwargs: Any) -> None:
        sudo = {True: "yes", False: "no"}.get(credential.has_sudo) if credential.has_sudo is not None else ""
        kwargs["initial"] = {
            "purpose": credential.purpose,
            "has_sudo": sudo,
            "is_privileged": credential.is_privileged,
            "note": credential.note,
        }
        super().__init__(*args, **kwargs)
        if credential.kind != CredentialKind.HOST:
            del self.fields["has_sudo"]
        if credential.kind == CredentialKind.CONSOLE or credential.is_reading_key:
            del self.fields["purpose"]
        if (
            credential.is_privileged or credential.is_reading_key
        ):  # taken back with a second person, on a form of its own
            del self.fields["is_privileged"]


class NewCredentialForm(_About):
    """An account of a host or database, or a key pair, by the kind that the address names."""

    username = forms.CharField(label=_("Account name"), max_length=128)
    secret = forms.CharField(label=_("Password"), max_length=256, required=False, strip=False, widget=_Password())

    field_order = ("username", "purpose", "has_sudo", "secret", "is_privileged", "note")

    def __init__(self, *args: Any, kind: CredentialKind, username: str = "", **kwargs: Any) -> None:
        expected = BY_NAME.get(username)
        kwargs["initial"] = {
            "username": username,
            "purpose": expected.purpose if expected else AccountPurpose.OTHER,
            "has_sudo": "" if expected is None else "yes" if expected.has_sudo else "no",
        }
        super().__init__(*args, **kwargs)
        if kind != CredentialKind.HOST:
            del self.fields["has_sudo"]
        if kind == CredentialKind.KEY_PAIR:
            self.fields["secret"] = private_key_field()
            self.order_fields(self.field_order)


def private_key_field() -> forms.CharField:
    return forms.CharField(
        label=_("Private key"),
        max_length=10_000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text=_("In OpenSSH's format, without a passphrase. Empty: a new pair is made here."),
    )


class OperationsKeyForm(forms.Form):
    """The AccessKey with which the platform acts under approved changes; the SOW's reading key stays what it is."""

    username = forms.CharField(label=_("RAM user"), max_length=128)
    access_key_id = forms.CharField(label=_("AccessKey ID"), max_length=64)
    secret = forms.CharField(label=_("AccessKey secret"), max_length=128, widget=_Password())
    note = forms.CharField(label=_("Note"), max_length=300, required=False)


class SecretForm(forms.Form):
    """A secret that was changed elsewhere."""

    secret = forms.CharField(label=_("Password"), max_length=256, strip=False, widget=_Password())

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kind == CredentialKind.KEY_PAIR:
            self.fields["secret"] = private_key_field()
            self.fields["secret"].required = True
            self.fields["secret"].help_text = _("In OpenSSH's format, without a passphrase.")


class CheckedForm(forms.Form):
    works = forms.TypedChoiceField(
        label=_("Result"),
        choices=(("yes", _("It works")), ("no", _("It was refused"))),
        coerce=lambda text: text == "yes",
    )
    words = forms.CharField(label=_("How it was checked"), max_length=300)


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=300,
        help_text=_("For which incident or change; kept with your name and the time."),
    )
