"""Assets and cloud accounts as people type them: the shape of the input. What makes sense is decided by services."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Customer
from assets import sheets
from assets.facts import DATABASE_PORTS, MIDDLEWARE_PORTS, Facts
from assets.models import Asset, CloudAccount, Environment, Kind
from assets.services import Credentials
from assets.services.inventory import Ownership

_OWNER = ("environment", "owner_name", "owner_contact", "role_text")
_SHOWN: Mapping[str, tuple[str, ...]] = {
    Kind.SERVER: ("host", "private_ip", "public_ip", "os", "spec", "region", "hardware_by_customer", "expires_at"),
    Kind.DATABASE: ("product", "host", "port", "engine", "spec"),
    Kind.MIDDLEWARE: ("product", "host", "port", "engine"),
    Kind.URL: ("url",),
    Kind.PORT: ("host", "port"),
    Kind.LOAD_BALANCER: ("host", "private_ip", "public_ip", "product", "expires_at"),
}
_PRODUCTS: Mapping[str, tuple[str, ...]] = {
    Kind.DATABASE: tuple(DATABASE_PORTS),
    Kind.MIDDLEWARE: tuple(MIDDLEWARE_PORTS),
    Kind.LOAD_BALANCER: ("nginx", "haproxy", "f5", "tencent-clb", "huawei-elb", "aws-elb"),
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    Kind.SERVER: ("os",),
    Kind.DATABASE: ("product", "host"),
    Kind.MIDDLEWARE: ("product", "host"),
    Kind.URL: ("url",),
    Kind.PORT: ("host", "port"),
    Kind.LOAD_BALANCER: (),
}


if TYPE_CHECKING:  # only type checkers know that the field has a parameter
    CustomerChoice = forms.ModelChoiceField[Customer]
else:
    CustomerChoice = forms.ModelChoiceField


class CustomerField(CustomerChoice):
    """One of the customers in reach, which are known only once the form is shown to somebody."""

    def __init__(self) -> None:
        super().__init__(None, label=gettext_lazy("Customer"), empty_label=None)


def offer_customers(form: forms.Form) -> None:
    field = form.fields["customer"]
    assert isinstance(field, CustomerField)  # noqa: S101 - narrows the type; every caller declares it
    field.queryset = Customer.objects.all()


class Datalist(forms.TextInput):
    """A text field with suggestions."""

    def __init__(self, options: tuple[str, ...]) -> None:
        super().__init__(attrs={"autocomplete": "off"})
        self.options = options

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        field = super().render(name, value, {**(attrs or {}), "list": f"{name}-options"}, renderer)
        options = format_html_join("", '<option value="{}"></option>', ((option,) for option in self.options))
        return format_html('{}<datalist id="{}-options">{}</datalist>', field, name, options)


class TagsField(forms.CharField):
    """``key=value; key=value``; cleans to a mapping."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return sheets.parse_tags(text or "")
        except ValueError:
            raise ValidationError(_("Write tags as key=value; key=value.")) from None

    def prepare_value(self, value: Any) -> Any:
        return sheets.tags_text(value) if isinstance(value, dict) else value


class GroupedForm(forms.Form):
    """A long form in portions, as the template shows them; fields that no group names come last."""

    groups: tuple[tuple[str | Promise, tuple[str, ...]], ...] = ()

    def portions(self) -> list[tuple[str | Promise, list[forms.BoundField]]]:
        named = {name for _, names in self.groups for name in names}
        rest: tuple[str | Promise, tuple[str, ...]] = ("", tuple(name for name in self.fields if name not in named))
        portions = [
            (label, [self[name] for name in names if name in self.fields]) for label, names in (*self.groups, rest)
        ]
        return [(label, fields) for label, fields in portions if fields]


class AssetForm(GroupedForm):
    """A manual asset. Which fields there are depends on its kind; a customer is chosen only for a new one."""

    groups = (
        ("", ("customer", "name", "product", "url", "host", "port")),
        ("", ("private_ip", "public_ip", "os", "engine", "spec", "region", "expires_at", "hardware_by_customer")),
        (gettext_lazy("Owner and role"), _OWNER),
        (gettext_lazy("More"), ("tags", "notes")),
    )

    customer = CustomerField()
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    product = forms.CharField(label=gettext_lazy("Product"), max_length=40)
    url = forms.CharField(label=gettext_lazy("URL"), max_length=500, initial="https://")
    host = forms.CharField(
        label=gettext_lazy("Host"), max_length=253, help_text=gettext_lazy("Name or IP address that answers.")
    )
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65535)
    private_ip = forms.CharField(label=gettext_lazy("Private address"), max_length=45)
    public_ip = forms.CharField(label=gettext_lazy("Public address"), max_length=45)
    os = forms.ChoiceField(label=gettext_lazy("Operating system"), choices=Asset.Os)
    engine = forms.CharField(label=gettext_lazy("Engine and version"), max_length=80)
    spec = forms.CharField(label=gettext_lazy("Specification"), max_length=120, help_text=gettext_lazy("Such as 4C8G."))
    region = forms.CharField(label=gettext_lazy("Region or server room"), max_length=40)
    expires_at = forms.DateTimeField(
        label=gettext_lazy("Expires at"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
    )
    hardware_by_customer = forms.BooleanField(
        label=gettext_lazy("In the customer's own server room: the customer does racking, power and parts"),
    )
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), choices=Environment)
    owner_name = forms.CharField(label=gettext_lazy("Owner"), max_length=80)
    owner_contact = forms.CharField(label=gettext_lazy("Owner's phone or e-mail"), max_length=120)
    role_text = forms.CharField(
        label=gettext_lazy("Business role"), max_length=200, help_text=gettext_lazy("What it does for the business.")
    )
    tags = TagsField(label=gettext_lazy("Tags"), help_text=gettext_lazy("key=value; key=value"))
    notes = forms.CharField(label=gettext_lazy("Notes"), widget=forms.Textarea(attrs={"rows": 3}), max_length=4000)

    def __init__(self, *args: Any, kind: str, asset: Asset | None = None, **kwargs: Any) -> None:
        kwargs["initial"] = _initial(asset)
        super().__init__(*args, **kwargs)
        self.kind = kind
        shown = ("name", *_SHOWN[kind], *_OWNER, "tags", "notes")
        for name in [name for name in self.fields if name not in shown and name != "customer"]:
            del self.fields[name]
        if asset is not None:
            del self.fields["customer"]
        else:
            offer_customers(self)
        for name, field in self.fields.items():
            field.required = name in ("customer", "name", *_REQUIRED[kind])
        if kind in _PRODUCTS:
            self.fields["product"].widget = Datalist(_PRODUCTS[kind])

    def facts(self) -> Facts:
        values = {name: value for name, value in self.cleaned_data.items() if name != "customer" and value is not None}
        values["private_ip"] = values.get("private_ip") or None
        values["public_ip"] = values.get("public_ip") or None
        values["environment"] = values.get("environment") or Environment.UNKNOWN
        return Facts(kind=self.kind, **values)

    def take_errors(self, problem: ValidationError) -> None:
        """Put the service's objections where the person can see them."""
        for name, texts in problem.message_dict.items():
            for text in texts:
                self.add_error(name if name in self.fields else None, text)


def _initial(asset: Asset | None) -> dict[str, object]:
    if asset is None:
        return {"environment": Environment.UNKNOWN}
    values = {name: getattr(asset, name) for name in Facts.__dataclass_fields__}
    values["expires_at"] = timezone.localtime(asset.expires_at) if asset.expires_at else None
    return values


class OwnerForm(forms.Form):
    """What the customer knows about one resource."""

    owner_name = forms.CharField(label=gettext_lazy("Owner"), max_length=80, required=False)
    owner_contact = forms.CharField(label=gettext_lazy("Owner's phone or e-mail"), max_length=120, required=False)
    role_text = forms.CharField(
        label=gettext_lazy("Business role"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("What it does for the business."),
    )
    environment = forms.ChoiceField(label=gettext_lazy("Environment"), choices=Environment)
    notes = forms.CharField(
        label=gettext_lazy("Notes"), widget=forms.Textarea(attrs={"rows": 3}), max_length=4000, required=False
    )

    def ownership(self) -> Ownership:
        return Ownership(**self.cleaned_data)


class BulkOwnerForm(forms.Form):
    """The same for several resources at once: what is left empty stays as it is."""

    owner_name = forms.CharField(label=gettext_lazy("Owner"), max_length=80, required=False)
    owner_contact = forms.CharField(label=gettext_lazy("Owner's phone or e-mail"), max_length=120, required=False)
    role_text = forms.CharField(label=gettext_lazy("Business role"), max_length=200, required=False)
    environment = forms.ChoiceField(
        label=gettext_lazy("Environment"), choices=[("", "—"), *Environment.choices[:-1]], required=False
    )

    def ownership(self) -> Ownership:
        return Ownership(**{name: value or None for name, value in self.cleaned_data.items()})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not any(cleaned.values()):
            raise ValidationError(_("Fill in at least one field."))
        return cleaned


class UploadForm(forms.Form):
    customer = CustomerField()
    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv,text/plain"}),
        help_text=gettext_lazy("Up to 2000 lines; UTF-8 or GB18030, as Excel and WPS save it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_customers(self)

    def clean_file(self) -> str:
        """The text of the file; its meaning is read later."""
        upload = self.cleaned_data["file"]
        try:
            text = sheets.decode(upload.read(sheets.LARGEST + 1))
            sheets.read(text)
        except sheets.SheetError as error:
            raise ValidationError(_sheet_problem(error)) from None
        return text


def _sheet_problem(error: sheets.SheetError) -> str:
    return {
        "too_large": _("The file is larger than 1 MB. Please split it."),
        "too_long": _("The file has more than 2000 lines. Please split it."),
        "encoding": _("This is not a CSV text file. In Excel, save it as “CSV UTF-8”."),
        "empty": _("The file is empty."),
        "header": _("The first line must name the columns: at least Kind and Name, or ID."),
        "duplicate": _("The column %(name)s is there twice.") % {"name": error.what},
    }[error.code]


REGION = re.compile(r"[a-z]{2}-[a-z0-9-]{2,30}")


class RegionsField(forms.CharField):
    """Region ids with commas or spaces between them; cleans to a list."""

    def clean(self, value: Any) -> Any:
        found = [part for part in re.split(r"[\s,，;；]+", super().clean(value) or "") if part]
        wrong = [region for region in found if not REGION.fullmatch(region)]
        if wrong:
            raise ValidationError(_("“%(region)s” is no region; write cn-hangzhou.") % {"region": wrong[0]})
        return list(dict.fromkeys(found))

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value


class Secret(forms.PasswordInput):
    """Write-only: never rendered back, and no browser offers to fill it in."""

    def __init__(self) -> None:
        super().__init__(render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"})


class KeyForm(GroupedForm):
    access_key_id = forms.RegexField(
        r"^[A-Za-z0-9]{10,64}$",
        label=gettext_lazy("AccessKey ID"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    access_key_secret = forms.CharField(label=gettext_lazy("AccessKey secret"), max_length=128, widget=Secret())
    accept_reason = forms.CharField(
        label=gettext_lazy("Why a key that can write is accepted"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("Only when the check has objected. Kept in the audit log."),
    )


class ConsoleForm(GroupedForm):
    login_url = forms.URLField(
        label=gettext_lazy("Console sign-in address"), max_length=200, required=False, assume_scheme="https"
    )
    ram_username = forms.CharField(
        label=gettext_lazy("Console user"),
        max_length=128,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy("With AdministratorAccess, such as rdmp-admin@company."),
    )
    ram_password = forms.CharField(
        label=gettext_lazy("Console password"),
        max_length=128,
        required=False,
        widget=Secret(),
        help_text=gettext_lazy("Empty keeps the password that is stored."),
    )


class AccountForm(KeyForm, ConsoleForm):
    """A new cloud account with both credentials of SOW 附件一 2.2."""

    customer = CustomerField()
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    regions = RegionsField(
        label=gettext_lazy("Regions"),
        required=False,
        help_text=gettext_lazy("Such as cn-hangzhou, cn-shanghai. Empty: every region that Alibaba Cloud lists."),
    )
    endpoint_override = forms.CharField(
        label=gettext_lazy("API address"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Empty: the public cloud. Otherwise the one address that answers for every product."),
    )
    groups = (
        ("", ("customer", "name")),
        (gettext_lazy("AccessKey with ReadOnlyAccess"), ("access_key_id", "access_key_secret", "accept_reason")),
        (gettext_lazy("Console user with AdministratorAccess"), ("ram_username", "ram_password", "login_url")),
        (gettext_lazy("Where to look"), ("regions", "endpoint_override")),
    )

    def __init__(self, *args: Any, may_set_endpoint: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer_customers(self)
        if not may_set_endpoint:
            del self.fields["endpoint_override"]
        self.fields["ram_password"].help_text = ""

    def credentials(self) -> Credentials:
        return Credentials(**{name: self.cleaned_data[name] for name in Credentials.__dataclass_fields__})


class SettingsForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    regions = RegionsField(label=gettext_lazy("Regions"))
    sync_minutes = forms.IntegerField(label=gettext_lazy("Synchronise every, minutes"), min_value=5, max_value=24 * 60)
    is_enabled = forms.BooleanField(label=gettext_lazy("Synchronise by schedule"), required=False)


def settings_of(account: CloudAccount) -> dict[str, object]:
    return {name: getattr(account, name) for name in SettingsForm.base_fields}
