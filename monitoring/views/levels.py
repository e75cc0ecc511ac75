"""Which level says what about the rules of one asset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from assets.models import Asset, Kind
from monitoring import wording
from monitoring.levels import Effective, Level, Levels, Override, Resolver, origins
from monitoring.models import (
    AssetGroup,
    ExpectedProcess,
    Series,
)
from monitoring.plan import applies
from monitoring.rules import RULES, Rule
from monitoring.services import levels
from monitoring.views.rule_places import frame

LEVELS: Final = {
    Level.TEMPLATE: _("SOW template"),
    Level.CUSTOMER: _("Customer"),
    Level.GROUP: _("Group"),
    Level.ASSET: _("Asset"),
    Level.SERIES: _("Part"),
}
FIELD_NAMES: Final[dict[str, str | Promise]] = {
    "enabled": _("Switch"),
    "thresholds": _("Threshold"),
    "times": _("Times in a row"),
    "period_s": _("Period"),
    "recovery": _("Recovery threshold"),
    "recovery_times": _("Good times in a row"),
    "severity": _("Severity"),
    "schedule": _("Schedule"),
    "channels": _("Told to"),
    "flap_changes": _("Flapping: changes"),
    "flap_window_s": _("Flapping: within, seconds"),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Who has the last word on one field of a rule."""

    field: str
    level: str
    override_id: int
    macro: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A rule on one thing of an asset, as it holds there."""

    rule: Rule
    series: Series
    effective: Effective
    origins: tuple[Origin, ...]
    applies: bool

    @property
    def name(self) -> str:
        return self.rule.name(get_language() or "zh-hans")

    @property
    def part(self) -> str:
        return wording.labels_shown(self.series.labels)

    @property
    def conditions(self) -> str:
        return wording.conditions_text(self.effective.conditions)

    @property
    def recovery(self) -> str:
        return wording.conditions_text(self.effective.recovery, any_of=True)

    @property
    def often(self) -> str:
        return wording.how_often(self.effective)

    @property
    def place(self) -> str:
        return f"asset:{self.series.asset_id}" + (f":{self.series.labels}" if self.series.labels else "")


@require_safe
def of_asset(request: HttpRequest, asset_id: int) -> HttpResponse:
    """Every rule on an asset: what holds there, and which level said so."""
    asset = get_object_or_404(Asset.objects.select_related("customer"), pk=asset_id)
    known = levels.load(asset.customer)
    resolver = Resolver(known, settings.CHECK_PERIOD_S)
    group_names = dict(AssetGroup.objects.filter(customer=asset.customer).values_list("pk", "name"))
    watched = {rule.metrics[0] for rule in RULES.values()}
    rows = Series.objects.filter(asset=asset, metric__in=watched).select_related("asset").order_by("metric", "labels")
    held = [
        _held(rule, series, known, resolver, group_names)
        for series in rows
        for rule in RULES.values()
        if rule.metrics[0] == series.metric
    ]
    context = {
        "asset": asset,
        "held": held,
        "groups": [(pk, group_names[pk]) for pk in reversed(known.groups.get(asset.pk, ()))],
        "processes": ExpectedProcess.objects.filter(asset=asset).select_related("changed_by"),
        **frame(request, asset.customer),
    }
    return render(request, "monitoring/asset_rules.html", context)


def _held(rule: Rule, series: Series, known: Levels, resolver: Resolver, names: dict[int, str]) -> Held:
    asset = series.asset
    effective = resolver.of(rule, asset.pk, series.labels)
    chain = resolver.chain(rule, asset.pk, series.labels)
    return Held(
        rule,
        series,
        effective,
        origins_of(chain, names, macros_used(known)),
        applies(rule, is_ecs=asset.kind == Kind.ECS, os=asset.os),
    )


def macros_used(known: Levels) -> dict[int, str]:
    """The macros that the thresholds of each override speak of, by its row."""
    return {one.id: ", ".join(one.macros) for one in known.overrides if one.macros}


def origins_of(chain: tuple[Override, ...], names: dict[int, str], macros: dict[int, str]) -> tuple[Origin, ...]:
    return tuple(
        Origin(
            str(FIELD_NAMES[field]),
            level_name(one, names),
            one.id,
            macros.get(one.id, "") if field in ("thresholds", "recovery") else "",
        )
        for field, one in origins(chain).items()
    )


def level_name(one: Override, names: dict[int, str]) -> str:
    """ "Group: databases", or what else has the last word."""
    if one.level is Level.GROUP:
        return f"{LEVELS[Level.GROUP]}: {names.get(one.group_id or 0, '')}"
    return str(LEVELS[one.level]) if one.id else str(_("Expected processes"))
