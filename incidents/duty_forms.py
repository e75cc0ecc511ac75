"""What people type about swaps of shifts and notices of responders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Customer, User
from accounts.models.people import PROVIDER_ROLES
from accounts.services.roster import Span
from accounts.services.swaps import Stretch
from incidents.models import ResponderNotice
from incidents.services.duty_watch import span_line

LOCAL_TIME = "%Y-%m-%dT%H:%M"


class SwapForm(forms.Form):
    """Which of one's own shifts, to whom, and perhaps which of theirs in return."""

    shift = forms.ChoiceField(label=gettext_lazy("My shift"))
    starts_at = forms.DateTimeField(
        label=gettext_lazy("Only from"), required=False, input_formats=[LOCAL_TIME],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
    )  # fmt: skip
    ends_at = forms.DateTimeField(
        label=gettext_lazy("Only until"), required=False, input_formats=[LOCAL_TIME],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
    )  # fmt: skip
    colleague: forms.ModelChoiceField[User] = forms.ModelChoiceField(queryset=None, label=gettext_lazy("Colleague"))
    in_return = forms.ChoiceField(label=gettext_lazy("In return I take"), required=False)
    note = forms.CharField(label=gettext_lazy("Note"), max_length=200, required=False)

    def __init__(self, *args: Any, person: User, spans: Sequence[Span], **options: Any) -> None:
        super().__init__(*args, **options)
        self._stretches = {_key(span): (span.user.pk, _stretch(span)) for span in spans}
        own = [span for span in spans if span.user.pk == person.pk]
        others = [span for span in spans if span.user.pk != person.pk]
        _choices(self, "shift", [(_key(span), span_line(_stretch(span))) for span in own])
        named = [(_key(span), f"{span.user.name} · {span_line(_stretch(span))}") for span in others]
        _choices(self, "in_return", [("", "—"), *named])
        colleagues = self.fields["colleague"]
        assert isinstance(colleagues, forms.ModelChoiceField)  # noqa: S101 - declared above
        colleagues.queryset = User.objects.filter(role__in=PROVIDER_ROLES, is_active=True).exclude(pk=person.pk)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("in_return") and data.get("colleague"):
            owner, _stretch_back = self._stretches[data["in_return"]]
            if owner != data["colleague"].pk:
                self.add_error("in_return", _("This shift is not the colleague's."))
        if data.get("shift"):
            whole = self._stretches[data["shift"]][1]
            begins, ends = data.get("starts_at") or whole.starts_at, data.get("ends_at") or whole.ends_at
            if not whole.starts_at <= begins < ends <= whole.ends_at:
                self.add_error("starts_at", _("The part must lie inside the shift."))
            data["stretch"] = Stretch(whole.duty, begins, ends, whole.customer)
        data["back"] = self._stretches[data["in_return"]][1] if data.get("in_return") else None
        return data


def _choices(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 - declared above
    field.choices = choices


def _key(span: Span) -> str:
    return f"{span.shift.pk}-{span.starts_at:%Y%m%d%H%M}"


def _stretch(span: Span) -> Stretch:
    customer: Customer | None = span.shift.customer
    return Stretch(span.duty, span.starts_at, span.ends_at, customer)


class GivenForm(forms.Form):
    how = forms.ChoiceField(
        label=gettext_lazy("How"),
        choices=[choice for choice in ResponderNotice.How.choices if choice[0] != ResponderNotice.How.EMAIL],
    )
    given_at = forms.DateTimeField(
        label=gettext_lazy("When"),
        input_formats=[LOCAL_TIME],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=LOCAL_TIME),
    )
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        max_length=300,
        help_text=gettext_lazy("The document, message or minutes in which one can see it."),
    )


def now_local(now: datetime) -> datetime:
    return timezone.localtime(now).replace(tzinfo=None)
