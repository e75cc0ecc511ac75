"""What is entered about who may enter from where."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer, Role, User
from accounts.models.people import CUSTOMER_ROLES, PROVIDER_ROLES


class EntryRuleForm(forms.Form):
    ranges = forms.CharField(
        label=_("Address ranges"),
        max_length=4000,
        required=False,
        widget=forms.Textarea(
            {"rows": 3, "class": "font-monospace", "spellcheck": "false", "placeholder": "203.0.113.0/24"}
        ),
        help_text=_("Several with commas or on lines of their own. Empty: from everywhere."),
    )
    needs_key_and_code = forms.BooleanField(
        label=_("At the bastion's SSH door: key and one-time code"),
        required=False,
        help_text=_("Both are asked for; neither a password nor a ticket opens it."),
    )


class NewEntryRuleForm(EntryRuleForm):
    """For a role of the provider's, of one customer's, or for one person."""

    field_order = ("customer", "role", "person", "ranges", "needs_key_and_code")
    customer: forms.ModelChoiceField[Customer] = forms.ModelChoiceField(
        None, label=_("Customer"), required=False, empty_label=_("The provider's people")
    )
    role = forms.ChoiceField(label=_("Role"), required=False)
    person: forms.ModelChoiceField[User] = forms.ModelChoiceField(
        None, label=_("or one person"), required=False, empty_label="—"
    )

    def __init__(self, *args: Any, customers: Any, people: Any, is_provider: bool, **options: Any) -> None:
        super().__init__(*args, **options)
        roles = (*PROVIDER_ROLES, *CUSTOMER_ROLES) if is_provider else CUSTOMER_ROLES
        choices = [("", "—"), *((one.value, one.label) for one in map(Role, roles))]
        self.fields["role"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField, declared above
        self.fields["person"].queryset = people  # type: ignore[attr-defined]  # a choice of rows
        if is_provider:
            self.fields["customer"].queryset = customers  # type: ignore[attr-defined]  # a choice of rows
        else:
            del self.fields["customer"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if bool(cleaned.get("role")) == bool(cleaned.get("person")) and not self.errors:
            self.add_error("role", _("Please choose a role or one person, not both."))
        return cleaned
