"""What people enter about targets, one form for each collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from monitoring.collectors import errand
from monitoring.collectors.config import Kind, config_of
from monitoring.collectors.config.fields import ConfigError
from monitoring.models import Target, Through
from monitoring.problems import config_error_text

PERIODS: Final = (
    (15, _("15 seconds")),
    (30, _("30 seconds")),
    (60, _("1 minute")),
    (120, _("2 minutes")),
    (300, _("5 minutes")),
    (900, _("15 minutes")),
    (3600, _("1 hour")),
)
COMMON: Final = ("name", "period_s", "through")
"""What is no part of a configuration."""


class TargetForm(forms.Form):
    """The part that all targets share. `config` is what the collector gets."""

    kind: ClassVar[Kind]
    name = forms.CharField(
        label=_("Name"), max_length=200, required=False, help_text=_("Empty: the name of the asset.")
    )
    period_s = forms.TypedChoiceField(label=_("Check every"), choices=PERIODS, coerce=int, initial=60)
    through = forms.ChoiceField(
        label=_("Way there"),
        choices=Through.choices,
        required=False,
        help_text=_("A node finds the address in the customer's network; probe points do not ask then."),
    )

    config: Mapping[str, Any]

    def __init__(self, *args: Any, target: Target | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name not in COMMON])
        if self.kind not in errand.KINDS:
            del self.fields["through"]
        self._stored: Mapping[str, Any] = target.config if target else {}
        if target is not None and target.period_s not in dict(PERIODS):
            self.fields["period_s"].choices = [*PERIODS, (target.period_s, f"{target.period_s} s")]  # type: ignore[attr-defined]  # a choice field

    @classmethod
    def initial_of(cls, target: Target) -> dict[str, Any]:
        return {**target.config, "name": target.name, "period_s": target.period_s, "through": target.through}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        values = {**self._stored, **self.values(cleaned)}
        try:
            self.config = config_of(self.kind, values).as_json()
        except ConfigError as error:
            self.add_error(error.field if error.field in self.fields else None, str(config_error_text(error.code)))
        return cleaned

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that belong to the configuration."""
        return {name: cleaned[name] for name in self.fields if name not in (*COMMON, "token")}


class PrometheusForm(TargetForm):
    kind = Kind.PROMETHEUS
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("Of the agent or exporter, such as http://10.0.0.8:9101/metrics"),
    )
    token = forms.CharField(
        label=_("Token"),
        max_length=200,
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("What the agent was started with. Stored encrypted and never shown; empty keeps the stored one."),
    )
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=10)
    verify_tls = forms.BooleanField(label=_("Check the certificate"), required=False, initial=True)


HOST_CHANGES: Final = (
    ("host-password", _("Password changed")),
    ("host-account", _("User added, removed or changed")),
    ("host-sudo", _("Sudo rights changed")),
    ("host-config", _("Configuration file changed")),
    ("host-firewall", _("Firewall changed")),
    ("host-hostname", _("Host name changed")),
)


class StateForm(TargetForm):
    kind = Kind.STATE
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("Of the host agent's state, such as http://10.0.0.8:9101/state"),
    )
    token = forms.CharField(
        label=_("Token"),
        max_length=200,
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("What the agent was started with. Stored encrypted and never shown; empty keeps the stored one."),
    )
    alerts = forms.MultipleChoiceField(
        label=_("Raise an alert when"),
        choices=HOST_CHANGES,
        initial=[name for name, _text in HOST_CHANGES],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Every change is recorded with its difference, whatever is chosen here."),
    )
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=15)
    verify_tls = forms.BooleanField(label=_("Check the certificate"), required=False, initial=True)


class PingForm(TargetForm):
    kind = Kind.PING
    host = forms.CharField(label=_("Host"), max_length=253)
    count = forms.IntegerField(label=_("Packets"), min_value=1, max_value=10, initial=3)
    timeout_s = forms.FloatField(label=_("Wait for an answer, seconds"), min_value=0.1, max_value=3, initial=2)


FORMS: Final[Mapping[Kind, type[TargetForm]]] = {form.kind: form for form in (PrometheusForm, StateForm, PingForm)}


class CmsForm(TargetForm):
    """A CloudMonitor target is made from its account; only its name and rhythm can be changed."""

    kind = Kind.CMS


def form_for(kind: str) -> type[TargetForm]:
    """The form of a kind. Raises KeyError for one that people do not create."""
    return CmsForm if kind == Kind.CMS else FORMS[Kind(kind)]


class InternalForm(forms.Form):
    """Why a target may reach the platform's own network."""

    allowed = forms.BooleanField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(label=_("Reason"), max_length=300, required=False)


class WindowForm(forms.Form):
    """The stretch of time of a graph, as the address has it. Whatever does not fit is ignored."""

    range = forms.CharField(required=False)
    start = forms.IntegerField(required=False, min_value=0, max_value=4_102_444_800_000)
    end = forms.IntegerField(required=False, min_value=0, max_value=4_102_444_800_000)
    since = forms.IntegerField(required=False, min_value=0, max_value=4_102_444_800_000)
