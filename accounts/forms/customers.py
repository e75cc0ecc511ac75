"""Customers, contracts, SLA terms, contacts and the provider's team, as people type them."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import phones
from accounts.models import Contact, Contract, Customer, ProviderContact, Role, SlaTerm, User
from accounts.models.customers import validate_shares
from accounts.models.people import PROVIDER_ROLES

if TYPE_CHECKING:  # only type checkers know that a ModelForm has a parameter
    CustomerBase = forms.ModelForm[Customer]
    ContractBase = forms.ModelForm[Contract]
    SlaTermBase = forms.ModelForm[SlaTerm]
    ContactBase = forms.ModelForm[Contact]
    ProviderContactBase = forms.ModelForm[ProviderContact]
else:
    CustomerBase = ContractBase = SlaTermBase = ContactBase = ProviderContactBase = forms.ModelForm

DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class CustomerForm(CustomerBase):
    class Meta:
        model = Customer
        fields = ("name", "short_name", "code", "status", "language", "notes")
        widgets: ClassVar = {
            "language": forms.Select(choices=(("zh-hans", "简体中文"), ("en", "English"))),
            "notes": forms.Textarea(attrs={"rows": 3}),
        }
        help_texts: ClassVar = {"code": gettext_lazy("For file names and the API; lower-case letters and digits.")}


class ContractForm(ContractBase):
    class Meta:
        model = Contract
        fields = (
            "number",
            "provider_name",
            "customer_party",
            "signed_on",
            "starts_on",
            "ends_on",
            "sow_version",
            "governing_document",
            "middleware_quota",
            "url_quota",
            "probe_points_per_url",
            "port_quota",
            "closing_days",
        )
        widgets: ClassVar = {"signed_on": DATE, "starts_on": DATE, "ends_on": DATE}

    reason = forms.CharField(
        label=gettext_lazy("reason of the change"),
        max_length=200,
        help_text=gettext_lazy("Kept in the history: who agreed to it, and when."),
    )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        starts, ends = data.get("starts_on"), data.get("ends_on")
        if starts and ends and ends < starts:
            self.add_error("ends_on", _("A contract cannot end before it starts."))
        same = Contract.objects.filter(customer=self.instance.customer, number=data.get("number"))
        if same.exclude(pk=self.instance.pk).exists():
            self.add_error("number", _("This customer has a contract with this number already."))
        return data


class SharesField(forms.CharField):
    """Percentages as people write them: `50, 80`."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        words = str(value or "").replace("，", " ").replace("、", " ").replace(",", " ").replace("%", " ").split()
        shares = [int(word) if word.isascii() and word.isdecimal() and len(word) < 4 else 0 for word in words]
        return sorted(set(shares))


class SlaTermForm(SlaTermBase):
    class Meta:
        model = SlaTerm
        fields = (
            "response_minutes",
            "monitoring_response_minutes",
            "notice_minutes",
            "handling_calendar",
            "handling_minutes",
            "customer_reply_minutes",
            "customer_reply_calendar",
            "report_minutes",
            "warning_shares",
            "definition",
            "customer_duty",
        )
        widgets: ClassVar = {
            "definition": forms.Textarea(attrs={"rows": 4}),
            "customer_duty": forms.Textarea(attrs={"rows": 2}),
        }

    reason = forms.CharField(
        label=gettext_lazy("reason of the change"),
        max_length=200,
        help_text=gettext_lazy("Running clocks keep what was promised when they started."),
    )
    warning_shares = SharesField(
        label=gettext_lazy("warnings, % of the time"),
        required=False,
        max_length=40,
        validators=[validate_shares],
        help_text=gettext_lazy("Whoever has to act is warned when so much of a clock's time is used up: 50, 80"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("response_minutes", "monitoring_response_minutes", "report_minutes"):
            self.fields[name].min_value = 1  # type: ignore[attr-defined]  # an IntegerField by the model
            self.fields[name].widget.attrs["min"] = 1


class ContactForm(ContactBase):
    """Phone and e-mail are required: a disaster reaches its contacts around the clock (R181, R184)."""

    class Meta:
        model = Contact
        fields = ("kind", "phone", "email", "is_away")
        widgets: ClassVar = {"phone": forms.TextInput(attrs={"type": "tel", "autocomplete": "off"})}

    user: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(
        queryset=None,
        label=gettext_lazy("Person"),
        help_text=gettext_lazy("Somebody who is not in the list needs an invitation first."),
    )
    field_order = ("kind", "user", "phone", "email", "is_away")

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.customer = customer
        self.instance.customer = customer
        people_field(self).queryset = User.objects.filter(customer=customer, is_active=True)
        if self.instance.pk:
            self.initial["user"] = self.instance.user_id
        self.fields["is_away"].help_text = _("While the first project manager is away, the second is the contact.")

    def clean_phone(self) -> str:
        phone = str(self.cleaned_data["phone"]).strip()
        if not phones.normal(phone):
            raise forms.ValidationError(_("This is no phone number. A disaster needs one that is answered 24/7."))
        return phone

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        kind, user = data.get("kind"), data.get("user")
        if kind is None or user is None:
            return data
        self.instance.user = user
        others = Contact.objects.filter(customer=self.customer, kind=kind).exclude(pk=self.instance.pk)
        if kind != Contact.Kind.SECONDARY and others.exists():
            self.add_error("kind", _("This duty is taken: change the person who has it."))
        elif others.filter(user=user).exists():
            self.add_error("user", _("This person has the duty already."))
        return data


class ProviderContactForm(ProviderContactBase):
    class Meta:
        model = ProviderContact
        fields = ("kind",)

    user: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(queryset=None, label=gettext_lazy("Person"))

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.customer = customer
        people_field(self).queryset = User.objects.filter(role__in=PROVIDER_ROLES, is_active=True)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if user := data.get("user"):
            self.instance.user = user
            same = ProviderContact.objects.filter(customer=self.instance.customer, user=user, kind=data.get("kind"))
            if same.exists():
                self.add_error("user", _("This person has the duty already."))
        return data


class AssignmentForm(forms.Form):
    user: "forms.ModelChoiceField[User]" = forms.ModelChoiceField(queryset=None, label=gettext_lazy("Engineer"))

    def __init__(self, *args: Any, customer: Customer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        engineers = User.objects.filter(role=Role.ENGINEER, is_active=True)
        people_field(self).queryset = engineers.exclude(assignments__customer=customer)


def people_field(form: forms.BaseForm, name: str = "user") -> "forms.ModelChoiceField[User]":
    """The field that offers people. Its rows are set when a form is made: at import there is no scope to read in."""
    field = form.fields[name]
    if not isinstance(field, forms.ModelChoiceField):
        raise TypeError(f"{name} offers no rows")
    return field
