"""The form of a product's target, made from what the product says that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from monitoring.collectors import products
from monitoring.collectors.config import Kind
from monitoring.collectors.config.fields import ConfigError
from monitoring.collectors.config.machines import ProductConfig
from monitoring.collectors.products.frame import Option, Product
from monitoring.forms import TargetForm
from monitoring.models import Target
from monitoring.problems import config_error_text

OPTION = "option_"
SELDOM = ("verify_tls", "name", "period_s", "through", "timeout_s")


class ProductForm(TargetForm):
    """Host, port, what the product asks for, and its own options. `config` is what the collector gets."""

    kind = Kind.PRODUCT
    host = forms.CharField(label=_("Host"), max_length=253)
    port = forms.IntegerField(label=_("Port"), min_value=1, max_value=65535)
    path = forms.CharField(label=_("Path of the status page"), max_length=300, required=False)
    user = forms.CharField(label=_("User"), max_length=200, required=False)
    token = forms.CharField(
        label=_("Password"),
        max_length=200,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Stored encrypted and never shown; empty keeps the stored one."),
    )
    tls = forms.BooleanField(label=_("Connect with TLS"), required=False)
    verify_tls = forms.BooleanField(label=_("Check the certificate"), required=False, initial=True)
    timeout_s = forms.FloatField(label=_("Give up after, seconds"), min_value=0.1, max_value=25, initial=10)
    checks_port = forms.BooleanField(
        label=_("Check the port as well"),
        required=False,
        initial=True,
        help_text=_("An alarm comes when nothing answers there any more."),
    )

    def __init__(self, *args: Any, product: Product, target: Target | None = None, **kwargs: Any) -> None:
        self.product = product
        starts = {"port": product.port, "path": product.path, "user": product.user}
        kwargs["initial"] = {**starts, **(kwargs.get("initial") or {})}
        super().__init__(*args, target=target, **kwargs)
        asked = product.asks | ({"token"} if "password" in product.asks else set())
        for name, needs in {
            "path": "path",
            "user": "user",
            "token": "token",
            "tls": "tls",
            "verify_tls": "tls",
        }.items():
            if needs not in asked:
                del self.fields[name]
        if target is not None:
            del self.fields["checks_port"]
        for option in product.options:
            self.fields[OPTION + option.name] = _field(option, zh=(get_language() or "zh").startswith("zh"))
        last = ("tls", "checks_port", *SELDOM)
        self.order_fields([*(name for name in self.fields if name not in last), *last])

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """What nearly everybody fills in."""
        return [field for field in self if field.name not in SELDOM]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """What nearly everybody leaves as it is."""
        return [field for field in self if field.name in SELDOM]

    @property
    def has_hidden_errors(self) -> bool:
        return any(field.errors for field in self.more_fields)

    @classmethod
    def initial_of(cls, target: Target) -> dict[str, Any]:
        options = {OPTION + name: value for name, value in target.config.get("options", {}).items()}
        return {**super().initial_of(target), **options}

    def clean(self) -> dict[str, Any]:
        cleaned = forms.Form.clean(self) or {}
        if self.errors:
            return cleaned
        try:
            self.config = products.checked(ProductConfig.of(self.values(cleaned))).as_json()
        except ConfigError as error:
            field = error.field if error.field in self.fields else OPTION + error.field
            self.add_error(field if field in self.fields else None, str(config_error_text(error.code)))
        return cleaned

    def values(self, cleaned: Mapping[str, Any]) -> dict[str, Any]:
        plain = ("host", "port", "path", "user", "tls", "verify_tls", "timeout_s")
        options = {option.name: _entered(option, cleaned.get(OPTION + option.name)) for option in self.product.options}
        return {
            "product": self.product.slug,
            "options": options,
            **{name: cleaned[name] for name in plain if name in self.fields},
        }


def _entered(option: Option, value: Any) -> Any:
    return option.default if value is None else value


def _field(option: Option, *, zh: bool) -> forms.Field:
    common: dict[str, Any] = {
        "label": option.zh if zh else option.en,
        "help_text": option.help_zh if zh else option.help_en,
        "initial": option.default,
        "required": False,
    }
    if option.choices:
        return forms.ChoiceField(choices=[(choice, choice) for choice in option.choices], **common)
    if isinstance(option.default, bool):
        return forms.BooleanField(**common)
    if isinstance(option.default, int):
        return forms.IntegerField(min_value=0, **common)
    if isinstance(option.default, float):
        return forms.FloatField(min_value=0, **common)
    return forms.CharField(max_length=1000, **common)
