"""What people enter about dashboards: a form for each kind of box, made of the fields that the kind needs."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from accounts.models import Customer
from assets.models import Asset
from monitoring.models import Series, metric_name
from monitoring.panels import PANELS
from monitoring.rules import METRICS
from monitoring.services import graphs
from monitoring.widgets import LONGEST_TEXT, LONGEST_TITLE, MOST_ASSETS, NEEDS, Widget, WidgetKind

SHARE_DAYS = ((1, _("1 day")), (7, _("7 days")), (30, _("30 days")), (90, _("90 days")))
PLACEHOLDER_ID = "new0"


class NameForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=100)


class DashboardForm(NameForm):
    field_order = ("customer", "name")

    def __init__(self, *args: Any, customers: QuerySet[Customer], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["customer"] = field = forms.ModelChoiceField(label=_("Customer"), queryset=customers)
        self.order_fields(self.field_order)
        if (only := customers[:2]) and len(only) == 1:
            field.initial = only[0].pk
            self.initial["customer"] = only[0].pk


class ShareForm(forms.Form):
    purpose = forms.CharField(
        label=_("For whom"), max_length=100, required=False, help_text=_("So that you know which link to withdraw.")
    )
    days = forms.TypedChoiceField(label=_("Works for"), choices=SHARE_DAYS, coerce=int)


class BoxForm(forms.Form):
    """A box of one kind. `widget()` is what was entered, to be placed by the service."""

    kind: ClassVar[WidgetKind]
    title = forms.CharField(
        label=_("Title"), max_length=LONGEST_TITLE, required=False, help_text=_("Empty: what it shows.")
    )

    def __init__(self, *args: Any, assets: QuerySet[Asset], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        needs = NEEDS[self.kind]
        if needs.assets:
            self.fields["assets"] = _asset_field(assets, several=needs.assets > 1)
        if needs.panel:
            self.fields["panel"] = forms.ChoiceField(label=_("Graph"), choices=self._panels(assets))
            self.fields["assets"].widget.attrs |= {
                "hx-get": "", "hx-include": "closest form", "hx-target": "closest form",
                "hx-select": "#box-form", "hx-swap": "outerHTML", "hx-trigger": "change",
            }  # fmt: skip
        if needs.metric:
            self.fields["metric"] = forms.ChoiceField(label=_("Figure"), choices=_metrics(assets))
        if needs.text:
            self.fields["text"] = forms.CharField(label=_("Text"), max_length=LONGEST_TEXT, widget=forms.Textarea)
        self.order_fields([name for name in self.fields if name != "title"])

    def _panels(self, assets: QuerySet[Asset]) -> list[tuple[str, str]]:
        """The graphs of the asset that is chosen; all there are before one is."""
        language = get_language() or "zh-hans"
        chosen = str(self.data.get("assets") or self.initial.get("assets") or "")
        asset = assets.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 10 else None
        found = graphs.panels_of(asset) if asset else list(PANELS.values())
        return [(one.id, one.name(language)) for one in found]

    def clean_assets(self) -> list[Asset]:
        given = self.cleaned_data["assets"]
        chosen = [given] if isinstance(given, Asset) else list(given)
        if len(chosen) > NEEDS[self.kind].assets:
            raise forms.ValidationError(
                _("At most %(count)d assets fit into one graph."), params={"count": MOST_ASSETS}
            )
        return chosen

    def widget(self) -> Widget:
        data = self.cleaned_data
        return Widget(
            id=PLACEHOLDER_ID, kind=self.kind, x=0, y=0, w=1, h=1,
            title=data["title"],
            assets=tuple(asset.pk for asset in data.get("assets", ())),
            panel=data.get("panel", ""),
            metric=data.get("metric", ""),
            text=data.get("text", ""),
        )  # fmt: skip


def _asset_field(assets: QuerySet[Asset], *, several: bool) -> forms.ModelChoiceField[Asset]:
    ordered = assets.order_by("kind", "name")
    if several:
        return forms.ModelMultipleChoiceField(
            label=_("Assets"), queryset=ordered, widget=forms.SelectMultiple(attrs={"size": 12})
        )
    return forms.ModelChoiceField(label=_("Asset"), queryset=ordered)


def _metrics(assets: QuerySet[Asset]) -> list[tuple[str, str]]:
    """The figures that these assets have, by the names that people know."""
    there = Series.objects.filter(asset__in=assets.order_by().values("pk")).values_list("metric", flat=True).distinct()
    return sorted(((name, metric_name(name)) for name in there if name in METRICS), key=lambda pair: pair[1])


def form_for(kind: WidgetKind) -> type[BoxForm]:
    """The form of one kind of box."""
    return type(f"{kind.value.title()}Form", (BoxForm,), {"kind": kind})
