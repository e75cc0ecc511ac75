"""The form of an operation, out of the catalogue's data: the same for pages and the API."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator, URLValidator
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from changes.catalogue import SNAPSHOT_ID, Check, Field, Operation, Type
from changes.words import said
from incidents.forms import LOCAL_TIME

PREFIX: Final = "field"
LONGEST_TEXT, LONGEST_WORDS = 300, 8000
DOMAIN: Final = re.compile(r"(?=.{1,253}$)(\*\.)?([A-Za-z0-9_]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
PORTS: Final = re.compile(r"(-1/-1|\d{1,5}/\d{1,5})")
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:+-]{0,127}")
PATH: Final = re.compile(r"(/|[A-Za-z]:\\).{0,400}|[A-Za-z]:")
BUCKET: Final = re.compile(r"[a-z0-9]([a-z0-9-]{1,61})[a-z0-9]")
MOST_PORT: Final = 65_535


class OperationForm(forms.Form):
    """The questions of one operation; `values` is what is kept: plain JSON, without what was left empty."""

    def __init__(self, *args: Any, operation: Operation, **options: Any) -> None:
        super().__init__(*args, **{"prefix": PREFIX, **options})
        self.operation = operation
        for field in operation.fields:
            self.fields[field.name] = form_field(field)

    def values(self) -> dict[str, object]:
        found = {name: _plain(value) for name, value in self.cleaned_data.items()}
        return {name: value for name, value in found.items() if value not in (None, "")}


class EvidenceForm(forms.Form):
    """What shows that a point of a checklist was looked at; `given` and `uploaded` are what the service is told.

    `held`: what is known of it already; a file of it stays until another is sent.
    """

    def __init__(self, *args: Any, point: Check, held: Mapping[str, object] | None = None, **options: Any) -> None:
        self.held = (
            {field.name: held.get(field.name) for field in point.evidence if field.type is Type.FILE} if held else {}
        )
        super().__init__(
            *args, **{"prefix": PREFIX, "initial": {**(held or {}), **dict.fromkeys(self.held)}, **options}
        )
        self.papers = [field.name for field in point.evidence if field.type is Type.FILE]
        for field in point.evidence:
            self.fields[field.name] = form_field(field)
            if self.held.get(field.name):
                self.fields[field.name].required = False
        self.fields["words"] = forms.CharField(
            label=_("Remark"), max_length=500, required=False, widget=forms.Textarea({"rows": 2})
        )

    def given(self) -> dict[str, object]:
        plain = {name: _plain(value) for name, value in self.cleaned_data.items() if name not in self.papers}
        kept = {name: value for name, value in self.held.items() if name not in self.uploaded()}
        found = {**plain, **kept}
        return {name: value for name, value in found.items() if name != "words" and value not in (None, "")}

    def uploaded(self) -> dict[str, Any]:
        return {name: file for name in self.papers if (file := self.cleaned_data.get(name)) is not None}


def check_evidence(point: Check, given: Mapping[str, Any]) -> EvidenceForm:
    """The form over evidence that came by the API: a file by its ID."""
    return EvidenceForm({f"{PREFIX}-{name}": value for name, value in given.items()}, point=point, held=given)


def check(operation: Operation, given: dict[str, Any]) -> OperationForm:
    """The form over values that came by the API. `values()` may be asked once `is_valid()`."""
    return OperationForm({f"{PREFIX}-{name}": value for name, value in given.items()}, operation=operation)


def form_field(field: Field) -> forms.Field:
    label = said(field.words) + (f" ({field.unit})" if field.unit else "")
    options: dict[str, Any] = {"label": label, "required": field.required}
    hint = ({"placeholder": field.placeholder} if field.placeholder else {}) | _offers(field)
    if field.type is Type.BOOLEAN:
        return forms.BooleanField(label=label, required=False)
    if field.type is Type.INTEGER:
        return forms.IntegerField(min_value=field.least, max_value=field.most, **options)
    if field.type is Type.CHOICE:
        empty = [] if field.required else [("", "—")]
        choices = [*empty, *((each.value, said(each.words)) for each in field.options)]
        return forms.ChoiceField(choices=choices, **options)
    if field.type is Type.LONG_TEXT:
        widget = forms.Textarea({"rows": 3, **hint})
        return forms.CharField(max_length=LONGEST_WORDS, widget=widget, **options)
    if field.type in _OTHERS:
        return _OTHERS[field.type](options)
    return forms.CharField(
        max_length=LONGEST_TEXT, validators=_VALIDATORS.get(field.type, []), widget=forms.TextInput(hint), **options
    )


def _offers(field: Field) -> dict[str, str]:
    """The browser proposes what the server finds for the assets ticked so far; anything may still be typed."""
    if not field.offers:
        return {}
    return {
        "list": f"{field.offers}-offers",
        "autocomplete": "off",
        "hx-get": reverse(f"changes:{field.offers}"),
        "hx-trigger": "focus, change from:#asset-options",
        "hx-include": "#asset-options",
        "hx-target": f"#{field.offers}-offers",
    }


def _date_field(options: dict[str, Any]) -> forms.Field:
    return forms.DateField(widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"), **options)


def _file_field(options: dict[str, Any]) -> forms.Field:
    return forms.FileField(allow_empty_file=True, **options)  # what is empty is refused where it is judged


def _moment_field(options: dict[str, Any]) -> forms.Field:
    widget = forms.DateTimeInput({"type": "datetime-local"}, format=LOCAL_TIME)
    return forms.DateTimeField(widget=widget, input_formats=[LOCAL_TIME, "%Y-%m-%dT%H:%M:%S"], **options)


_OTHERS: Final[Mapping[Type, Callable[[dict[str, Any]], forms.Field]]] = {
    Type.DATE: _date_field,
    Type.DATETIME: _moment_field,
    Type.FILE: _file_field,
}


def _is_ip(value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ValidationError(_("Please give an IP address, such as 203.0.113.7.")) from None


def _is_cidr(value: str) -> None:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValidationError(_("Please give a range such as 10.0.1.0/24; the host part is zero.")) from None


def _are_ports(value: str) -> None:
    complaint = _("Please give ports such as 443/443 or 8000/8080; -1/-1 means all.")
    if not PORTS.fullmatch(value):
        raise ValidationError(complaint)
    first, _slash, last = value.partition("/")
    if value != "-1/-1" and not 1 <= int(first) <= int(last) <= MOST_PORT:
        raise ValidationError(complaint)


_VALIDATORS: Final[dict[Type, list[Any]]] = {
    Type.IP: [_is_ip],
    Type.CIDR: [_is_cidr],
    Type.PORTS: [_are_ports],
    Type.DOMAIN: [RegexValidator(rf"\A{DOMAIN.pattern}\Z", _("Please give a domain name, such as example.com."))],
    Type.NAME: [
        RegexValidator(rf"\A{NAME.pattern}\Z", _("Please give one word of letters, digits and . _ @ : + -, no option."))
    ],
    Type.PATH: [RegexValidator(rf"\A({PATH.pattern})\Z", _("Please give a whole path, such as /data or D:."))],
    Type.SNAPSHOT: [RegexValidator(rf"\A{SNAPSHOT_ID.pattern}\Z", _("A snapshot ID looks like s-bp1abc2def3."))],
    Type.LINK: [URLValidator(("http", "https"))],
    Type.BUCKET: [
        RegexValidator(rf"\A{BUCKET.pattern}\Z", _("A bucket's name has 3 to 63 small letters, digits and hyphens."))
    ],
}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return timezone.localtime(value).isoformat()
    return value.isoformat() if isinstance(value, date) else value
