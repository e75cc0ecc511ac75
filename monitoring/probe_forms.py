"""What people enter about probes: ports, sites, flows of steps, DNS records, certificates and domains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from monitoring import forms as basic
from monitoring.collectors.config import Kind
from monitoring.collectors.config.names import RECORDS
from monitoring.collectors.config.web import LARGEST_BYTES, METHODS, NATIONWIDE, VARIABLE, WORLDWIDE, RequestSecret
from monitoring.collectors.http import origin
from monitoring.forms import TargetForm
from monitoring.models import Target
from monitoring.problems import config_error_text
from monitoring.services.rounds import locations
from monitoring.services.sites import place_title

SLOW_PERIODS: Final = ((3600, _("1 hour")), (21_600, _("6 hours")), (86_400, _("1 day")))
LINES: Final = forms.Textarea(attrs={"rows": 3, "class": "font-monospace", "spellcheck": "false"})
SECRET_LINES: Final = forms.Textarea(
    attrs={"rows": 3, "class": "font-monospace", "autocomplete": "off", "spellcheck": "false"}
)


class PlacedForm(TargetForm):
    """The part of those that several places ask."""

    area = forms.ChoiceField(
        label=_("Asked from"),
        choices=[(NATIONWIDE, _("Nationwide")), (WORLDWIDE, _("Worldwide"))],
        initial=NATIONWIDE,
        required=False,
        help_text=_("Three probe points of this area, unless you choose some below."),
    )
    points = forms.MultipleChoiceField(
        label=_("Probe points"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    quorum = forms.IntegerField(
        label=_("Failed when so many points fail"),
        min_value=0,
        max_value=20,
        initial=0,
        required=False,
        help_text=_("0: two thirds of them, which is two of three. Fewer are a regional trouble, not an outage."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = locations()
        names = dict.fromkeys([*known, *self._stored.get("points", ())])
        self.fields["points"].choices = [  # type: ignore[attr-defined]  # a choice field
            (name, place_title(known.get(name), name)) for name in names
        ]

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        found = super().values(cleaned)
        found["quorum"] = cleaned.get("quorum") or 0
        if "area" in found:
            found["area"] = cleaned.get("area") or NATIONWIDE
        return found


class TcpForm(PlacedForm):
    kind = Kind.TCP
    host = forms.CharField(label=_("Host"), max_length=253)
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535)
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=5)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["area"]
        self.fields["points"].help_text = _("None chosen: the platform itself asks.")


class HttpForm(PlacedForm):
    kind = Kind.HTTP
    url = forms.CharField(label=_("Address"), max_length=500)
    method = forms.ChoiceField(label=_("Method"), choices=[(name, name) for name in METHODS], initial="GET")
    headers = forms.CharField(
        label=_("Headers"),
        required=False,
        widget=SECRET_LINES,
        max_length=10_000,
        help_text=_("One per line as Name: value. Stored encrypted and never shown again."),
    )
    body = forms.CharField(
        label=_("Body"),
        required=False,
        widget=SECRET_LINES,
        max_length=10_000,
        help_text=_("Stored encrypted and never shown again."),
    )
    forget = forms.BooleanField(label=_("Forget the stored headers and the stored body"), required=False)
    status = forms.CharField(
        label=_("Good status codes"),
        max_length=100,
        initial="200-399",
        help_text=_("Codes and ranges, separated by commas, such as 200-399,401"),
    )
    keyword = forms.CharField(
        label=_("Text that must be there"), max_length=200, required=False, help_text=_("Empty: any text will do.")
    )
    absent = forms.CharField(label=_("Text that must not be there"), max_length=200, required=False)
    json_path = forms.CharField(
        label=_("JSON path"),
        max_length=300,
        required=False,
        help_text=_("Such as $.data.status; something must be there."),
    )
    json_value = forms.CharField(label=_("and its value"), max_length=500, required=False)
    max_ms = forms.FloatField(
        label=_("Slowest answer, ms"),
        min_value=0,
        max_value=25_000,
        initial=0,
        required=False,
        help_text=_("0: no limit."),
    )
    max_bytes = forms.IntegerField(
        label=_("Largest answer, bytes"), min_value=0, max_value=LARGEST_BYTES, initial=0, required=False,
        help_text=_("0: no limit. No more than 1 MiB is read."),
    )  # fmt: skip
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=10)
    max_redirects = forms.IntegerField(label=_("Follow redirects, at most"), min_value=0, max_value=10, initial=5)
    verify_tls = forms.BooleanField(label=_("Check the certificate"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = [*self._stored.get("header_names", ()), *([str(_("Body"))] if self._stored.get("has_body") else ())]
        if stored:
            self.fields["headers"].help_text = _(
                "Stored: %(names)s. What you enter here replaces all of it, the body too; empty keeps it."
            ) % {"names": ", ".join(stored)}
        else:
            del self.fields["forget"]

    @classmethod
    def initial_of(cls, target: Target) -> dict[str, Any]:
        return {**super().initial_of(target), "headers": "", "body": ""}

    def clean_headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.cleaned_data["headers"].splitlines():
            if line.strip():
                name, colon, value = line.partition(":")
                if not colon or not name.strip():
                    raise forms.ValidationError(str(config_error_text("headers")))
                found[name.strip()] = value.strip()
        return found

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        found = super().values(cleaned)
        headers, body = found.pop("headers"), found.pop("body")
        forget = found.pop("forget", False)
        for name in ("max_ms", "max_bytes"):
            found[name] = found[name] or 0
        if headers or body or forget:
            secret = RequestSecret(headers, body)
            self.cleaned_data["token"] = secret.as_text()
            found["header_names"], found["has_body"] = sorted(headers), bool(body)
        elif self._keeps_secret() and origin(found["url"]) != origin(self._stored.get("url", "")):
            self.add_error(
                "headers", _("The address leads elsewhere now: enter the headers and the body again, or forget them.")
            )
        return found

    def _keeps_secret(self) -> bool:
        return bool(self._stored.get("header_names") or self._stored.get("has_body"))


class StepForm(forms.Form):
    """One request of a flow."""

    name = forms.CharField(label=_("Name"), max_length=80, required=False)
    method = forms.ChoiceField(
        label=_("Method"), choices=[(name, name) for name in METHODS], initial="GET", required=False
    )
    url = forms.CharField(label=_("Address"), max_length=500, required=False)
    headers = forms.CharField(
        label=_("Headers"), required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=5000
    )
    body = forms.CharField(label=_("Body"), required=False, widget=forms.Textarea(attrs={"rows": 2}), max_length=10_000)
    status = forms.CharField(label=_("Good status codes"), max_length=100, initial="200-399", required=False)
    keyword = forms.CharField(label=_("Text that must be there"), max_length=200, required=False)
    absent = forms.CharField(label=_("Text that must not be there"), max_length=200, required=False)
    json_path = forms.CharField(label=_("JSON path"), max_length=300, required=False)
    json_value = forms.CharField(label=_("and its value"), max_length=500, required=False)
    extract = forms.CharField(
        label=_("Take out"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": "token = json $.data.token"}),
        max_length=3000,
        help_text=_("One variable per line: name = json|regex|header|cookie and what to look for."),
    )

    def clean_headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.cleaned_data["headers"].splitlines():
            if line.strip():
                name, colon, value = line.partition(":")
                if not colon or not name.strip():
                    raise forms.ValidationError(str(config_error_text("headers")))
                found[name.strip()] = value.strip()
        return found

    def clean_extract(self) -> list[dict[str, str]]:
        found = []
        for line in self.cleaned_data["extract"].splitlines():
            if line.strip():
                name, _equals, rest = line.partition("=")
                source, _space, expression = rest.strip().partition(" ")
                if not expression.strip():
                    raise forms.ValidationError(_("Write one line as: token = json $.data.token"))
                found.append({"name": name.strip(), "source": source, "expression": expression.strip()})
        return found

    @property
    def step(self) -> dict[str, Any]:
        """As the configuration has it."""
        cleaned = self.cleaned_data
        expect = {
            "status": cleaned["status"] or "200-399",
            **{name: cleaned[name] for name in ("keyword", "absent", "json_path", "json_value")},
        }
        return {
            **{name: cleaned[name] for name in ("name", "url", "body", "headers", "extract")},
            "method": cleaned["method"] or "GET",
            "expect": expect,
        }

    @staticmethod
    def initial_of(step: Mapping[str, Any]) -> dict[str, Any]:
        headers = "\n".join(f"{name}: {value}" for name, value in step.get("headers", {}).items())
        extract = "\n".join(f"{one['name']} = {one['source']} {one['expression']}" for one in step.get("extract", ()))
        return {**step, **step.get("expect", {}), "headers": headers, "extract": extract}


StepFormSet: Final = forms.formset_factory(StepForm, extra=0, min_num=1, max_num=20, can_order=True, can_delete=True)


class FlowForm(PlacedForm):
    """Steps are a form each. Pressing "add a step" gives an empty one more, with or without JavaScript."""

    kind = Kind.FLOW
    secrets = forms.CharField(
        label=_("Secrets"),
        required=False,
        widget=SECRET_LINES,
        max_length=10_000,
        help_text=_("One per line as name=value; steps use them as {{name}}. Stored encrypted and never shown again."),
    )
    timeout_s = forms.FloatField(label=_("Time for all steps, seconds"), min_value=0.1, max_value=25, initial=20)
    verify_tls = forms.BooleanField(label=_("Check the certificate"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = [StepForm.initial_of(step) for step in self._stored.get("steps", ())]
        data = self._with_one_more(self.data) if self.is_bound else None
        empty = [{"url": self.initial.get("url", "")}]
        self.steps = StepFormSet(data, prefix="steps", initial=None if data is not None else stored or empty)
        if names := self._stored.get("secrets"):
            self.fields["secrets"].help_text = _(
                "Stored: %(names)s. What you enter here replaces all of them; empty keeps them."
            ) % {"names": ", ".join(names)}

    @staticmethod
    def _with_one_more(data: Any) -> Any:
        """The data with an empty step more, when that was pressed."""
        if "add_step" not in data:
            return data
        more = data.copy()
        more["steps-TOTAL_FORMS"] = str(int(data.get("steps-TOTAL_FORMS") or 0) + 1)
        return more

    @classmethod
    def initial_of(cls, target: Target) -> dict[str, Any]:
        return {**super().initial_of(target), "secrets": ""}

    def clean_secrets(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for line in self.cleaned_data["secrets"].splitlines():
            if line.strip():
                name, equals, value = line.partition("=")
                if not equals or not VARIABLE.fullmatch(name.strip()):
                    raise forms.ValidationError(str(config_error_text("secret_lines")))
                found[name.strip()] = value.strip()
        return found

    def clean(self) -> dict[str, Any]:
        if "add_step" in self.data:
            raise forms.ValidationError(_("There is one step more below. Nothing has been saved yet."))
        if not self.steps.is_valid():
            raise forms.ValidationError(_("Look at the steps: something is wrong there."))
        return super().clean()

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        found = super().values(cleaned)
        secrets = found.pop("secrets")
        ordered = sorted(
            (one for one in self.steps.forms if one.cleaned_data.get("url") and not one.cleaned_data.get("DELETE")),
            key=lambda one: (one.cleaned_data.get("ORDER") is None, one.cleaned_data.get("ORDER") or 0),
        )
        found["steps"] = [one.step for one in ordered]
        found["secrets"] = sorted(secrets) if secrets else list(self._stored.get("secrets", ()))
        if secrets:
            self.cleaned_data["token"] = json.dumps(secrets)
        elif found["secrets"] and _origins(found["steps"]) - _origins(self._stored.get("steps", ())):
            self.add_error("secrets", _("A step leads to another server now: enter the secrets again."))
        return found


def _origins(steps: Any) -> set[tuple[str, str, int | None]]:
    try:
        return {origin(step["url"]) for step in steps}
    except ValueError:
        return set()


class DnsForm(TargetForm):
    kind = Kind.DNS
    name_asked = forms.CharField(label=_("Name to look up"), max_length=253)
    record = forms.ChoiceField(label=_("Record"), choices=[(name, name) for name in RECORDS], initial="A")
    expected = forms.CharField(
        label=_("Values that must be there"),
        required=False,
        widget=LINES,
        help_text=_("One per line; empty: any will do."),
    )
    exactly = forms.BooleanField(label=_("and no others"), required=False)
    resolver = forms.CharField(
        label=_("Name server"),
        required=False,
        max_length=260,
        help_text=_("An address such as 223.5.5.5; empty: the platform's own."),
    )
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=5)

    @classmethod
    def initial_of(cls, target: Target) -> dict[str, Any]:
        config = target.config
        return {
            **super().initial_of(target),
            "name_asked": config.get("name", ""),
            "expected": "\n".join(config.get("expected", ())),
        }

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        found = super().values(cleaned)
        found["name"] = found.pop("name_asked")
        found["expected"] = [line.strip() for line in cleaned["expected"].splitlines() if line.strip()]
        return found


class TlsForm(TargetForm):
    kind = Kind.TLS
    host = forms.CharField(label=_("Host"), max_length=253)
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535, initial=443)
    server_name = forms.CharField(
        label=_("Name in the certificate"), max_length=253, required=False, help_text=_("Empty: the host.")
    )
    starttls = forms.ChoiceField(
        label=_("Change to TLS by"),
        required=False,
        choices=[
            ("", _("TLS from the first byte")),
            ("smtp", "SMTP STARTTLS"),
            ("imap", "IMAP STARTTLS"),
            ("pop3", "POP3 STLS"),
        ],
    )
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=10)
    period_s = forms.TypedChoiceField(label=_("Check every"), choices=SLOW_PERIODS, coerce=int, initial=3600)


class DomainForm(TargetForm):
    kind = Kind.DOMAIN
    domain = forms.CharField(label=_("Domain"), max_length=253)
    expires_on = forms.CharField(
        label=_("Expires on"),
        required=False,
        max_length=10,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("For endings whose registry answers no machine, such as .cn; empty: the registry is asked (RDAP)."),
    )
    rdap_url = forms.CharField(
        label=_("RDAP server"), required=False, max_length=500, help_text=_("Empty: found through IANA's list.")
    )
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=15)
    period_s = forms.TypedChoiceField(label=_("Check every"), choices=SLOW_PERIODS, coerce=int, initial=86_400)


PROBE_FORMS: Final[Mapping[Kind, type[TargetForm]]] = {
    form.kind: form for form in (TcpForm, HttpForm, FlowForm, DnsForm, TlsForm, DomainForm)
}
FORMS: Final[Mapping[Kind, type[TargetForm]]] = {**basic.FORMS, **PROBE_FORMS}


def form_for(kind: str) -> type[TargetForm]:
    """The form of a kind. Raises KeyError for one that people do not create."""
    return PROBE_FORMS.get(Kind(kind)) or basic.form_for(kind)
