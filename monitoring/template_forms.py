"""The SOW's monitoring template as a form: the same boxes, in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from monitoring import watch_plan
from monitoring.models import MonitoringTemplate
from monitoring.watch_plan import BASICS, DATABASES, PORTS, URL_KINDS, WEB, Form

NAMES: Final[Mapping[str, str | Promise]] = {
    "cpu": "CPU", "memory": "Memory", "network": "Network", "disk": "Disk", "os": "OS",
    "iis": "IIS", "apache": "Apache", "nginx": "Nginx", "tomcat": "Tomcat", "resin": "Resin",
    "mysql": "MySQL", "sqlserver": "MSSQL", "oracle": "Oracle", "mongodb": "MongoDB", "redis": "Redis",
    "memcached": "memcached", "rds-mysql": "RDS-MySQL", "rds-sqlserver": "RDS-MSSQL", "kvstore": "KVStore",
    "zookeeper": "zookeeper", "https": "https", "http": "http", "api": "api",
}  # fmt: skip
BOX: Final = {"class": "form-check-input m-0"}
WANTED: Final = (("yes", _("Monitoring is wanted")), ("no", _("No monitoring")))


def _boxes(names: tuple[str, ...], label: Any) -> forms.MultipleChoiceField:
    choices = [(name, NAMES[name]) for name in names]
    return forms.MultipleChoiceField(
        choices=choices, required=False, label=label, widget=forms.CheckboxSelectMultiple(attrs=BOX)
    )


class TemplateForm(forms.Form):
    wanted = forms.ChoiceField(
        choices=WANTED, initial="yes", label=_("Monitoring"), widget=forms.RadioSelect(attrs=BOX)
    )
    basics = _boxes(BASICS, _("Basic monitoring"))
    other_basics = forms.CharField(max_length=500, required=False, label=_("Other"))
    web = _boxes(WEB, _("Web"))
    databases = _boxes(DATABASES, _("Databases"))
    other_products = forms.CharField(
        max_length=500, required=False, label=_("Other"), help_text=_("Such as ehcache, Solr; separated by commas.")
    )
    ports = forms.TypedMultipleChoiceField(
        choices=[(port, str(port)) for port in PORTS], coerce=int, required=False, label=_("Ports"),
        widget=forms.CheckboxSelectMultiple(attrs=BOX),
    )  # fmt: skip
    other_ports = forms.CharField(
        max_length=300, required=False, label=_("Other"), help_text=_("Such as 8080, 8088; separated by commas.")
    )
    url_kinds = _boxes(URL_KINDS, _("URL checks"))
    urls = forms.CharField(
        required=False, max_length=4000, label="URL", widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("One address in each line."),
    )  # fmt: skip
    notes = forms.CharField(
        required=False, max_length=4000, label=_("Further wishes"), widget=forms.Textarea(attrs={"rows": 3})
    )

    @staticmethod
    def initial_of(row: MonitoringTemplate) -> dict[str, Any]:
        names = [name for name in TemplateForm.base_fields if name != "wanted"]
        return {name: getattr(row, name) for name in names} | {"wanted": "yes" if row.wanted else "no"}

    @property
    def portions(self) -> list[tuple[str | Promise, list[forms.BoundField]]]:
        """As the SOW's table groups them."""
        wanted: list[tuple[str | Promise, list[str]]] = [
            ("", ["wanted"]),
            (_("Basic monitoring"), ["basics", "other_basics"]),
            (_("Application monitoring"), ["web", "databases", "other_products"]),
            (_("Port monitoring"), ["ports", "other_ports"]),
            (_("URL monitoring"), ["url_kinds", "urls"]),
            (_("Further wishes"), ["notes"]),
        ]
        return [(label, [self[name] for name in names]) for label, names in wanted]

    @property
    def filled(self) -> Form:
        cleaned = dict(self.cleaned_data)
        return Form(**{**cleaned, "wanted": cleaned["wanted"] == "yes"})


def rows_of(row: MonitoringTemplate) -> list[tuple[str | Promise, list[tuple[str, bool]], str]]:
    """The form as the SOW prints it: each line with its boxes, ticked or not, and its free text."""
    ports = [(str(port), port in row.ports) for port in watch_plan.PORTS]

    def boxes(names: tuple[str, ...], ticked: list[str]) -> list[tuple[str, bool]]:
        return [(str(NAMES[name]), name in ticked) for name in names]

    return [
        (_("Basic monitoring"), boxes(BASICS, row.basics), row.other_basics),
        (_("Web"), boxes(WEB, row.web), ""),
        (_("Databases"), boxes(DATABASES, row.databases), ""),
        (_("Other applications"), [], row.other_products),
        (_("Ports"), ports, row.other_ports),
        ("URL", boxes(URL_KINDS, row.url_kinds), row.urls),
        (_("Further wishes"), [], row.notes),
    ]
