"""Inviting, joining, changing people, one's own profile and tokens, as people type them."""

from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.password_validation import password_validators_help_text_html, validate_password
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import phones
from accounts.models import ApiToken, Customer, Role, User
from accounts.models.people import CUSTOMER_ROLES
from accounts.permissions import is_admin, is_customer_pm
from accounts.services.people import may_invite

LANGUAGES = (("zh-hans", "简体中文"), ("en", "English"))


def is_phone(value: str) -> None:
    """Raises ValidationError for what nobody can dial: the platform calls this number in an emergency."""
    if not phones.normal(value):
        raise forms.ValidationError(
            _("This is no telephone number: eleven digits, area code and number, or + with country and number.")
        )


def phone_field(*, required: bool) -> forms.CharField:
    return forms.CharField(
        label=gettext_lazy("Phone"),
        max_length=40,
        required=required,
        validators=[is_phone],
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "tel"}),
    )


class InvitationForm(forms.Form):
    """Whom to let in; offers only the roles and customers that the inviting person may give."""

    email = forms.EmailField(label=gettext_lazy("E-mail"))
    name = forms.CharField(label=gettext_lazy("Full name"), max_length=80, required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"))
    customer: "forms.ModelChoiceField[Customer]" = forms.ModelChoiceField(
        queryset=None,
        required=False,
        label=gettext_lazy("Customer"),
        help_text=gettext_lazy("Empty for our own people."),
    )

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        roles = Role.values if is_admin(actor) else CUSTOMER_ROLES
        self.fields["role"] = forms.ChoiceField(
            label=_("Role"), choices=[(role, Role(role).label) for role in roles], initial=Role.CUSTOMER_MEMBER
        )
        customers = self.fields["customer"]
        if not isinstance(customers, forms.ModelChoiceField):
            raise TypeError
        customers.queryset = Customer.objects.all()
        if is_customer_pm(actor):
            customers.queryset = Customer.objects.filter(people=actor)
            customers.initial = actor.customer_id
            customers.help_text = ""
        customers.required = not is_admin(actor)
        self.order_fields(("email", "name", "customer", "role"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        role, customer = data.get("role"), data.get("customer")
        if role and not self.errors:
            if (role in CUSTOMER_ROLES) and customer is None:
                self.add_error("customer", _("Which customer does this person belong to?"))
            elif role not in CUSTOMER_ROLES and customer is not None:
                self.add_error("customer", _("Our own people belong to no customer: leave this empty."))
            elif not may_invite(self.actor, role, customer):
                self.add_error("role", _("You may not give this role."))
        return data


class JoinForm(forms.Form):
    """What an invited person adds to the invitation."""

    name = forms.CharField(
        label=gettext_lazy("Full name"), max_length=80, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    phone = phone_field(required=True)
    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html,
    )
    again = forms.CharField(
        label=gettext_lazy("Password, again"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, email: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.email = email

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        password = data.get("password")
        if password and data.get("again") is not None and password != data["again"]:
            self.add_error("again", _("The two passwords differ."))
        if password:
            try:
                validate_password(password, User(email=self.email, name=data.get("name", "")))
            except forms.ValidationError as problem:
                self.add_error("password", problem)
        return data


class RoleForm(forms.Form):
    role = forms.ChoiceField(label=gettext_lazy("Role"))

    def __init__(self, *args: Any, person: User, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        roles = [role for role in Role.values if (role in CUSTOMER_ROLES) != person.is_provider]
        allowed = [role for role in roles if may_invite(actor, role, person.customer)]
        self.fields["role"] = forms.ChoiceField(
            label=_("Role"), choices=[(role, Role(role).label) for role in allowed], initial=person.role
        )


class ProfileForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Full name"), max_length=80)
    phone = phone_field(required=False)
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=LANGUAGES)

    def clean_language(self) -> str:
        language = str(self.cleaned_data["language"])
        return language if language in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


class TokenForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, help_text=gettext_lazy("What uses it, for example: nightly export.")
    )
    scope = forms.ChoiceField(label=gettext_lazy("Scope"), choices=ApiToken.Scope.choices, initial=ApiToken.Scope.READ)
    days = forms.TypedChoiceField(
        label=gettext_lazy("Valid for"),
        coerce=int,
        initial=90,
        choices=(
            (30, gettext_lazy("30 days")),
            (90, gettext_lazy("90 days")),
            (180, gettext_lazy("180 days")),
            (365, gettext_lazy("One year")),
        ),
    )

    def valid_for(self) -> timedelta:
        return timedelta(days=self.cleaned_data["days"])
