"""What people say about scripts: the wording of a version, its parameters, how careful a run goes, what was seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from accounts.errors import DomainError
from accounts.models import Customer
from assets.models import AccountPurpose, Asset
from changes.catalogue import Field, Words
from changes.models import ScriptVersion
from changes.operation_forms import form_field
from changes.script_words import fault_text
from changes.scripts import (
    LONGEST_BODY,
    LONGEST_PATCH,
    LONGEST_S,
    MOST_OUTPUT,
    BadScript,
    Interpreter,
    Script,
    fields_of,
)
from changes.services.script_library import LONGEST_CODE, Proposal
from changes.services.script_runs import KINDS, MOST_AT_A_TIME, Pace

PREFIX: Final = "param"
EXAMPLE: Final = '[{"name": "service", "type": "name", "en": "Service", "zh": "服务名"}]'
CODE = forms.Textarea({"rows": 16, "class": "font-monospace", "spellcheck": "false", "wrap": "off"})


class VersionForm(forms.Form):
    """The next version of a script, or the first of a new one."""

    code = forms.CharField(
        label=_("Code"), max_length=LONGEST_CODE, help_text=_("By which changes name it, such as service-restart.")
    )
    name_zh = forms.CharField(label=_("Name in Chinese"), max_length=120)
    name_en = forms.CharField(label=_("Name in English"), max_length=120)
    purpose = forms.CharField(
        label=_("What it is for, and what is new"), max_length=2000, required=False, widget=forms.Textarea({"rows": 2})
    )
    interpreter = forms.ChoiceField(label=_("Interpreter"), choices=[(one.value, one.value) for one in Interpreter])
    body = forms.CharField(label=pgettext_lazy("script", "Body"), max_length=LONGEST_BODY, strip=False, widget=CODE)
    parameters = forms.CharField(
        label=_("Parameters"),
        max_length=8000,
        required=False,
        widget=forms.Textarea({"rows": 5, "class": "font-monospace", "spellcheck": "false", "placeholder": EXAMPLE}),
        help_text=_(
            "JSON. Types: name, text, integer (min, max), boolean, choice (choices), ip, cidr, domain, path. The "
            "script reads each as a variable, such as PARAM_SERVICE."
        ),
    )
    accounts = forms.MultipleChoiceField(
        label=_("Accounts it may use"), choices=AccountPurpose.choices, widget=forms.CheckboxSelectMultiple
    )
    as_root = forms.BooleanField(label=_("It needs root"), required=False)
    only_reads = forms.BooleanField(
        label=_("It only reads: it changes nothing, and may run without a change"), required=False
    )
    patch = forms.CharField(
        label=_("Patch that it brings"),
        max_length=LONGEST_PATCH,
        required=False,
        help_text=_(
            "KB, CVE or a name of your own; empty: none. A script that brings one passes the gate of patches: the "
            "customer's procedure, and the same patch on an instance that is not production first."
        ),
    )
    timeout_s = forms.IntegerField(label=_("Time-out (seconds)"), min_value=1, max_value=LONGEST_S, initial=60)
    output_limit = forms.IntegerField(
        label=_("Output is cut after (bytes)"), min_value=1, max_value=MOST_OUTPUT, initial=65_536
    )

    @classmethod
    def of(cls, data: Any, version: ScriptVersion | None) -> VersionForm:
        if version is None:
            return cls(data, initial={"accounts": [AccountPurpose.OPERATIONS]})
        names = ("code", "name_zh", "name_en", "interpreter", "body", "accounts", "as_root", "only_reads", "patch")
        initial = {name: getattr(version, name) for name in (*names, "timeout_s", "output_limit")}
        form = cls(data, initial={**initial, "parameters": as_json(version.parameters)})
        form.fields["code"].disabled = True
        return form

    def clean_body(self) -> str:
        return str(self.cleaned_data["body"]).replace("\r\n", "\n")

    def clean_parameters(self) -> list[Mapping[str, Any]]:
        text = self.cleaned_data["parameters"].strip()
        try:
            said = json.loads(text) if text else []
        except ValueError as problem:
            raise forms.ValidationError(_("This is no JSON: %(why)s") % {"why": problem}) from None
        if not isinstance(said, list):
            raise forms.ValidationError(_("This is no list of parameters."))
        try:
            fields_of(said)
        except BadScript as fault:
            raise forms.ValidationError(fault_text(fault.code, fault.detail)) from None
        return said

    def proposal(self) -> Proposal:
        said = self.cleaned_data
        script = Script(
            interpreter=Interpreter(said["interpreter"]),
            body=said["body"],
            parameters=tuple(said["parameters"]),
            accounts=frozenset(said["accounts"]),
            as_root=said["as_root"],
            only_reads=said["only_reads"],
            timeout_s=said["timeout_s"],
            output_limit=said["output_limit"],
            patch=" ".join(said["patch"].split()),
        )
        return Proposal(said["code"], Words(said["name_en"], said["name_zh"]), script, said["purpose"])


class ParameterForm(forms.Form):
    """The questions of one script."""

    def __init__(self, *args: Any, fields: Sequence[Field], **options: Any) -> None:
        super().__init__(*args, **{"prefix": PREFIX, **options})
        for field in fields:
            self.fields[field.name] = form_field(field)


class CareForm(forms.Form):
    """How careful one goes; by which attribute the canary is named is up to the form."""

    canary_by: ClassVar[str]

    batch_size = forms.IntegerField(
        label=_("Hosts at a time"), min_value=1, max_value=MOST_AT_A_TIME, initial=5, help_text=_("After the canary.")
    )
    max_failures = forms.IntegerField(
        label=_("Failures allowed"), min_value=0, max_value=500, initial=0, help_text=_("With one more it pauses.")
    )
    waits_after_canary = forms.BooleanField(
        label=_("Wait after the canary until somebody has looked"), required=False, initial=True
    )

    def pace(self, assets: Sequence[Asset]) -> Pace:
        """Raises DomainError when the canary is none of the assets, or not one alone."""
        said = self.cleaned_data
        named = [asset for asset in assets if getattr(asset, self.canary_by) == said["canary"]]
        canary = _the_one(named) if said["canary"] else None
        return Pace(said["batch_size"], said["max_failures"], said["waits_after_canary"], canary)


class PaceForm(CareForm):
    """Of a change: its servers are known."""

    canary_by = "pk"
    canary = forms.IntegerField(label=_("Canary"), required=False)


class UseForm(CareForm):
    """On which hosts, and what for. Only the browser knows which are ticked while one types: the canary has a name."""

    canary_by = "name"
    reason = forms.CharField(label=_("What for"), max_length=300, required=False)
    canary = forms.CharField(
        label=_("Canary"), max_length=200, required=False, help_text=_("Name of the first host; empty: any of them.")
    )

    def __init__(self, *args: Any, customer: Customer, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["assets"] = forms.ModelMultipleChoiceField(
            Asset.objects.active().filter(customer=customer, kind__in=KINDS),
            label=_("Servers"),
            error_messages={"required": _("Please choose at least one server.")},
        )


def _the_one(found: Sequence[Asset]) -> Asset:
    if not found:
        raise DomainError(gettext("The canary is not one of the servers."), code="no_canary")
    if len(found) > 1:
        raise DomainError(gettext("Several of the servers have the canary's name."), code="no_canary")
    return found[0]


class JudgementForm(forms.Form):
    outcome = forms.ChoiceField(
        label=_("How it went"), choices=[("done", _("It was done")), ("failed", _("It failed"))]
    )
    words = forms.CharField(label=_("What you saw there"), max_length=300)


def as_json(parameters: Sequence[object]) -> str:
    """One parameter a line."""
    if not parameters:
        return ""
    return "[\n" + ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in parameters) + "\n]"
